"""Demands to take pictures down: they wait in a queue of their own, each until a time.

Rules that give hours (India's IT Rules as amended in 2026: three, two for intimate pictures) count
from the demand's arrival, not from when somebody entered it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.desk.tasks import waiting_of
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.clock import moment, now
from chopmark.errors import DuplicateRecord, InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.kit.types import JsonValue

__all__ = ["TAKEDOWN", "Demand", "demand_takedown", "overdue"]

Demand = Literal["order", "intimate"]
TAKEDOWN: Final = "takedown"
"""The queue."""
_PRIORITY: Final[dict[Demand, int]] = {"order": 900, "intimate": 1000}


def demand_takedown(
    session: DeskSession,
    record_id: str,
    demand: Demand,
    *,
    reference: str,
    hours: float | None,
    received: str | None = None,
) -> Record:
    """Book a demand, and put the record before all other work.

    Args:
        session: Of whoever enters it.
        record_id: The record whose pictures it is about, or one of its outputs.
        demand: ``intimate`` comes before ``order``.
        reference: Who demands it, and under which number; kept encrypted.
        hours: How long there is from its arrival; None books no deadline.
        received: When it arrived, RFC 3339; None is now.

    Returns:
        The ``review.queued`` entry, with ``due`` in its public part where there is a deadline.

    Raises:
        NotPermitted: No role for it.
        RecordNotFound: No such record, or another tenant's.
        InvalidRequest: No reference, or it arrived in the future.
        DuplicateRecord: A demand about this record waits already.
    """
    session.require("reviewer", "writer")
    if not reference.strip():
        raise InvalidRequest("a demand names who makes it", param="reference")
    begun = now() if received is None else moment(received)
    if begun > now():
        raise InvalidRequest("it cannot have arrived in the future", param="received")
    record = RecordViewer(session).records(record_id)[0]
    public: dict[str, JsonValue] = {
        "queue": TAKEDOWN,
        "priority": _PRIORITY[demand],
        "demand": demand,
    }
    if hours is not None:
        due = datetime.fromisoformat(begun) + timedelta(hours=hours)
        public["due"] = moment(due.isoformat())
    with session.ledger.booking() as transaction:
        session.index.update()
        row = waiting_of(session, record.record_id)
        if row is not None and row.queue == TAKEDOWN and row.decision is None:
            raise DuplicateRecord(
                f"a demand about record {record.record_id} waits already",
                hint="decide on it first, or comment on the record",
            )
        event = session.event(
            "review.queued",
            record.record_id,
            public,
            {"reference": reference.strip(), "received": begun},
            tenant=record.tenant,
        )
        booked = session.ledger.book_within(transaction, event)
    session.index.update()
    return booked


def overdue(session: DeskSession, *, follow: bool = True) -> int:
    """Return how many open tasks of this person's view are past their time.

    Args:
        session: Whose view.
        follow: First bring the projection up to the log's end; without it, as far as it is.
    """
    if follow:
        session.index.update()
    with session.index.database.read() as index:
        rows = index.execute(
            "SELECT count(*) FROM review JOIN item ON item.record_id = review.record_id"
            " WHERE review.decision IS NULL AND due < ? AND tenant = coalesce(?, tenant)",
            (now(), session.tenant),
        )
    return int(rows[0][0])
