"""The console's way to the desk, and the frame that its pages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import the_service
from chopmark.web.console.notices import from_here, notice_of
from chopmark.web.page_state import the_page_state
from chopmark.web.render import page
from chopmark.web.viewers import Viewer, needs

if TYPE_CHECKING:
    from fastapi import Response

    from chopmark.audit import AuditLog, Desk

__all__ = ["DeskViewer", "console_page", "desk_of", "log_of", "reason_of", "shift_name"]


def log_of(request: Request) -> AuditLog:
    """Return the log."""
    return the_service(request).pipeline.parts.log


async def desk_of(request: Request, viewer: Viewer, purpose: str) -> Desk:
    """Return a person's desk for a purpose, which is booked with whatever they do there."""
    return await in_thread(lambda: log_of(request).desk(viewer.caller.actor(), purpose=purpose))


def reason_of(request: Request, viewer: Viewer) -> str:
    """Return why an investigator wants to see content with this page, as the address has it.

    The reason goes along from page to page, so that a case takes one sentence and not one a
    record. A link on another site's page gives none: it would book a look that nobody meant.
    """
    why = request.query_params.get("why", "").strip()[: PURPOSE.most]
    if not why or "investigator" not in viewer.roles:
        return ""
    return why if from_here(request) else ""


def shift_name(viewer: Viewer) -> str:
    """Return the name that a person's shift is counted under."""
    return f"{viewer.tenant}:{viewer.name}"


def console_page(
    request: Request, viewer: Viewer, template: str, *, status: int = 200, **values: Any
) -> Response:
    """Return a page of the console, with what was done, and a reminder of a break when due."""
    shift = the_page_state(request).shifts.seen(shift_name(viewer))
    due = shift.minutes >= the_service(request).pipeline.settings.break_after_minutes
    return page(
        request,
        template,
        status=status,
        shift=shift,
        break_due=due,
        roles=viewer.roles,
        notice=notice_of(request),
        **values,
    )


DeskViewer = Annotated[
    Viewer,
    Depends(
        needs("reader", "reviewer", "investigator", "exporter", "auditor", "operator", "eraser")
    ),
]
