"""Drafts of CyberTipline reports: one investigator asks, another one agrees, both may fetch it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from chopmark.errors import InvalidRequest
from chopmark.kit.ids import record_of
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.custody_acts import reporter_of
from chopmark.service.deployment import TheService
from chopmark.web.console.desk import desk_of
from chopmark.web.console.notices import after
from chopmark.web.viewers import Viewer, needs

__all__ = ["router"]

router = APIRouter()
Investigator = Annotated[Viewer, Depends(needs("investigator"))]
Reason = Annotated[str, Form(max_length=PURPOSE.most)]


@router.post("/records/{record_id}/cybertip")
async def ask(
    record_id: str,
    request: Request,
    service: TheService,
    viewer: Investigator,
    reason: Reason = "",
    prompt: Annotated[str, Form()] = "",
) -> Response:
    """Ask for the draft; the other investigator finds it under Custody."""
    viewer.caller.must_be("investigator")
    if not reason.strip():
        raise InvalidRequest("a report needs a reason")
    await in_thread(lambda: reporter_of(service.pipeline.settings))
    desk = await desk_of(request, viewer, reason)
    # Of another tenant's record nobody is told that it exists.
    found = await in_thread(lambda: desk.records(record_id))
    service.two_persons.ask(
        viewer.caller, "cybertip", found[0].record_id, reason=reason.strip(), prompt=bool(prompt)
    )
    return after("/console/custody", "another-investigator")


@router.post("/records/{record_id}/cybertip/draft")
async def draft(
    record_id: str, request: Request, viewer: Investigator, reason: Reason = ""
) -> Response:
    """Give the draft as a file; the look is booked. It is sent nowhere."""
    viewer.caller.must_be("investigator")
    if not reason.strip():
        raise InvalidRequest("nobody looks at a report without a purpose")
    desk = await desk_of(request, viewer, reason)
    text = await in_thread(lambda: desk.cybertips.draft(record_id))
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="cybertip-{record_of(record_id)}.xml"',
    }
    return Response(text, media_type="application/xml", headers=headers)
