"""Queues: what waits, who holds what; take the next one, keep it, give it back, decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.web.console.shift import AtDesk, desk_of, seated

if TYPE_CHECKING:
    from chopmark.web.console.shift import Shifts

__all__ = ["router"]

router = APIRouter()
_DECISIONS: Final = ("confirmed", "overturned", "escalated")
_MAY_LOOK: Final = frozenset({"reader", "reviewer", "investigator"})
_PURPOSE: Final = "work on a queue"


@router.get("")
async def overview(request: Request, viewer: AtDesk, nothing: str = "") -> Response:
    """Show the queues, or the first page that the viewer's roles have."""
    if not viewer.roles & _MAY_LOOK:
        to = "/console/log" if "auditor" in viewer.roles else "/console/exports"
        return RedirectResponse("/console/policies" if viewer.roles == {"operator"} else to, 303)
    desk = await desk_of(request, viewer, _PURPOSE)

    def found() -> tuple[list[Any], list[Any]]:
        if "reviewer" in viewer.roles:
            # What the guards sent to review since the last look; doing it twice changes nothing.
            desk.review.route(request.app.state.rules)
        return desk.review.tasks(), desk.appeals.listed()

    tasks, appeals = await in_thread(found)
    waiting = [task for task in tasks if task.decision is None]
    queues: dict[str, list[Any]] = {}
    for task in waiting:
        queues.setdefault(task.queue, []).append(task)
    mine = [task for task in waiting if task.holder == viewer.name]
    return seated(
        request,
        viewer,
        "console/queue.html",
        queues=queues,
        mine=mine,
        appeals=appeals,
        decided=[task for task in tasks if task.decision is not None][:20],
        nothing=bool(nothing),
    )


@router.post("/lease")
async def lease(
    request: Request, viewer: AtDesk, queue: Annotated[str, Form(max_length=200)] = "review"
) -> Response:
    """Take the next task of a queue."""
    desk = await desk_of(request, viewer, f"{_PURPOSE}: {queue}")
    task = await in_thread(lambda: desk.review.lease(queue))
    where = f"/console/records/{task.record_id}" if task else "/console?nothing=1"
    return RedirectResponse(where, status_code=303)


@router.post("/records/{record_id}/renew")
async def renew(record_id: str, request: Request, viewer: AtDesk) -> Response:
    """Keep a task for longer."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.renew(record_id))
    return RedirectResponse(f"/console/records/{record_id}", status_code=303)


@router.post("/records/{record_id}/release")
async def release(record_id: str, request: Request, viewer: AtDesk) -> Response:
    """Give a task back undecided."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.release(record_id))
    return RedirectResponse("/console", status_code=303)


@router.post("/records/{record_id}/decide")
async def decide(
    record_id: str,
    request: Request,
    viewer: AtDesk,
    decision: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=4000)] = "",
    queue: Annotated[str, Form(max_length=200)] = "",
    next_one: Annotated[str, Form()] = "",
) -> Response:
    """Decide on a task, and take the next one if asked."""
    chosen: Any = decision
    if decision not in _DECISIONS:
        raise InvalidRequest("no decision was chosen", hint="confirm, overturn or escalate")
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.decide(record_id, chosen, rationale=rationale))
    shifts: Shifts = request.app.state.shifts
    shifts.seen(f"{viewer.tenant}:{viewer.name}", decided=1)
    if next_one and queue:
        return await lease(request, viewer, queue)
    return RedirectResponse("/console", status_code=303)


@router.post("/break")
async def take_a_break(request: Request, viewer: AtDesk) -> Response:
    """Note that somebody took a break."""
    request.app.state.shifts.rested(f"{viewer.tenant}:{viewer.name}")
    return RedirectResponse("/console", status_code=303)
