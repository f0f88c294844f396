"""Erasure, holds and retention: what is kept about people, and the two persons who let it go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.custody_acts import agree_to
from chopmark.service.deployment import TheDeployment, TheService
from chopmark.service.standing import utc
from chopmark.web.console.desk import console_page, desk_of
from chopmark.web.console.notices import after
from chopmark.web.viewers import Viewer, needs

if TYPE_CHECKING:
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter()
CustodyViewer = Annotated[Viewer, Depends(needs("eraser", "investigator"))]
_PURPOSE: Final = "custody"
_DAYS: Final = {"": None, "30": 30, "90": 90, "365": 365}
Reason = Annotated[str, Form(max_length=PURPOSE.most)]
Subject = Annotated[str, Form(max_length=300)]


@router.get("/custody")
async def custody(
    request: Request,
    service: TheService,
    viewer: CustodyViewer,
    subject: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Show what waits for a second person, the holds that stand, and how long content is kept."""
    desk = await desk_of(request, viewer, _PURPOSE)
    holds = await in_thread(desk.holds)
    return console_page(
        request,
        viewer,
        "console/custody.html",
        waiting=service.two_persons.waiting(viewer.caller),
        holds=holds,
        subject=subject,
        kept=_kept(service, viewer),
    )


@router.post("/custody/erasures")
async def ask_erasure(
    service: TheService, viewer: CustodyViewer, subject: Subject = "", reason: Reason = ""
) -> Response:
    """Ask for the erasure of a person's content; another eraser must agree."""
    viewer.caller.must_be("eraser")
    named, why = _stated(subject, reason)
    service.two_persons.ask(viewer.caller, "erase", named, reason=why)
    return _back("another-eraser")


@router.post("/custody/holds")
async def hold(
    request: Request,
    viewer: CustodyViewer,
    subject: Subject = "",
    reason: Reason = "",
    days: Annotated[str, Form()] = "",
) -> Response:
    """Forbid erasing and expiring what is stored about a person."""
    viewer.caller.must_be("eraser")
    named, why = _stated(subject, reason)
    if days not in _DAYS:
        raise InvalidRequest("no end was chosen", param="days")
    lasts = _DAYS[days]
    until = None if lasts is None else utc(lasts * 86_400)
    desk = await desk_of(request, viewer, why)
    await in_thread(lambda: desk.place_hold(named, basis=why, until=until))
    return _back("held")


@router.post("/custody/holds/{index}/release")
async def ask_release(
    index: int, service: TheService, viewer: CustodyViewer, reason: Reason = ""
) -> Response:
    """Ask for the end of a hold; another eraser must agree."""
    viewer.caller.must_be("eraser")
    _, why = _stated("hold", reason)
    service.two_persons.ask(viewer.caller, "release_hold", str(index), reason=why)
    return _back("another-eraser")


@router.post("/custody/{request_id}/agree")
async def agree(request_id: str, deployment: TheDeployment, viewer: CustodyViewer) -> Response:
    """Agree to what somebody else asked for; it is done now."""
    booked = await in_thread(lambda: agree_to(deployment, viewer.caller, request_id))
    return _back("agreed", booked.index)


def _stated(subject: str, reason: str) -> tuple[str, str]:
    if not subject.strip() or not reason.strip():
        raise InvalidRequest("whom, and why?", hint="both are logged")
    return subject.strip(), reason.strip()


def _kept(service: Service, viewer: Viewer) -> dict[str, Any]:
    settings, tenant = service.pipeline.settings, viewer.caller.tenant
    return {
        "days": tenant.retention_days or settings.retention_days,
        "blocked": tenant.blocked_retention_days or settings.blocked_retention_days,
    }


def _back(code: str, *counts: int) -> Response:
    return after("/console/custody", code, *counts)
