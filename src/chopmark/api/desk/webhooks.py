"""Webhooks over HTTP: who is told of what, and what did not arrive."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict
from chopmark.service.webhook_admin import WebhookAdmin
from chopmark.tenancy.webhook_events import WebhookEvent

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/webhooks", responses=RESPONSES, tags=["webhooks"])
HookId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]


class HookBody(Strict):
    """Where to send, and what."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    events: Annotated[list[WebhookEvent], Field(min_length=1, max_length=16)]


@router.post("")
async def add(body: HookBody, deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """Notify an address; the answer holds the secret that its messages are signed with, once.

    Messages follow Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    """
    admin = WebhookAdmin(deployment, caller)
    hook, secret = await in_thread(lambda: admin.add(body.url, body.events))
    return {**hook.to_dict(), "secret": secret}


@router.get("")
async def listed(deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """List the addresses that are notified, how much arrived, and what was given up (`dead`)."""
    return {"webhooks": await in_thread(WebhookAdmin(deployment, caller).listed)}


@router.delete("/{hook_id}", status_code=204)
async def remove(hook_id: HookId, deployment: TheDeployment, caller: AnyCaller) -> None:
    """Notify an address no more; what is on its way there is dropped."""
    admin = WebhookAdmin(deployment, caller)
    await in_thread(lambda: admin.remove(hook_id))


@router.post("/{hook_id}/retry")
async def retry(hook_id: HookId, deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """Send what was given up again, and let a switched-off webhook be used again."""
    admin = WebhookAdmin(deployment, caller)
    return {"sent_again": await in_thread(lambda: admin.retry(hook_id))}
