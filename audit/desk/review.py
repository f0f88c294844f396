"""Review: routing rules send records to queues, leases give them to one person at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.allowances import allow_prompt
from chopmark.audit.desk.second_opinions import agreement_of, waits_again
from chopmark.audit.desk.tasks import Task, Waiting, not_on_lease
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.clock import moment, now
from chopmark.audit.search.query import Query
from chopmark.errors import (
    ChopmarkError,
    DuplicateRecord,
    InvalidRequest,
    NotPermitted,
    RecordNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.audit.desk.agreement import Agreement
    from chopmark.audit.desk.rules import Rule
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.desk.tasks import ReviewDecision
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.audit.search.query import Hit
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["LEASE", "MOST_AT_ONCE", "Review"]

LEASE: Final = timedelta(minutes=15)
MOST_AT_ONCE: Final = 1000
"""Decisions in one call of :meth:`Review.bulk`."""


class Review:
    """The queues of a log, as one person works on them.

    A decision that depends on the projection (is this free? is it mine?) is made inside the
    writing transaction of the log, after the projection has followed to its end: no two desks, in
    whatever processes, can decide on the same state.
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
        listed, before = list(rules), None
        matched: list[tuple[Hit, Rule]] = []
        self._session.index.update()
        while hits := self._session.index.find(
            self._session.within(Query()), limit=1000, before=before
        ):
            for hit in hits:
                rule = next((rule for rule in listed if rule.matches(hit)), None)
                ended = hit.decision != "open" and hit.index >= since
                if rule is not None and ended and not self._tasks(record_id=hit.record_id):
                    matched.append((hit, rule))
            before = hits[-1].index
            if before <= since:
                break
        booked = []
        for hit, rule in reversed(matched):  # what came first waits longest
            with self._session.ledger.booking() as transaction:
                self._session.index.update()  # another desk may have queued it a moment ago
                if not self._tasks(record_id=hit.record_id):
                    booked.append(self._queue(transaction, hit, rule))
        self._session.index.update()
        return booked

    def _queue(self, transaction: Transaction, hit: Hit, rule: Rule) -> Record:
        event = self._session.event(
            "review.queued",
            hit.record_id,
            {"queue": rule.queue, "priority": rule.priority},
            tenant=hit.tenant,
        )
        return self._session.ledger.book_within(transaction, event)

    def lease(self, queue: str, *, duration: timedelta = LEASE) -> Task | None:
        """Take the next task of a queue: highest priority, then longest waiting.

        Nobody else gets it until it is decided, released, or the lease ends.

        Returns:
            The task, or None when nothing waits.
        """
        self._session.require("reviewer")
        me = self._session.actor.name
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            with self._session.index.database.read() as index:
                rows = index.execute(
                    "SELECT review.record_id, tenant FROM review"
                    " JOIN item ON item.record_id = review.record_id"
                    " WHERE queue = ? AND review.decision IS NULL AND tenant = coalesce(?, tenant)"
                    # A lease that is over frees the task by itself; nobody has to clean up.
                    " AND (until IS NULL OR until < ?) AND NOT EXISTS (SELECT 1 FROM skipped"
                    " WHERE skipped.record_id = review.record_id AND by = ?)"
                    # A second opinion is another person's, and so is what two disagreed on.
                    " AND (state IS NULL OR NOT EXISTS (SELECT 1 FROM opinion"
                    " WHERE opinion.record_id = review.record_id AND opinion.by = ?))"
                    " ORDER BY priority DESC, queued LIMIT 1",
                    (queue, self._session.tenant, now(), me, me),
                )
            if not rows:
                return None
            record_id, tenant = rows[0]
            until = now(duration.total_seconds())
            event = self._session.event("review.leased", record_id, {"until": until}, tenant=tenant)
            self._session.ledger.book_within(transaction, event)
        self._session.index.update()
        return self._tasks(record_id=record_id)[0]

    def renew(self, record_id: str, *, duration: timedelta = LEASE) -> Task:
        """Keep a task that this person holds for longer.

        Raises:
            NotPermitted: It is not held by this person.
        """
        until = now(duration.total_seconds())
        self._on_lease(record_id, "review.leased", {"until": until}, {})
        return self._tasks(record_id=record_id)[0]

    def release(self, record_id: str) -> Record:
        """Give a task back undecided.

        Raises:
            NotPermitted: It is not held by this person.
        """
        return self._on_lease(record_id, "review.released", {}, {})

    def skip(self, record_id: str, *, reason: str) -> Record:
        """Give a task back and say why; it is not given to the same person again.

        Raises:
            NotPermitted: It is not held by this person.
            InvalidRequest: No reason.
        """
        if not reason.strip():
            raise InvalidRequest("skipping needs a reason", param="reason")
        return self._on_lease(record_id, "review.released", {"skipped": True}, {"reason": reason})

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
        allow = self._check_decision(decision, rationale, allow_until)
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            row = self._waiting(record_id)
            if row is None or not row.mine(self._session):
                raise not_on_lease(record_id)
            booked = self._decided(transaction, row, decision, rationale, rules)
            if allow is not None:
                # In the same transaction: a refused exception takes the decision back as well.
                allow_prompt(self._session, transaction, record_id, row.tenant, allow)
        self._session.index.update()
        return booked

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
        self._check_decision(decision, rationale, None)
        if not 0 < len(record_ids) <= MOST_AT_ONCE:
            raise InvalidRequest(
                f"{len(record_ids)} records, not 1 to {MOST_AT_ONCE}", param="records"
            )
        answers: list[Record | ChopmarkError] = []
        done: set[str] = set()
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            for record_id in record_ids:
                row = self._waiting(record_id)
                if row is None:
                    answers.append(RecordNotFound(f"no task of record {record_id[:16]}"))
                elif row.decision is not None or record_id in done:
                    answers.append(DuplicateRecord(f"record {record_id} is decided already"))
                elif row.held() and not row.mine(self._session):
                    answers.append(NotPermitted(f"somebody else has record {record_id} on lease"))
                elif row.for_others():
                    answers.append(NotPermitted(f"somebody else decides on record {record_id} now"))
                else:
                    done.add(record_id)
                    answers.append(self._decided(transaction, row, decision, rationale, rules))
        self._session.index.update()
        return answers

    def _check_decision(
        self, decision: ReviewDecision, rationale: str, allow_until: str | None
    ) -> str | None:
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        if allow_until is None:
            return None
        if decision != "overturned":
            raise InvalidRequest("only an overturned refusal makes an exception")
        return moment(allow_until)

    def _decided(
        self,
        transaction: Transaction,
        row: Waiting,
        decision: ReviewDecision,
        rationale: str,
        rules: Sequence[Rule],
    ) -> Record:
        """Book a decision; where somebody else is to decide, it waits again from then on."""
        session = self._session
        public: dict[str, JsonValue] = {"decision": decision}
        if row.state == "second":
            public["second"] = True
        booked = session.ledger.book_within(
            transaction,
            session.event(
                "review.decided",
                row.record_id,
                public,
                {"rationale": rationale},
                tenant=row.tenant,
            ),
        )
        onward = waits_again(row, decision, rules)
        if onward is not None:
            session.ledger.book_within(
                transaction,
                session.event("review.queued", row.record_id, onward, tenant=row.tenant),
            )
        return booked

    def _waiting(self, record_id: str) -> Waiting | None:
        """Return a task as the projection has it; None where there is none for this person."""
        with self._session.index.database.read() as index:
            rows = index.execute(
                "SELECT review.record_id, tenant, queue, priority, review.decision, holder, scope,"
                " until, state, (SELECT decision FROM opinion WHERE record_id = review.record_id"
                " ORDER BY idx DESC LIMIT 1), EXISTS (SELECT 1 FROM opinion"
                " WHERE opinion.record_id = review.record_id AND opinion.by = ?)"
                " FROM review JOIN item ON item.record_id = review.record_id"
                " WHERE review.record_id = ? AND tenant = coalesce(?, tenant)",
                (self._session.actor.name, record_id, self._session.tenant),
            )
        return Waiting(*rows[0]) if rows else None

    def _on_lease(
        self,
        record_id: str,
        kind: EventKind,
        public: dict[str, JsonValue],
        private: dict[str, JsonValue],
    ) -> Record:
        self._session.require("reviewer")
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            row = self._waiting(record_id)
            if row is None or not row.mine(self._session):
                raise not_on_lease(record_id)
            event = self._session.event(kind, record_id, public, private, tenant=row.tenant)
            record = self._session.ledger.book_within(transaction, event)
        self._session.index.update()
        return record

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
        found = self._tasks(queue=queue, record_id=record_id)
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

    def _tasks(self, *, queue: str | None = None, record_id: str | None = None) -> list[Task]:
        with self._session.index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT review.record_id, tenant, queue, priority, since, holder, until,"
                " review.decision FROM review JOIN item ON item.record_id = review.record_id"
                " WHERE queue = coalesce(?, queue) AND review.record_id = coalesce(?,"
                " review.record_id) AND tenant = coalesce(?, tenant)"
                " ORDER BY review.decision IS NOT NULL, priority DESC, queued",
                (queue, record_id, self._session.tenant),
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
            )
            for row in rows
        ]
