"""Queues: what waits, who holds what; take the next one, keep it, give it back, decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.steps import in_thread
from chopmark.service.standing import utc
from chopmark.web.console.desk import DeskViewer, console_page, desk_of, log_of, shift_name
from chopmark.web.page_state import ThePageState

if TYPE_CHECKING:
    from chopmark.audit import Appeal, Task

__all__ = ["DECISIONS", "router"]

router = APIRouter()
DECISIONS: Final[tuple[Literal["confirmed", "overturned", "escalated"], ...]] = (
    "confirmed",
    "overturned",
    "escalated",
)
_MAY_LOOK: Final = frozenset({"reader", "reviewer", "investigator"})
_PURPOSE: Final = "work on a queue"
_ALLOW_DAYS: Final = {"": 0, "1": 1, "30": 30, "365": 365}


@router.get("")
async def overview(
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
    nothing: str = "",
) -> Response:
    """Show the queues, or the first page that the viewer's roles have."""
    if not viewer.roles & _MAY_LOOK:
        to = "/console/log" if "auditor" in viewer.roles else "/console/exports"
        if viewer.roles == {"operator"}:
            to = "/console/policies"
        elif "eraser" in viewer.roles:
            to = "/console/custody"
        return RedirectResponse(to, 303)
    desk = await desk_of(request, viewer, _PURPOSE)

    def found() -> tuple[list[Task], list[Appeal], dict[str, int], dict[str, Any]]:
        if "reviewer" in viewer.roles:
            state.routing.look(desk, log_of(request).size)
        agreement = desk.review.agreement()
        counted = {name: one.to_dict() for name, one in agreement.items()}
        return desk.review.tasks(), desk.appeals.listed(), desk.review.day(), counted

    tasks, appeals, day, agreement = await in_thread(found)
    waiting = [task for task in tasks if task.decision is None]
    queues: dict[str, list[Task]] = {}
    for task in waiting:
        queues.setdefault(task.queue, []).append(task)
    mine = [task for task in waiting if task.holder == viewer.name]
    return console_page(
        request,
        viewer,
        "console/queue.html",
        queues=queues,
        mine=mine,
        appeals=appeals,
        decided=[task for task in tasks if task.decision is not None][:20],
        nothing=bool(nothing),
        day=day,
        agreement=agreement,
    )


@router.post("/lease")
async def lease(
    request: Request,
    viewer: DeskViewer,
    queue: Annotated[str, Form(max_length=limits.QUEUE.most)] = "review",
) -> Response:
    """Take the next task of a queue."""
    desk = await desk_of(request, viewer, f"{_PURPOSE}: {queue}")
    task = await in_thread(lambda: desk.review.lease(queue))
    where = f"/console/records/{task.record_id}" if task else "/console?nothing=1"
    return RedirectResponse(where, status_code=303)


@router.post("/records/{record_id}/renew")
async def renew(record_id: str, request: Request, viewer: DeskViewer) -> Response:
    """Keep a task for longer."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.renew(record_id))
    return RedirectResponse(f"/console/records/{record_id}", status_code=303)


@router.post("/records/{record_id}/release")
async def release(record_id: str, request: Request, viewer: DeskViewer) -> Response:
    """Give a task back undecided."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.release(record_id))
    return RedirectResponse("/console", status_code=303)


@router.post("/records/{record_id}/decide")
async def decide(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
    decision: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=limits.RATIONALE.most)] = "",
    preset: Annotated[str, Form(max_length=limits.RATIONALE.most)] = "",
    days: Annotated[str, Form()] = "",
    queue: Annotated[str, Form(max_length=limits.QUEUE.most)] = "",
    next_one: Annotated[str, Form()] = "",
) -> Response:
    """Decide on a task, and take the next one if asked."""
    chosen = next((one for one in DECISIONS if one == decision), None)
    if chosen is None or days not in _ALLOW_DAYS:
        raise InvalidRequest("no decision was chosen", hint="confirm, overturn or escalate")
    why = " ".join(filter(None, (preset.strip(), rationale.strip())))
    lasts = _ALLOW_DAYS[days] if chosen == "overturned" else 0
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(
        lambda: desk.review.decide(
            record_id,
            chosen,
            rationale=why,
            allow_until=utc(lasts * 86_400) if lasts else None,
            rules=state.rules,
        )
    )
    state.shifts.seen(shift_name(viewer), decided=1)
    if next_one and queue:
        return await lease(request, viewer, queue)
    return RedirectResponse("/console", status_code=303)


@router.post("/records/{record_id}/skip")
async def skip(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    reason: Annotated[str, Form(max_length=limits.PURPOSE.most)] = "",
    queue: Annotated[str, Form(max_length=limits.QUEUE.most)] = "",
) -> Response:
    """Give a task back with a reason, and take the next one."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.skip(record_id, reason=reason))
    return await lease(request, viewer, queue) if queue else RedirectResponse("/console", 303)


@router.post("/break")
async def take_a_break(viewer: DeskViewer, state: ThePageState) -> Response:
    """Note that somebody took a break."""
    state.shifts.rested(shift_name(viewer))
    return RedirectResponse("/console", status_code=303)
