"""The desk over HTTP: find records, see their evidence, work on queues, read the reports.

Whatever is done here goes through ``AuditLog.desk``: it is booked with a name and a purpose, and a
caller of one tenant finds nothing of another.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from chopmark.audit import Desk, withdrawn_at
from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Caller, RecordReader, Reviewer, caller_of
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.review_rules import rules_of
from chopmark.service.search_form import SearchForm, Strict, Time, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import Record
    from chopmark.service.service import Service

__all__ = ["AnyId", "CallerDesk", "Purpose", "desk_of", "router"]

AnyId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Of a record or an output")]
Purpose = Annotated[
    str | None,
    Query(max_length=limits.PURPOSE.most, description="Why; it is logged with what is done"),
]
router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["desk"])


class SearchBody(SearchForm):
    """A query and which page of its answer."""

    limit: Annotated[int, Field(ge=1, le=200), Whole] = 50
    before: Annotated[int | None, Field(ge=0, le=2**53), Whole] = None


class LeaseBody(Strict):
    """Which queue, and for how long."""

    queue: Annotated[str, Field(min_length=limits.QUEUE.least, max_length=limits.QUEUE.most)]
    minutes: Annotated[int, Field(ge=1, le=240), Whole] = 15


class DecisionBody(Strict):
    """What was decided, and why."""

    decision: Literal["confirmed", "overturned", "escalated"]
    rationale: Annotated[
        str, Field(min_length=limits.RATIONALE.least, max_length=limits.RATIONALE.most)
    ]
    allow_until: Annotated[
        Time, Field(description="With `overturned`: this very prompt passes until then")
    ] = None


def desk_of(service: Service, caller: Caller, purpose: str | None) -> Desk:
    """Return the desk at which a caller sits; what it does is in the log under their name."""
    return service.pipeline.parts.log.desk(
        caller.actor(), purpose=(purpose or "").strip() or "asked over the HTTP API"
    )


def caller_desk(request: Request, service: TheService, purpose: Purpose = None) -> Desk:
    """Return the desk of a request's caller."""
    return desk_of(service, caller_of(request), purpose)


CallerDesk = Annotated[Desk, Depends(caller_desk)]


@router.get("/records/{record_id}")
async def record(
    record_id: AnyId,
    service: TheService,
    caller: RecordReader,
    purpose: Purpose = None,
    evidence: Annotated[
        bool, Query(description="With what was asked for and why it was judged so; logged")
    ] = False,
) -> dict[str, Any]:
    """Return the public part of every event of one request; its content to whom may see it."""
    desk = desk_of(service, caller, purpose)
    if not evidence:
        records = await in_thread(lambda: desk.records(record_id))
        return {**_state(records), "events": [r.to_dict() for r in records]}
    if purpose is None or not purpose.strip():
        raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
    view = await in_thread(lambda: desk.view(record_id))
    events = [
        {**item.to_dict(), "private": private}
        for item, private in zip(view.records, view.private, strict=True)
    ]
    return {**_state(view.records), "events": events}


def _state(records: Sequence[Record]) -> dict[str, Any]:
    """Return which record it is, and whether its pictures are withdrawn."""
    since = withdrawn_at(records)
    return {
        "record_id": records[0].record_id,
        "withdrawn": since is not None,
        "withdrawn_at": since,
    }


@router.get("/receipts/{record_id}")
async def receipt(record_id: AnyId, service: TheService, caller: RecordReader) -> dict[str, Any]:
    """Return the receipt of a request that ended: inclusion proof and signed checkpoint."""
    desk, log = desk_of(service, caller, None), service.pipeline.parts.log
    found = await in_thread(lambda: desk.records(record_id))
    return (await in_thread(lambda: log.proof.receipt(found[0].record_id))).to_dict()


@router.post("/search")
async def search(
    body: SearchBody,
    desk: CallerDesk,
    caller: RecordReader,
    purpose: Purpose = None,
    evidence: Annotated[bool, Query(description="With the prompts; takes a purpose")] = False,
) -> dict[str, Any]:
    """Find records, newest first; the search is logged. ``next`` is the next page's ``before``.

    With ``evidence`` each hit has its ``prompt``, for investigators who say why; that is logged.
    """
    if evidence:
        caller.must_be("investigator")
        if purpose is None or not purpose.strip():
            raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
    hits = await in_thread(lambda: desk.search(body.query(), limit=body.limit, before=body.before))
    prompts = await in_thread(lambda: desk.prompts(hits)) if evidence else {}
    more = [{"prompt": prompts.get(hit.record_id)} if evidence else {} for hit in hits]
    return {
        "hits": [hit.to_dict() | told for hit, told in zip(hits, more, strict=True)],
        "next": hits[-1].index if len(hits) == body.limit else None,
    }


@router.get("/review/tasks")
async def tasks(
    desk: CallerDesk,
    _caller: RecordReader,
    queue: Annotated[str | None, Query(max_length=limits.QUEUE.most)] = None,
    only_open: Annotated[bool, Query()] = True,
) -> dict[str, Any]:
    """List what is queued, the next one first."""
    found = await in_thread(lambda: desk.review.tasks(queue, only_open=only_open))
    return {"tasks": [task.to_dict() for task in found]}


@router.post("/review/lease")
async def lease(body: LeaseBody, desk: CallerDesk, _caller: Reviewer) -> dict[str, Any]:
    """Take the next task of a queue; ``task`` is null when nothing waits."""
    task = await in_thread(
        lambda: desk.review.lease(body.queue, duration=timedelta(minutes=body.minutes))
    )
    return {"task": None if task is None else task.to_dict()}


@router.post("/review/{record_id}/renew")
async def renew(record_id: AnyId, desk: CallerDesk, _caller: Reviewer) -> dict[str, Any]:
    """Keep a task for another quarter of an hour."""
    return {"task": (await in_thread(lambda: desk.review.renew(record_id))).to_dict()}


@router.post("/review/{record_id}/release")
async def release(record_id: AnyId, desk: CallerDesk, _caller: Reviewer) -> dict[str, Any]:
    """Give a task back undecided."""
    booked = await in_thread(lambda: desk.review.release(record_id))
    return {"event": booked.to_dict()}


@router.post("/review/{record_id}/decide")
async def decide(
    record_id: AnyId,
    body: DecisionBody,
    desk: CallerDesk,
    service: TheService,
    _caller: Reviewer,
) -> dict[str, Any]:
    """Decide on a task that is held; what is escalated waits in the next queue with its note."""

    def decided() -> Record:
        return desk.review.decide(
            record_id,
            body.decision,
            rationale=body.rationale,
            allow_until=body.allow_until,
            rules=rules_of(service.pipeline.settings),
        )

    return {"event": (await in_thread(decided)).to_dict()}


@router.get("/report")
async def report(
    desk: CallerDesk, _caller: RecordReader, since: Time = None, until: Time = None
) -> dict[str, Any]:
    """Return the transparency report of a period, counted from public entries only."""
    return await in_thread(lambda: desk.export.report(since=since or "", until=until or "9999"))
