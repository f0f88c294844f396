"""Webhooks: who is told, what arrived, and what was given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheDeployment
from chopmark.service.webhook_admin import WebhookAdmin
from chopmark.tenancy.webhook_events import WEBHOOK_EVENTS
from chopmark.web.console.desk import console_page
from chopmark.web.viewers import Viewer, needs

if TYPE_CHECKING:
    from chopmark.service.deployment import Deployment

__all__ = ["router"]

router = APIRouter()
HookViewer = Annotated[Viewer, Depends(needs("operator", "investigator", "reviewer"))]


@router.get("/webhooks")
async def webhooks(request: Request, deployment: TheDeployment, viewer: HookViewer) -> Response:
    """Show who is told, and the form that adds one."""
    return await _page(request, deployment, viewer)


@router.post("/webhooks")
async def add(
    request: Request,
    deployment: TheDeployment,
    viewer: HookViewer,
    url: Annotated[str, Form(max_length=2048)] = "",
    events: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Have an address told; its secret is shown on the page that answers, once."""
    chosen = [name for name in WEBHOOK_EVENTS if name in (events or ())]
    if not chosen:
        raise InvalidRequest("nothing was chosen", hint="choose the events that it is sent")
    admin = WebhookAdmin(deployment, viewer.caller)
    _, secret = await in_thread(lambda: admin.add(url.strip(), chosen))
    return await _page(request, deployment, viewer, secret=secret)


@router.post("/webhooks/{hook_id}/remove")
async def remove(hook_id: str, deployment: TheDeployment, viewer: HookViewer) -> Response:
    """Tell an address no more."""
    admin = WebhookAdmin(deployment, viewer.caller)
    await in_thread(lambda: admin.remove(hook_id))
    return RedirectResponse("/console/webhooks", status_code=303)


@router.post("/webhooks/{hook_id}/retry")
async def retry(hook_id: str, deployment: TheDeployment, viewer: HookViewer) -> Response:
    """Send its dead letters again."""
    admin = WebhookAdmin(deployment, viewer.caller)
    await in_thread(lambda: admin.retry(hook_id))
    return RedirectResponse("/console/webhooks", status_code=303)


async def _page(
    request: Request, deployment: Deployment, viewer: Viewer, *, secret: str = ""
) -> Response:
    admin = WebhookAdmin(deployment, viewer.caller)
    found: list[dict[str, Any]] = await in_thread(admin.listed)
    return console_page(
        request,
        viewer,
        "console/webhooks.html",
        hooks=found,
        events=WEBHOOK_EVENTS,
        secret=secret,
    )
