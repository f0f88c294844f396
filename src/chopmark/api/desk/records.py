"""The desk over HTTP: find records, see their evidence, work on queues, read the reports.

Whatever is done here goes through ``AuditLog.desk``: it is booked with a name and a purpose, and a
caller of one tenant finds nothing of another.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Caller, Reading, Reviewing
from chopmark.service.problems import RESPONSES
from chopmark.service.service import Serving

if TYPE_CHECKING:
    from chopmark.audit import Desk
    from chopmark.service.service import Service

__all__ = ["AnyId", "Body", "Desking", "Purpose", "Time", "Whole", "desk_of", "router"]

AnyId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Of a record or an output")]
Purpose = Annotated[
    str | None, Query(max_length=500, description="Why; it is booked with what is done")
]
Time = Annotated[
    str | None,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        description="RFC 3339, UTC",
    ),
]
Score = Annotated[float | None, Field(ge=0, le=1)]
Name = Annotated[str | None, Field(min_length=1, max_length=200)]
router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["desk"])


def _whole(value: object) -> object:
    """Return 100 for 100.0: in JSON they are the same number (JSON Schema, section 6.3)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)


class Body(BaseModel):
    """A JSON body of ours: a member that nobody knows is an error, not a wish that is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Asked(Body):
    """What to look for; see :class:`chopmark.audit.Query`."""

    text: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    tenant: Name = None
    decision: Literal["allow", "review", "block", "failed", "open"] | None = None
    category: Name = None
    min_score: Score = None
    max_score: Score = None
    model: Name = None
    policy: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    subject: Name = None
    since: Time = None
    until: Time = None
    similar_to: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$", description="A PDQ hash")] = (
        None
    )
    distance: Annotated[int, Field(ge=0, le=256), Whole] = 31

    def query(self) -> Any:
        """Return it as the desk takes it."""
        from chopmark.audit import Query as DeskQuery

        members = {name: getattr(self, name) for name in Asked.model_fields}
        return DeskQuery(**members)


class Search(Asked):
    """A query and which page of its answer."""

    limit: Annotated[int, Field(ge=1, le=200), Whole] = 50
    before: Annotated[int | None, Field(ge=0, le=2**53), Whole] = None


class Lease(Body):
    """Which queue, and for how long."""

    queue: Annotated[str, Field(min_length=1, max_length=100)]
    minutes: Annotated[int, Field(ge=1, le=240), Whole] = 15


class Decision(Body):
    """What was decided, and why."""

    decision: Literal["confirmed", "overturned", "escalated"]
    rationale: Annotated[str, Field(min_length=1, max_length=10_000)]


def desk_of(service: Service, caller: Caller, purpose: str | None) -> Desk:
    """Return the desk at which a caller sits; what it does is in the log under their name."""
    return service.pipeline.parts.log.desk(
        caller.actor(), purpose=(purpose or "").strip() or "asked over the HTTP API"
    )


def seated(request: Request, purpose: Purpose = None) -> Desk:
    """Return the desk of a request's caller."""
    return desk_of(request.app.state.service, request.state.caller, purpose)


Desking = Annotated[Any, Depends(seated)]


@router.get("/records/{record_id}")
async def record(
    record_id: AnyId,
    service: Serving,
    caller: Reading,
    purpose: Purpose = None,
    evidence: Annotated[
        bool, Query(description="With what was asked for and why it was judged so; booked")
    ] = False,
) -> dict[str, Any]:
    """Return the public part of every event of one request; its content to whom may see it."""
    desk = desk_of(service, caller, purpose)
    if not evidence:
        records = await in_thread(lambda: desk.records(record_id))
        return {"record_id": records[0].record_id, "events": [r.to_dict() for r in records]}
    if purpose is None or not purpose.strip():
        raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
    view = await in_thread(lambda: desk.view(record_id))
    events = [
        {**item.to_dict(), "private": private}
        for item, private in zip(view.records, view.private, strict=True)
    ]
    return {"record_id": view.records[0].record_id, "events": events}


@router.get("/receipts/{record_id}")
async def receipt(record_id: AnyId, service: Serving, caller: Reading) -> dict[str, Any]:
    """Return the receipt of a request that ended: inclusion proof and signed checkpoint."""
    desk, log = desk_of(service, caller, None), service.pipeline.parts.log
    found = await in_thread(lambda: desk.records(record_id))
    said: dict[str, Any] = (
        await in_thread(lambda: log.proof.receipt(found[0].record_id))
    ).to_dict()
    return said


@router.post("/search")
async def search(body: Search, desk: Desking, _caller: Reading) -> dict[str, Any]:
    """Find records, newest first; the search is booked. ``next`` is the next page's ``before``."""
    hits = await in_thread(lambda: desk.search(body.query(), limit=body.limit, before=body.before))
    return {
        "hits": [hit.to_dict() for hit in hits],
        "next": hits[-1].index if len(hits) == body.limit else None,
    }


@router.get("/review/tasks")
async def tasks(
    desk: Desking,
    _caller: Reading,
    queue: Annotated[str | None, Query(max_length=100)] = None,
    only_open: Annotated[bool, Query()] = True,
) -> dict[str, Any]:
    """List what is queued, the next one first."""
    found = await in_thread(lambda: desk.review.tasks(queue, only_open=only_open))
    return {"tasks": [task.to_dict() for task in found]}


@router.post("/review/lease")
async def lease(body: Lease, desk: Desking, _caller: Reviewing) -> dict[str, Any]:
    """Take the next task of a queue; ``task`` is null when nothing waits."""
    task = await in_thread(
        lambda: desk.review.lease(body.queue, duration=timedelta(minutes=body.minutes))
    )
    return {"task": None if task is None else task.to_dict()}


@router.post("/review/{record_id}/renew")
async def renew(record_id: AnyId, desk: Desking, _caller: Reviewing) -> dict[str, Any]:
    """Keep a task for another quarter of an hour."""
    return {"task": (await in_thread(lambda: desk.review.renew(record_id))).to_dict()}


@router.post("/review/{record_id}/release")
async def release(record_id: AnyId, desk: Desking, _caller: Reviewing) -> dict[str, Any]:
    """Give a task back undecided."""
    booked = await in_thread(lambda: desk.review.release(record_id))
    return {"event": booked.to_dict()}


@router.post("/review/{record_id}/decide")
async def decide(
    record_id: AnyId, body: Decision, desk: Desking, _caller: Reviewing
) -> dict[str, Any]:
    """Decide on a task that is held."""
    booked = await in_thread(
        lambda: desk.review.decide(record_id, body.decision, rationale=body.rationale)
    )
    return {"event": booked.to_dict()}


@router.get("/report")
async def report(
    desk: Desking, _caller: Reading, since: Time = None, until: Time = None
) -> dict[str, Any]:
    """Return the transparency report of a period, counted from public entries only."""
    said: dict[str, Any] = await in_thread(
        lambda: desk.export.report(since=since or "", until=until or "9999")
    )
    return said
