"""Leases: a task is one person's for a while, and nobody has to clean up when it is over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.tasks import not_on_lease, tasks_of, waiting_of
from chopmark.audit.log.clock import now

if TYPE_CHECKING:
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.desk.tasks import Task
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.kit.types import JsonValue

__all__ = ["LEASE", "book_on_lease", "lease_next"]

LEASE: Final = timedelta(minutes=15)


def lease_next(session: DeskSession, queue: str, duration: timedelta) -> Task | None:
    """Give this person the next task of a queue that is free for them; None when none is."""
    me = session.actor.name
    with session.ledger.booking() as transaction:
        session.index.update()
        with session.index.database.read() as index:
            rows = index.execute(
                "SELECT review.record_id, tenant FROM review"
                " JOIN item ON item.record_id = review.record_id"
                " WHERE queue = ? AND review.decision IS NULL AND tenant = coalesce(?, tenant)"
                # A lease that is over frees the task by itself.
                " AND (until IS NULL OR until < ?) AND NOT EXISTS (SELECT 1 FROM skipped"
                " WHERE skipped.record_id = review.record_id AND by = ?)"
                # A second opinion is another person's, and so is what two disagreed on.
                " AND (state IS NULL OR NOT EXISTS (SELECT 1 FROM opinion"
                " WHERE opinion.record_id = review.record_id AND opinion.by = ?))"
                " ORDER BY priority DESC, due IS NULL, due, queued LIMIT 1",
                (queue, session.tenant, now(), me, me),
            )
        if not rows:
            return None
        record_id, tenant = rows[0]
        until = now(duration.total_seconds())
        event = session.event("review.leased", record_id, {"until": until}, tenant=tenant)
        session.ledger.book_within(transaction, event)
    session.index.update()
    return tasks_of(session, record_id=record_id)[0]


def book_on_lease(
    session: DeskSession,
    record_id: str,
    kind: EventKind,
    public: dict[str, JsonValue],
    private: dict[str, JsonValue],
) -> Record:
    """Book something about a task that this person holds.

    Raises:
        NotPermitted: It is not held by this person.
    """
    session.require("reviewer")
    with session.ledger.booking() as transaction:
        session.index.update()
        row = waiting_of(session, record_id)
        if row is None or not row.mine(session):
            raise not_on_lease(record_id)
        event = session.event(kind, record_id, public, private, tenant=row.tenant)
        record = session.ledger.book_within(transaction, event)
    session.index.update()
    return record
