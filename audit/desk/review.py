"""Review: routing rules send records to queues, leases give them to one person at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.desk.decisions import MOST_AT_ONCE, decide_many, decide_one
from chopmark.audit.desk.leases import LEASE, book_on_lease, lease_next
from chopmark.audit.desk.routing import queue_matching
from chopmark.audit.desk.second_opinions import agreement_of
from chopmark.audit.desk.takedowns import demand_takedown, overdue
from chopmark.audit.desk.tasks import tasks_of
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.clock import now
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from chopmark.audit.desk.agreement import Agreement
    from chopmark.audit.desk.rules import Rule
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.desk.takedowns import Demand
    from chopmark.audit.desk.tasks import ReviewDecision, Task
    from chopmark.audit.log.events import Record
    from chopmark.audit.search.query import Hit
    from chopmark.errors import ChopmarkError

__all__ = ["Review"]


class Review:
    """The queues of a log, as one person works on them.

    Args:
        session: Whose.
    """

    def __init__(self, session: DeskSession) -> None:
        self._session = session

    def route(self, rules: Iterable[Rule], *, since: int = 0) -> list[Record]:
        """Queue every ended record that a rule matches and that was never queued; first rule wins.

        Args:
            rules: In order.
            since: Only records that begin at this entry or later.
        """
        self._session.require("reviewer", "writer")
        return queue_matching(self._session, rules, since=since)

    def lease(self, queue: str, *, duration: timedelta = LEASE) -> Task | None:
        """Take the next task of a queue: highest priority, then longest waiting.

        Nobody else gets it until it is decided, released, or the lease ends.

        Returns:
            The task, or None when nothing waits.
        """
        self._session.require("reviewer")
        return lease_next(self._session, queue, duration)

    def renew(self, record_id: str, *, duration: timedelta = LEASE) -> Task:
        """Keep a task that this person holds for longer.

        Raises:
            NotPermitted: It is not held by this person.
        """
        until = now(duration.total_seconds())
        book_on_lease(self._session, record_id, "review.leased", {"until": until}, {})
        return tasks_of(self._session, record_id=record_id)[0]

    def release(self, record_id: str) -> Record:
        """Give a task back undecided.

        Raises:
            NotPermitted: It is not held by this person.
        """
        return book_on_lease(self._session, record_id, "review.released", {}, {})

    def skip(self, record_id: str, *, reason: str) -> Record:
        """Give a task back and say why; it is not given to the same person again.

        Raises:
            NotPermitted: It is not held by this person.
            InvalidRequest: No reason.
        """
        if not reason.strip():
            raise InvalidRequest("skipping needs a reason", param="reason")
        return book_on_lease(
            self._session, record_id, "review.released", {"skipped": True}, {"reason": reason}
        )

    def comment(self, record_id: str, *, text: str) -> Record:
        """Write something on a record for whoever looks at it next; it decides nothing.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: There is nothing in it.
        """
        session = self._session
        session.require("reviewer", "investigator")
        if not text.strip():
            raise InvalidRequest("there is nothing in the comment", param="text")
        record = RecordViewer(session).records(record_id)[0]
        return session.writer.append(
            session.event(
                "review.commented",
                record.record_id,
                private={"comment": text},
                tenant=record.tenant,
            )
        )

    def decide(
        self,
        record_id: str,
        decision: ReviewDecision,
        *,
        rationale: str,
        allow_until: str | None = None,
        rules: Sequence[Rule] = (),
    ) -> Record:
        """Decide on a task.

        Args:
            record_id: A task that this person holds.
            decision: ``escalated`` sends it on, with the rationale as a note.
            rationale: Why.
            allow_until: With ``overturned``: let this very prompt pass for this tenant until then
                (RFC 3339); None makes no exception. Pictures made from it are judged as ever.
            rules: They say to which queue an escalated task goes, and how many tasks somebody else
                decides on as well.

        Raises:
            NotPermitted: It is not held by this person, or the category allows no exception.
            InvalidRequest: No rationale, or an exception without an overturned refusal.
        """
        return decide_one(
            self._session,
            record_id,
            decision,
            rationale=rationale,
            allow_until=allow_until,
            rules=rules,
        )

    def bulk(
        self,
        record_ids: Sequence[str],
        decision: ReviewDecision,
        *,
        rationale: str,
        rules: Sequence[Rule] = (),
    ) -> list[Record | ChopmarkError]:
        """Decide on many tasks for one reason; each decision is an entry of its own.

        What is free, or held by this person, is decided; nothing needs to be leased first.

        Args:
            record_ids: At most 1,000.
            decision: For all of them.
            rationale: For all of them.
            rules: They say to which queue escalated tasks go.

        Returns:
            For each its ``review.decided`` entry, or why just this one was not decided.

        Raises:
            NotPermitted: No role for it.
            InvalidRequest: No rationale, no record, or more than 1,000.
        """
        self._session.require("reviewer")
        return decide_many(self._session, record_ids, decision, rationale=rationale, rules=rules)

    def day(self) -> dict[str, int]:
        """Return how many tasks this person decided today (UTC), by decision."""
        self._session.require("reader", "reviewer", "investigator")
        self._session.index.update()
        with self._session.index.database.read() as index:
            rows = index.execute(
                "SELECT decision, count(*) FROM opinion WHERE by = ? AND time >= ?"
                " GROUP BY decision",
                (self._session.actor.name, now()[:10]),
            )
        return {str(decision): int(count) for decision, count in rows if decision}

    def agreement(self) -> dict[str, Agreement]:
        """Return how far second opinions agree with first ones, by queue; complete pairs only."""
        self._session.require("reader", "reviewer", "investigator", "auditor")
        return agreement_of(self._session)

    def takedown(
        self,
        record_id: str,
        demand: Demand,
        *,
        reference: str,
        hours: float | None,
        received: str | None = None,
    ) -> Record:
        """Book a demand to take a record's pictures down; it waits in the queue ``takedown``.

        Deciding on it takes nothing down: ``desk.outputs.withdraw`` does.

        Args:
            record_id: The record, or one of its outputs.
            demand: ``order``, or ``intimate``, which comes first.
            reference: Who demands it, and under which number.
            hours: How long there is from its arrival; None: no deadline.
            received: When it arrived, RFC 3339; None is now.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No reference, or it arrived in the future.
            DuplicateRecord: A demand about this record waits already.
        """
        return demand_takedown(
            self._session, record_id, demand, reference=reference, hours=hours, received=received
        )

    def overdue(self, *, follow: bool = True) -> int:
        """Return how many open tasks are past their time; without ``follow``, as last seen."""
        return overdue(self._session, follow=follow)

    def tasks(
        self, queue: str | None = None, *, record_id: str | None = None, only_open: bool = False
    ) -> list[Task]:
        """Return what is or was queued, the next one first.

        Args:
            queue: Only this queue.
            record_id: Only this record.
            only_open: Only what is not decided.
        """
        self._session.require("reader", "reviewer", "investigator")
        self._session.index.update()
        found = tasks_of(self._session, queue=queue, record_id=record_id)
        return [task for task in found if task.decision is None or not only_open]

    def free(self, queue: str, *, limit: int = MOST_AT_ONCE) -> list[Task]:
        """Return what :meth:`bulk` could decide in a queue, the next one first.

        Args:
            queue: Which.
            limit: At most so many.

        Raises:
            NotPermitted: No role for it.
        """
        me, clock = self._session.actor.name, now()
        return [
            task
            for task in self.tasks(queue, only_open=True)
            if task.until is None or task.until < clock or task.holder == me
        ][:limit]

    def hits(self, tasks: Iterable[Task]) -> list[tuple[Task, Hit]]:
        """Return tasks with their records' scores, as a search shows them."""
        listed = list(tasks)
        hits = self._session.index.of_records([task.record_id for task in listed])
        return [(task, hits[task.record_id]) for task in listed if task.record_id in hits]
