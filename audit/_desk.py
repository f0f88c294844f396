"""The desk: people at work in the log. Whatever they do is an entry, with their name and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit._events import Event
from chopmark.audit._export import rows_of, write_export
from chopmark.audit._schema import record_range
from chopmark.audit._search import Query, SearchIndex
from chopmark.audit._sequencer import SYSTEM_TENANT, Ledger, now
from chopmark.audit._statements import statement_of_reasons
from chopmark.errors import (
    DuplicateRecord,
    ErasureRefused,
    InvalidRequest,
    NotPermitted,
    RecordNotFound,
)
from chopmark.ids import new_record_id, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chopmark.audit._database import Transaction
    from chopmark.audit._events import EventKind, Record
    from chopmark.audit._export import ExportFormat
    from chopmark.audit._log import AuditLog
    from chopmark.audit._search import Decision, Hit
    from chopmark.audit._statements import StatementTemplate
    from chopmark.types import JsonValue

__all__ = ["Actor", "Appeal", "Desk", "Role", "Rule", "Task", "View"]

Role = Literal["writer", "reader", "reviewer", "investigator", "exporter", "eraser", "auditor"]
Outcome = Literal["upheld", "overturned"]
ReviewDecision = Literal["confirmed", "overturned", "escalated"]
_LEASE: Final = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person at the desk, as the deployer's sign-on knows them.

    Attributes:
        name: Who; kept encrypted with what they did.
        roles: What they may do. A reader searches, sees no content; a reviewer also decides on
            what is queued and sees its content; an investigator sees any content; an exporter
            exports; an eraser erases and places holds; an auditor verifies and sees no content.
    """

    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, kw_only=True)
