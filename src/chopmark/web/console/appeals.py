"""Appeals: taken by somebody who did not decide before, upheld or overturned with a reason."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.web.console.content import content_of
from chopmark.web.console.desk import DeskViewer, console_page, desk_of, shift_name
from chopmark.web.page_state import ThePageState

__all__ = ["router"]

router = APIRouter()
_PURPOSE: Final = "decide an appeal"
_OUTCOMES: Final[tuple[Literal["upheld", "overturned"], ...]] = ("upheld", "overturned")
_DAYS: Final = {"": 0, "1": 1, "30": 30, "365": 365}


@router.get("/appeals")
async def appeals(request: Request, viewer: DeskViewer, nothing: str = "") -> Response:
    """Show what is open, and what was decided."""
    desk = await desk_of(request, viewer, _PURPOSE)
    every = await in_thread(lambda: desk.appeals.listed(only_open=False))
    return console_page(
        request,
        viewer,
        "console/appeals.html",
        waiting=[one for one in every if one.outcome is None],
        decided=[one for one in reversed(every) if one.outcome is not None][:30],
        nothing=bool(nothing),
    )


@router.post("/appeals/lease")
async def lease(request: Request, viewer: DeskViewer) -> Response:
    """Take the appeal that waits longest."""
    desk = await desk_of(request, viewer, _PURPOSE)
    appeal = await in_thread(desk.appeals.lease)
    if appeal is None:
        return RedirectResponse("/console/appeals?nothing=1", status_code=303)
    return RedirectResponse(f"/console/appeals/{appeal.record_id}", status_code=303)


@router.get("/appeals/{record_id}")
async def appeal(record_id: str, request: Request, viewer: DeskViewer) -> Response:
    """Show an appeal that the viewer holds, with the record that it is about."""
    desk = await desk_of(request, viewer, _PURPOSE)
    view = await in_thread(lambda: desk.view(record_id))
    return console_page(
        request,
        viewer,
        "console/appeal.html",
        records=view.records,
        opened=content_of(view),
        shown=None,
        purpose=_PURPOSE,
        grey=request.cookies.get("chopmark_grey") == "1",
    )


@router.post("/appeals/{record_id}/decide")
async def decide(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
    outcome: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=RATIONALE.most)] = "",
    days: Annotated[str, Form()] = "",
) -> Response:
    """Uphold or overturn a refusal."""
    chosen = next((one for one in _OUTCOMES if one == outcome), None)
    if chosen is None or days not in _DAYS:
        raise InvalidRequest("no outcome was chosen", hint="uphold or overturn")
    until = None
    if chosen == "overturned" and _DAYS[days]:
        until = (dt.datetime.now(dt.UTC) + dt.timedelta(days=_DAYS[days])).isoformat()
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(
        lambda: desk.appeals.decide(record_id, chosen, rationale=rationale, allow_until=until)
    )
    state.shifts.seen(shift_name(viewer), decided=1)
    return RedirectResponse("/console/appeals", status_code=303)
