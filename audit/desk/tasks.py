"""A record in a queue: as people see it, as a decision about it is made, and both read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from chopmark.audit.log.clock import now
from chopmark.errors import NotPermitted

if TYPE_CHECKING:
    from chopmark.audit.desk.session import DeskSession
    from chopmark.kit.types import JsonValue

__all__ = ["ReviewDecision", "Task", "Waiting", "not_on_lease", "tasks_of", "waiting_of"]

ReviewDecision = Literal["confirmed", "overturned", "escalated"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A record in a queue.

    Attributes:
        tenant: Whose record.
        queued: When it was queued, RFC 3339 in UTC.
        until: When the lease ends; None when nobody holds it.
        holder: Who holds it, or held it last.
        decision: What was decided, None while it waits.
        due: By when it is to be decided, RFC 3339 in UTC; None where there is no deadline.
    """

    record_id: str
    tenant: str
    queue: str
    priority: int
    queued: str
    holder: str | None
    until: str | None
    decision: ReviewDecision | None
    due: str | None = None

    @property
    def late(self) -> bool:
        """Whether it waits, and its time is over."""
        return self.decision is None and self.due is not None and self.due < now()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class Waiting(NamedTuple):
    """A task in the projection."""

    record_id: str
    tenant: str
    queue: str
    priority: int
    decision: ReviewDecision | None
    holder: str | None
    scope: str | None
    until: str | None
    state: Literal["second", "disputed"] | None
    first: ReviewDecision | None
    """What was decided last, if anything was."""
    judged: int
    """Whether this person decided on the record before."""

    def held(self) -> bool:
        """Tell whether somebody has it on lease now."""
        return self.until is not None and self.until >= now()

    def for_others(self) -> bool:
        """Tell whether it must be somebody who did not decide on the record before."""
        return self.state is not None and bool(self.judged)

    def mine(self, session: DeskSession) -> bool:
        """Tell whether it is on lease to this person now."""
        me = (session.actor.name, session.actor.scope)
        return self.held() and (self.holder, self.scope) == me


def not_on_lease(record_id: str) -> NotPermitted:
    """Return the refusal of whoever acts on a task that is not theirs."""
    return NotPermitted(f"record {record_id} is not on lease to you", hint="lease it first")


def tasks_of(
    session: DeskSession, *, queue: str | None = None, record_id: str | None = None
) -> list[Task]:
    """Return what is or was queued and this person may see, the next one first.

    As far as the projection has followed.

    Args:
        session: Whose.
        queue: Only this queue.
        record_id: Only this record.
    """
    with session.index.database.read() as index:
        rows = index.execute(
            "SELECT review.record_id, tenant, queue, priority, since, holder, until,"
            " review.decision, due FROM review JOIN item ON item.record_id = review.record_id"
            " WHERE queue = coalesce(?, queue) AND review.record_id = coalesce(?,"
            " review.record_id) AND tenant = coalesce(?, tenant)"
            " ORDER BY review.decision IS NOT NULL, priority DESC, due IS NULL, due, queued",
            (queue, record_id, session.tenant),
        )
    return [
        Task(
            record_id=row[0],
            tenant=row[1],
            queue=row[2],
            priority=row[3],
            queued=row[4],
            holder=row[5],
            until=row[6],
            decision=row[7],
            due=row[8],
        )
        for row in rows
    ]


def waiting_of(session: DeskSession, record_id: str) -> Waiting | None:
    """Return a task as the projection has it; None where there is none for this person."""
    with session.index.database.read() as index:
        rows = index.execute(
            "SELECT review.record_id, tenant, queue, priority, review.decision, holder, scope,"
            " until, state, (SELECT decision FROM opinion WHERE record_id = review.record_id"
            " ORDER BY idx DESC LIMIT 1), EXISTS (SELECT 1 FROM opinion"
            " WHERE opinion.record_id = review.record_id AND opinion.by = ?)"
            " FROM review JOIN item ON item.record_id = review.record_id"
            " WHERE review.record_id = ? AND tenant = coalesce(?, tenant)",
            (session.actor.name, record_id, session.tenant),
        )
    return Waiting(*rows[0]) if rows else None