class View:
    """A record with its content.

    Attributes:
        records: Its entries, oldest first.
        private: For each of them its content; None when it has none or it was erased.
    """

    records: tuple[Record, ...]
    private: tuple[dict[str, JsonValue] | None, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Sends ended records to a queue; every member that is given must hold.

    Attributes:
        queue: Where to.
        priority: Larger comes first.
    """

    queue: str
    priority: int = 0
    decision: Decision | None = None
    category: str | None = None
    min_score: float | None = None
    tenant: str | None = None

    def matches(self, hit: Hit) -> bool:
        """Tell whether the rule sends this record on."""
        score = hit.score if self.category is None else hit.categories.get(self.category, -1.0)
        return (
            self.decision in {None, hit.decision}
            and self.tenant in {None, hit.tenant}
            and (self.category is None or self.category in hit.categories)
            and (self.min_score is None or score >= self.min_score)
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A record in a queue.

    Attributes:
        until: When the lease ends; None when nobody holds it.
        holder: Who holds it.
        decision: What was decided, None while it waits.
    """

    record_id: str
    queue: str
    priority: int
    holder: str | None
    until: str | None
    decision: ReviewDecision | None


@dataclass(frozen=True, kw_only=True)
class Appeal:
    """An appeal of somebody who was refused.

    Attributes:
        outcome: None while it is open.
    """

    record_id: str
    time: str
    outcome: Outcome | None


class Desk:
    """What one person does in the log, for one purpose.

    Args:
        log: The log.
        ledger: Its writer.
        index: Its projection.
        actor: Who.
        purpose: Why; booked with every look.
    """

    def __init__(
        self, *, log: AuditLog, ledger: Ledger, index: SearchIndex, actor: Actor, purpose: str
    ) -> None:
        if not actor.name.strip() or not purpose.strip():
            raise InvalidRequest("nobody looks without a name and a purpose")
        self._log, self._ledger, self._index = log, ledger, index
        self._actor, self._purpose = actor, purpose

    def _may(self, *roles: Role) -> None:
        if not self._actor.roles.intersection(roles):
            raise NotPermitted(
                f"this takes one of the roles {', '.join(roles)}",
                hint="ask the deployer for the role",
            )

    def _event(
        self,
        kind: EventKind,
        record_id: str | None = None,
        public: dict[str, JsonValue] | None = None,
        private: dict[str, JsonValue] | None = None,
        *,
        tenant: str = SYSTEM_TENANT,
        subject: str | None = None,
    ) -> Event:
        record_id = record_id or new_record_id()
        return Event(
            kind=kind,
            record_id=record_id,
            event_id=f"{record_id}:{kind}:{new_record_id()}",
            tenant=tenant,
            subject=subject,
            public=public or {},
            private={"by": self._actor.name, "purpose": self._purpose, **(private or {})},
        )

    # Looking

    def search(self, query: Query, *, limit: int = 50, before: int | None = None) -> list[Hit]:
        """Find records; the search is booked before it runs.

        Raises:
            NotPermitted: No role for it.
            InvalidRequest: The query cannot be run.
        """
        self._may("reader", "reviewer", "investigator")
        self._log.append(self._event("access.searched", private={"query": query.to_dict()}))
        self._index.update()
        return self._index.find(query, limit=limit, before=before)

    def view(self, record_id: str) -> View:
        """Return a record with its content; the look is booked first.

        A reviewer sees what they hold on lease, an investigator everything.

        Raises:
            NotPermitted: No role for it, or not held.
            RecordNotFound: No such record.
        """
        record_id = record_of(record_id)
        self._may("reviewer", "investigator")
        if "investigator" not in self._actor.roles:
            self._index.update()
            with self._index.database.read() as transaction:
                self._held(transaction, record_id)
        records = self._log.records(record_id)
        self._log.append(self._event("access.viewed", public={"of": record_id}))
        return View(
            records=tuple(records),
            private=tuple(self._log.private(record.index) for record in records),
        )

    def unblur(self, output_id: str) -> Record:
        """Book that a picture is shown unblurred; show it only after this returns.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record.
        """
        self._may("reviewer", "investigator")
        self._log.records(output_id)
        return self._log.append(self._event("access.unblurred", public={"of": output_id}))

    # Reviewing

    def route(self, rules: Iterable[Rule], *, since: int = 0) -> list[Record]:
        """Queue every ended record that a rule matches and that was never queued; first rule wins.

        Args:
            rules: In order.
            since: Only records that begin at this entry or later.
        """
        self._may("reviewer", "writer")
        listed, booked, before = list(rules), [], None
        self._index.update()
        while hits := self._index.find(Query(), limit=1000, before=before):
            for hit in hits:
                rule = next((rule for rule in listed if rule.matches(hit)), None)
                if rule is None or hit.decision == "open" or hit.index < since:
                    continue
                with self._ledger.booking() as transaction:
                    self._index.update()
                    if self._task(hit.record_id) is None:
                        booked.append(self._queue(transaction, hit, rule.queue, rule.priority))
            before = hits[-1].index
            if before <= since:
                break
        self._index.update()
        return booked

    def _queue(self, transaction: Transaction, hit: Hit, queue: str, priority: int) -> Record:
        event = self._event(
            "review.queued",
            hit.record_id,
            {"queue": queue, "priority": priority},
            tenant=hit.tenant,
        )
        return self._ledger.book_within(transaction, event)

    def lease(self, queue: str, *, duration: timedelta = _LEASE) -> Task | None:
        """Take the next task of a queue: highest priority, then longest waiting.

        Nobody else gets it until it is decided, released, or the lease ends.

        Returns:
            The task, or None when nothing waits.
        """
        self._may("reviewer")
        until = now(duration.total_seconds())
        with self._ledger.booking() as transaction:
            self._index.update()
            with self._index.database.read() as index:
                rows = index.execute(
                    "SELECT review.record_id, tenant FROM review"
                    " JOIN item ON item.record_id = review.record_id"
                    " WHERE queue = ? AND review.decision IS NULL"
                    " AND (until IS NULL OR until < ?) ORDER BY priority DESC, queued LIMIT 1",
                    (queue, now()),
                )
            if not rows:
                return None
            record_id, tenant = rows[0]
            event = self._event("review.leased", record_id, {"until": until}, tenant=tenant)
            self._ledger.book_within(transaction, event)
        self._index.update()
        return self._task(record_id)

    def release(self, record_id: str) -> Record:
        """Give a task back undecided.

        Raises:
            NotPermitted: It is not held by this person.
        """
        return self._on_lease(record_id, "review.released", {}, {})

    def decide(self, record_id: str, decision: ReviewDecision, *, rationale: str) -> Record:
        """Decide on a task.

        Raises:
            NotPermitted: It is not held by this person.
            InvalidRequest: No rationale.
        """
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        return self._on_lease(
            record_id, "review.decided", {"decision": decision}, {"rationale": rationale}
        )

    def _on_lease(
        self,
        record_id: str,
        kind: EventKind,
        public: dict[str, JsonValue],
        private: dict[str, JsonValue],
    ) -> Record:
        self._may("reviewer")
        with self._ledger.booking() as transaction:
            self._index.update()
            with self._index.database.read() as index:
                tenant = self._held(index, record_id)
            event = self._event(kind, record_id, public, private, tenant=tenant)
            record = self._ledger.book_within(transaction, event)
        self._index.update()
        return record

    def _held(self, transaction: Transaction, record_id: str) -> str:
        """Return the tenant of a task that this person holds now."""
        rows = transaction.execute(
            "SELECT tenant FROM review JOIN item ON item.record_id = review.record_id"
            " WHERE review.record_id = ? AND holder = ? AND until >= ?",
            (record_id, self._actor.name, now()),
        )
        if not rows:
            raise NotPermitted(f"record {record_id} is not on lease to you", hint="lease it first")
        return str(rows[0][0])

    def _task(self, record_id: str) -> Task | None:
        tasks = self.tasks(record_id=record_id)
        return tasks[0] if tasks else None

    def tasks(self, queue: str | None = None, *, record_id: str | None = None) -> list[Task]:
        """Return what is or was queued, the next one first."""
        with self._index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT record_id, queue, priority, holder, until, decision FROM review"
                " WHERE queue = coalesce(?, queue) AND record_id = coalesce(?, record_id)"
                " ORDER BY decision IS NOT NULL, priority DESC, queued",
                (queue, record_id),
            )
        return [
            Task(
                record_id=row[0],
                queue=row[1],
                priority=row[2],
                holder=row[3],
                until=row[4],
                decision=row[5],
            )
            for row in rows
        ]

    # Appeals

    def appeals(self, *, only_open: bool = True) -> list[Appeal]:
        """Return appeals, oldest first."""
        self._may("reviewer", "reader", "investigator")
        self._index.update()
        with self._index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT record_id, time, outcome FROM appeal WHERE outcome IS NULL OR NOT ?"
                " ORDER BY opened",
                (int(only_open),),
            )
        return [Appeal(record_id=row[0], time=row[1], outcome=row[2]) for row in rows]

    def decide_appeal(
        self,
        record_id: str,
        outcome: Outcome,
        *,
        rationale: str,
        allow_until: str | None = None,
    ) -> Record:
        """Uphold or overturn a refusal.

        Args:
            record_id: The decision that is appealed against.
            outcome: Whether the refusal stands.
            rationale: Why; told to the person who appealed.
            allow_until: With ``overturned``: let this very prompt pass for this tenant until then
                (RFC 3339 in UTC); None makes no exception.

        Raises:
            NotPermitted: No role, or the same person reviewed the refusal.
            RecordNotFound: No open appeal.
            InvalidRequest: No rationale, or an exception for an upheld refusal.
        """
        self._may("reviewer")
        record_id = record_of(record_id)
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        if allow_until is not None and outcome != "overturned":
            raise InvalidRequest("an upheld refusal makes no exception")
        with self._ledger.booking() as transaction:
            self._index.update()
            with self._index.database.read() as index:
                rows = index.execute(
                    "SELECT tenant, reviewer FROM appeal"
                    " JOIN item ON item.record_id = appeal.record_id"
                    " LEFT JOIN review ON review.record_id = appeal.record_id"
                    " WHERE appeal.record_id = ? AND outcome IS NULL",
                    (record_id,),
                )
            if not rows:
                raise RecordNotFound(f"no open appeal against {record_id}")
            tenant, reviewer = rows[0]
            if reviewer == self._actor.name:
                raise NotPermitted("who decided first does not decide the appeal")
            record = self._ledger.book_within(
                transaction,
                self._event(
                    "appeal.decided",
                    record_id,
                    {"outcome": outcome},
                    {"rationale": rationale},
                    tenant=tenant,
                ),
            )
        if allow_until is not None:
            self._grant(record_id, tenant, allow_until)
        self._index.update()
        return record

    def _grant(self, record_id: str, tenant: str, until: str) -> None:
        first = self._log.records(record_id)[0]
        content = self._log.content(first.index)
        if content is None or "prompt" not in content.private:
            return  # erased meanwhile: there is nothing left to make an exception for
        self._log.append(
            self._event(
                "exception.granted",
                record_id,
                {"until": until},
                {"prompt": content.private["prompt"]},
                tenant=tenant,
                subject=content.subject,
            )
        )

    # Exporting

    def export(
        self,
        query: Query,
        folder: Path,
        *,
        form: ExportFormat = "jsonl",
        second: Actor,
        content: bool = False,
        limit: int = 1000,
    ) -> Path:
        """Write what a query finds, with proofs, for somebody else to check.

        Args:
            query: What to export.
            folder: Where to; ``entries.*`` and ``manifest.json`` are written.
            form: Of the entries.
            second: Another exporter, who agreed.
            content: Whether the private parts go along.
            limit: At most so many records, 1..1000.

        Returns:
            The manifest; its digest is in the ``access.exported`` entry.

        Raises:
            NotPermitted: Not two different exporters.
        """
        self._may("exporter")
        if second.name == self._actor.name or "exporter" not in second.roles:
            raise NotPermitted("an export takes two exporters")
        self._index.update()
        hits = self._index.find(query, limit=limit)
        checkpoint = self._log.checkpoint()
        with self._ledger.database.read() as transaction:
            rows = rows_of(transaction, [hit.record_id for hit in hits], checkpoint.size)
        if content:
            for row in rows:
                row["private"] = self._log.private(int(str(row["index"])))
        manifest, digest = write_export(
            folder,
            form,
            rows,
            checkpoint=checkpoint,
            public_key=self._log.public_key,
            said={"query": query.to_dict(), "content": content},
        )
        self._log.append(
            self._event(
                "access.exported",
                public={"manifest_sha256": digest, "entries": len(rows), "content": content},
                private={"second": second.name, "query": query.to_dict()},
            )
        )
        return manifest

    def statements(
        self, template: StatementTemplate, *, since: str | None = None, until: str | None = None
    ) -> list[dict[str, JsonValue]]:
        """Return the DSA statements of reasons for the refusals of a period, newest first."""
        self._may("exporter")
        self._index.update()
        found: list[dict[str, JsonValue]] = []
        before = None
        query = Query(decision="block", since=since, until=until)
        while hits := self._index.find(query, limit=1000, before=before):
            for hit in hits:
                records = self._log.records(hit.record_id)
                if any(record.kind == "request.refused" for record in records):
                    found.append(statement_of_reasons(records, template))
            before = hits[-1].index
        self._log.append(
            self._event("access.exported", public={"statements": len(found), "content": False})
        )
        return found

    # Forgetting

    def erase(self, subject: str, *, second: Actor, reason: str) -> Record:
        """Erase a subject together with a second eraser; see :meth:`AuditLog.erase`."""
        self._may("eraser")
        if "eraser" not in second.roles:
            raise ErasureRefused("the second person may not erase")
        return self._log.erase(subject, by=(self._actor.name, second.name), reason=reason)


def open_appeal(ledger: Ledger, record_id: str, records: list[Record], event: Event) -> Record:
    """Book an appeal, once for a record, against a refusal only; see :meth:`AuditLog.appeal`."""
    if not any(record.kind == "request.refused" for record in records):
        raise InvalidRequest(f"{record_id} was not refused", hint="give the refusal's decision id")
    with ledger.booking() as transaction:
        if transaction.execute(
            "SELECT idx FROM entry WHERE event_id >= ? AND event_id < ? AND kind = 'appeal.opened'",
            record_range(record_id),
        ):
            raise DuplicateRecord(f"there is an appeal against {record_id} already")
        return ledger.book_within(transaction, event)
