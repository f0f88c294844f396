"""Appeals of those who were refused: one for a decision, decided by somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from chopmark.audit.desk.allowances import allow_prompt
from chopmark.audit.desk.leases import LEASE
from chopmark.audit.desk.prompt_exceptions import PromptException, PromptExceptions
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.clock import moment, now
from chopmark.audit.log.events import Event
from chopmark.audit.log.schema import record_range
from chopmark.errors import DuplicateRecord, InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from datetime import timedelta

    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.kit.types import JsonValue

__all__ = ["Appeal", "AppealReview", "AppealState", "Appeals", "Outcome"]

Outcome = Literal["upheld", "overturned"]


@dataclass(frozen=True, kw_only=True)
class Appeal:
    """An appeal of somebody who was refused, as the desk sees it.

    Attributes:
        tenant: Whose policy refused.
        time: When it was opened, RFC 3339 in UTC.
        outcome: None while it is open.
        holder: Who has it on lease, or had it last.
        until: When the lease ends; None when nobody holds it.
    """

    record_id: str
    tenant: str
    time: str
    outcome: Outcome | None
    holder: str | None
    until: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class AppealState:
    """What the person who appealed may know.

    Attributes:
        opened: When it was opened, RFC 3339 in UTC.
        decided: When it was decided; None while it is open.
        rationale: Why it was decided so; None while it is open, or once it was erased.
    """

    record_id: str
    opened: str
    decided: str | None
    outcome: Outcome | None
    rationale: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class Appeals:
    """What a person who was refused does, without a desk.

    Args:
        ledger: Books their appeal.
        reader: Finds the refusal.
    """

    def __init__(self, ledger: Ledger, reader: Reader) -> None:
        self._ledger, self._reader = ledger, reader

    def open(self, record_id: str, *, statement: str, tenant: str | None = None) -> Record:
        """Book the appeal of a person who was refused.

        Args:
            record_id: The decision id that the refusal named.
            statement: What they say, kept erasable under the request's subject.
            tenant: Whose decision it must be; of another one there is none.

        Raises:
            RecordNotFound: No such record.
            InvalidRequest: It was not a refusal, or the statement is empty.
            DuplicateRecord: It was appealed already.
        """
        if not statement.strip():
            raise InvalidRequest("an appeal says why")
        records = self._reader.records(record_id, tenant=tenant)
        first = records[0]
        if not any(record.kind == "request.refused" for record in records):
            raise InvalidRequest(
                f"{first.record_id} was not refused", hint="give the refusal's decision id"
            )
        content = self._reader.content(first.index)
        event = Event(
            kind="appeal.opened",
            record_id=first.record_id,
            tenant=first.tenant,
            subject=content.subject if content is not None else None,
            private={"statement": statement},
        )
        with self._ledger.booking() as transaction:
            if transaction.execute(
                "SELECT idx FROM entry WHERE event_id >= ? AND event_id < ?"
                " AND kind = 'appeal.opened'",
                record_range(first.record_id),
            ):
                raise DuplicateRecord(f"there is an appeal against {first.record_id} already")
            return self._ledger.book_within(transaction, event)

    def state(self, record_id: str, *, tenant: str | None = None) -> AppealState:
        """Return what the person who appealed against a decision may know.

        Raises:
            RecordNotFound: No such record, or no appeal against it.
        """
        records = self._reader.records(record_id, tenant=tenant)
        opened = next((record for record in records if record.kind == "appeal.opened"), None)
        if opened is None:
            raise RecordNotFound(f"there is no appeal against {records[0].record_id}")
        decided = next((record for record in records if record.kind == "appeal.decided"), None)
        private = self._reader.private(decided.index) if decided is not None else None
        return AppealState(
            record_id=opened.record_id,
            opened=opened.time,
            decided=decided.time if decided is not None else None,
            outcome=decided.public["outcome"] if decided is not None else None,  # type: ignore[arg-type]
            rationale=str(private["rationale"]) if private is not None else None,
        )


class _Row(NamedTuple):
    """An appeal in the projection."""

    record_id: str
    tenant: str
    time: str
    outcome: Outcome | None
    holder: str | None
    until: str | None
    scope: str | None
    judged: int
    """Whether this person decided on the refusal, first, second or after."""

    def leased(self) -> bool:
        """Tell whether somebody holds it now."""
        return self.until is not None and self.until >= now()

    def appeal(self) -> Appeal:
        """Return what the desk shows of it."""
        return Appeal(
            record_id=self.record_id,
            tenant=self.tenant,
            time=self.time,
            outcome=self.outcome,
            holder=self.holder,
            until=self.until,
        )


class AppealReview:
    """The appeals of a log, as one person decides them; never who decided first."""

    def __init__(self, session: DeskSession) -> None:
        self._session = session
        self._exceptions = PromptExceptions(session.ledger, session.reader)

    def listed(self, *, only_open: bool = True) -> list[Appeal]:
        """Return appeals, oldest first.

        Raises:
            NotPermitted: No role for it.
        """
        self._session.require("reviewer", "reader", "investigator")
        self._session.index.update()
        return [row.appeal() for row in self._rows() if row.outcome is None or not only_open]

    def _rows(self, record_id: str | None = None) -> list[_Row]:
        """Return one appeal, or all, as the projection has them, for this person."""
        with self._session.index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT appeal.record_id, tenant, appeal.time, outcome, appeal.holder,"
                " appeal.until, appeal.scope, EXISTS (SELECT 1 FROM opinion"
                " WHERE opinion.record_id = appeal.record_id AND opinion.by = ?) FROM appeal"
                " JOIN item ON item.record_id = appeal.record_id"
                " WHERE appeal.record_id = coalesce(?, appeal.record_id)"
                " AND tenant = coalesce(?, tenant) ORDER BY opened",
                (self._session.actor.name, record_id, self._session.tenant),
            )
        return [_Row(*row) for row in rows]

    def lease(self, *, duration: timedelta = LEASE) -> Appeal | None:
        """Take the longest open appeal that nobody holds and that this person did not review.

        Returns:
            The appeal, or None when nothing waits. Its statement is in :meth:`Desk.view`.
        """
        session = self._session
        session.require("reviewer")
        # In the writing transaction, as in Review: nobody else can take it meanwhile.
        with session.ledger.booking() as transaction:
            session.index.update()
            free = (row for row in self._rows() if row.outcome is None and not row.leased())
            row = next((row for row in free if not row.judged), None)
            if row is None:
                return None
            event = session.event(
                "review.leased",
                row.record_id,
                {"until": now(duration.total_seconds()), "appeal": True},
                tenant=row.tenant,
            )
            session.ledger.book_within(transaction, event)
        session.index.update()
        return self._rows(row.record_id)[0].appeal()

    def decide(
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
                (RFC 3339); None makes no exception. Pictures made from it are judged as ever.

        Raises:
            NotPermitted: No role, the same person reviewed the refusal, somebody else has the
                appeal on lease, or the category allows no exception.
            RecordNotFound: No open appeal, or another tenant's.
            InvalidRequest: No rationale, or an exception for an upheld refusal.
        """
        session = self._session
        session.require("reviewer")
        record_id = record_of(record_id)
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        if allow_until is not None:
            allow_until = moment(allow_until)
            if outcome != "overturned":
                raise InvalidRequest("an upheld refusal makes no exception")
        with session.ledger.booking() as transaction:
            session.index.update()
            tenant = self._decidable(record_id)
            record = session.ledger.book_within(
                transaction,
                session.event(
                    "appeal.decided",
                    record_id,
                    {"outcome": outcome},
                    {"rationale": rationale},
                    tenant=tenant,
                ),
            )
            if allow_until is not None:
                # In the same transaction: a refused exception takes the decision back as well.
                allow_prompt(session, transaction, record_id, tenant, allow_until)
        session.index.update()
        return record

    def _decidable(self, record_id: str) -> str:
        """Return the tenant of an appeal that this person may decide now."""
        actor = self._session.actor
        row = next((row for row in self._rows(record_id) if row.outcome is None), None)
        if row is None:
            raise RecordNotFound(f"no open appeal against {record_id}")
        if row.judged:
            raise NotPermitted("who decided first does not decide the appeal")
        if row.leased() and (row.holder, row.scope) != (actor.name, actor.scope):
            raise NotPermitted(f"somebody else has the appeal against {record_id} on lease")
        return row.tenant

    def exceptions(self) -> list[PromptException]:
        """Return the exceptions that hold now, oldest first."""
        self._session.require("reviewer", "reader", "investigator")
        tenant, blind = self._session.tenant, RecordViewer(self._session).undecided()
        return [
            item
            for item in self._exceptions.standing()
            if tenant in {None, item.tenant} and item.record_id not in blind
        ]

    def revoke_exception(self, index: int, *, reason: str) -> Record:
        """End the exception that entry ``index`` granted.

        Raises:
            RecordNotFound: No exception stands there, or it is another tenant's.
        """
        self._session.require("reviewer")
        if not reason.strip():
            raise InvalidRequest("ending an exception needs a reason")
        standing = {item.index: item for item in self.exceptions()}
        if index not in standing:
            raise RecordNotFound(f"no exception stands at entry {index}")
        event = self._session.event(
            "exception.revoked",
            standing[index].record_id,  # it stands where the exception was granted
            public={"exception": index},
            private={"reason": reason},
            tenant=standing[index].tenant,
        )
        return self._exceptions.revoke(index, event)
