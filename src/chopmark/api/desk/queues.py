"""Queues that flow: many decisions at once, tasks that are passed on, comments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from chopmark.api.desk.records import AnyId, CallerDesk
from chopmark.errors import ChopmarkError
from chopmark.kit.limits import PURPOSE, RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, RecordReader, Reviewer
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.review_rules import hours_for, rules_of
from chopmark.service.search_form import Strict, Time

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["desk"])
RecordName = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class BulkBody(Strict):
    """Which tasks, one decision, one reason."""

    records: Annotated[list[RecordName], Field(min_length=1, max_length=1000)]
    decision: Literal["confirmed", "overturned", "escalated"]
    rationale: Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]


class SkipBody(Strict):
    """Why somebody else should take it."""

    reason: Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]


class CommentBody(Strict):
    """What whoever looks next should know."""

    text: Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]


class TakedownBody(Strict):
    """About which record or output, what is demanded and by whom."""

    record_id: RecordName
    demand: Literal["order", "intimate"]
    reference: Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]
    received: Annotated[Time, Field(description="When it arrived; now if not given")] = None


@router.post("/review/takedowns")
async def takedown(
    body: TakedownBody, desk: CallerDesk, service: TheService, _caller: Reviewer
) -> dict[str, Any]:
    """Enter a demand to take pictures down; it waits in the queue ``takedown`` till it is due."""
    hours = hours_for(service.pipeline.settings, body.demand)
    booked = await in_thread(
        lambda: desk.review.takedown(
            body.record_id,
            body.demand,
            reference=body.reference,
            hours=hours,
            received=body.received,
        )
    )
    return {"event": booked.to_dict()}


@router.post("/review/bulk")
async def bulk(
    body: BulkBody, desk: CallerDesk, service: TheService, _caller: Reviewer
) -> dict[str, Any]:
    """Decide on up to 1,000 tasks that are free or held by the caller; an answer for each."""
    rules = rules_of(service.pipeline.settings)
    answers = await in_thread(
        lambda: desk.review.bulk(body.records, body.decision, rationale=body.rationale, rules=rules)
    )
    results: list[dict[str, Any]] = []
    for name, answer in zip(body.records, answers, strict=True):
        one: dict[str, Any] = {"record_id": name, "ok": not isinstance(answer, ChopmarkError)}
        if isinstance(answer, ChopmarkError):
            one["error"] = {"code": answer.code, "message": answer.message}
        else:
            one["event"] = answer.to_dict()
        results.append(one)
    return {"decided": sum(one["ok"] for one in results), "results": results}


@router.get("/review/agreement")
async def agreement(desk: CallerDesk, _caller: RecordReader) -> dict[str, Any]:
    """Return how far second opinions agree with first ones, by queue, with Cohen's kappa."""
    found = await in_thread(desk.review.agreement)
    return {"queues": {name: counted.to_dict() for name, counted in found.items()}}


@router.post("/review/{record_id}/skip")
async def skip(
    record_id: AnyId, body: SkipBody, desk: CallerDesk, _caller: Reviewer
) -> dict[str, Any]:
    """Give a task back with a reason; it is not given to the same person again."""
    booked = await in_thread(lambda: desk.review.skip(record_id, reason=body.reason))
    return {"event": booked.to_dict()}


@router.post("/records/{record_id}/comments")
async def comment(
    record_id: AnyId, body: CommentBody, desk: CallerDesk, _caller: AnyCaller
) -> dict[str, Any]:
    """Write something on a record for whoever looks at it next; reviewers and investigators."""
    booked = await in_thread(lambda: desk.review.comment(record_id, text=body.text))
    return {"event": booked.to_dict()}
