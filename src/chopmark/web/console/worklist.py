"""What waits in one queue, as a list: to see what there is, and to decide on several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response

from chopmark.audit.desk.decisions import MOST_AT_ONCE
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.steps import in_thread
from chopmark.web.console.desk import DeskViewer, console_page, desk_of, reason_of, shift_name
from chopmark.web.console.notices import after
from chopmark.web.console.presets import presets_for
from chopmark.web.console.queue import DECISIONS
from chopmark.web.console.results import results_of
from chopmark.web.page_state import ThePageState

if TYPE_CHECKING:
    from chopmark.audit import Hit, Task

__all__ = ["router"]

router = APIRouter()
_PURPOSE: Final = "work on a queue"
# As many boxes as one form may have (kit/limits, FIELDS), beside its other fields.
_EACH: Final = 50
Queue = Annotated[str, Form(max_length=limits.QUEUE.most)]


@router.get("/queues/{queue}")
async def worklist(
    queue: str,
    request: Request,
    viewer: DeskViewer,
) -> Response:
    """Show what waits in a queue, the next one first."""
    why = reason_of(request, viewer)
    desk = await desk_of(request, viewer, f"{_PURPOSE}: {queue}"[: limits.PURPOSE.most])

    def found() -> tuple[int, list[tuple[Task, Hit]]]:
        free = desk.review.free(queue)
        return len(free), desk.review.hits(free[:_EACH])

    waiting, shown = await in_thread(found)
    rows = await results_of(request, viewer, [hit for _, hit in shown], why)
    return console_page(
        request,
        viewer,
        "console/worklist.html",
        queue=queue,
        rows=list(zip([task for task, _ in shown], rows, strict=True)),
        waiting=waiting,
        why=why,
        presets=presets_for(
            max(hit.categories, key=lambda name: hit.categories[name])
            for _, hit in shown
            if hit.categories
        ),
    )


@router.post("/bulk")
async def bulk(
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
    queue: Queue,
    decision: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=limits.RATIONALE.most)] = "",
    preset: Annotated[str, Form(max_length=limits.RATIONALE.most)] = "",
    records: Annotated[list[str] | None, Form()] = None,
    first: Annotated[int, Form(ge=0, le=MOST_AT_ONCE)] = 0,
    why: Annotated[str, Form(max_length=limits.PURPOSE.most)] = "",
) -> Response:
    """Decide on several tasks for one reason: those that are ticked, or the ``first`` so many."""
    chosen = next((one for one in DECISIONS if one == decision), None)
    desk = await desk_of(request, viewer, _PURPOSE)

    def decided() -> list[object]:
        named = list(records or ())
        if first:
            named = [task.record_id for task in desk.review.free(queue, limit=first)]
        if chosen is None or not named:
            raise InvalidRequest(
                "nothing was chosen", hint="tick the records, and choose a decision"
            )
        reason = " ".join(filter(None, (preset.strip(), rationale.strip())))
        return list(desk.review.bulk(named, chosen, rationale=reason, rules=state.rules))

    answers = await in_thread(decided)
    failed = sum(isinstance(one, ChopmarkError) for one in answers)
    done = len(answers) - failed
    state.shifts.seen(shift_name(viewer), decided=done)
    code, counts = ("decided-some", (done, failed)) if failed else ("decided", (done,))
    return after(f"/console/queues/{quote(queue, safe='')}", code, *counts, why=why)
