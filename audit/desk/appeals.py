"""Appeals of those who were refused: one for a decision, decided by somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chopmark.audit.custody.erasure import moment
from chopmark.audit.desk.actor import Seat
from chopmark.audit.desk.prompt_exceptions import PromptException, grant, revoke
from chopmark.audit.desk.review import LEASE
from chopmark.audit.log.ledger import now
from chopmark.audit.log.schema import record_range
from chopmark.errors import DuplicateRecord, InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from datetime import timedelta

    from chopmark.audit.log.events import Event, Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.kit.database import Row
    from chopmark.kit.types import JsonValue

__all__ = ["Appeal", "AppealState", "Appealing", "Outcome", "open_appeal"]

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
    """What the person who appealed is told.

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


class Appealing(Seat):
    """The part of the desk that decides appeals."""

    def appeals(self, *, only_open: bool = True) -> list[Appeal]:
        """Return appeals, oldest first."""
        self._may("reviewer", "reader", "investigator")
        self._index.update()
        return [_appeal(row) for row in self._rows(None) if row[3] is None or not only_open]

    def _rows(self, record_id: str | None) -> list[Row]:
        with self._index.database.read() as transaction:
            return transaction.execute(
                "SELECT appeal.record_id, tenant, appeal.time, outcome, appeal.holder,"
                " appeal.until, appeal.scope, reviewer FROM appeal"
                " JOIN item ON item.record_id = appeal.record_id"
                " LEFT JOIN review ON review.record_id = appeal.record_id"
                " WHERE appeal.record_id = coalesce(?, appeal.record_id)"
                " AND tenant = coalesce(?, tenant) ORDER BY opened",
                (record_id, self._tenant),
            )

    def lease_appeal(self, *, duration: timedelta = LEASE) -> Appeal | None:
        """Take the longest open appeal that nobody holds and that this person did not review.

        Returns:
            The appeal, or None when nothing waits. Its statement is in :meth:`Desk.view`.
        """
        self._may("reviewer")
        with self._ledger.booking() as transaction:
            self._index.update()
            row = next((row for row in self._rows(None) if self._free(row)), None)
            if row is None:
                return None
            event = self._event(
                "review.leased",
                row[0],
                {"until": now(duration.total_seconds()), "appeal": True},
                tenant=row[1],
            )
            self._ledger.book_within(transaction, event)
        self._index.update()
        return _appeal(self._rows(row[0])[0])

    def _free(self, row: Row) -> bool:
        """Tell whether this person may take an appeal."""
        _record_id, _tenant, _time, outcome, _holder, until, _scope, reviewer = row
        held = until is not None and until >= now()
        return outcome is None and not held and reviewer != self._actor.name

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
                (RFC 3339); None makes no exception. Pictures made from it are judged as ever.

        Raises:
            NotPermitted: No role, the same person reviewed the refusal, somebody else has the
                appeal on lease, or the category allows no exception.
            RecordNotFound: No open appeal, or another tenant's.
            InvalidRequest: No rationale, or an exception for an upheld refusal.
        """
        self._may("reviewer")
        record_id = record_of(record_id)
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        if allow_until is not None:
            allow_until = moment(allow_until)
            if outcome != "overturned":
                raise InvalidRequest("an upheld refusal makes no exception")
        with self._ledger.booking() as transaction:
            self._index.update()
            tenant = self._decidable(record_id)
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
                self._except(transaction, record_id, tenant, allow_until)
        self._index.update()
        return record

    def _decidable(self, record_id: str) -> str:
        """Return the tenant of an appeal that this person may decide now."""
        rows = [row for row in self._rows(record_id) if row[3] is None]
        if not rows:
            raise RecordNotFound(f"no open appeal against {record_id}")
        _, tenant, _, _, holder, until, scope, reviewer = rows[0]
        if reviewer == self._actor.name:
            raise NotPermitted("who decided first does not decide the appeal")
        mine = (holder, scope) == (self._actor.name, self._actor.scope)
        if until is not None and until >= now() and not mine:
            raise NotPermitted(f"somebody else has the appeal against {record_id} on lease")
        return str(tenant)

    def _except(self, transaction: object, record_id: str, tenant: str, until: str) -> None:
        records = self._records(record_id)
        for record in records:
            listed = record.public.get("categories")
            if isinstance(listed, list) and PromptException.NEVER.intersection(map(str, listed)):
                raise NotPermitted(
                    "what was refused in this category is never excepted",
                    hint="overturn the appeal without an exception",
                )
        content = self._log.content(records[0].index)
        if content is None or "prompt" not in content.private:
            return  # erased meanwhile: there is nothing left to make an exception for
        event = self._event(
            "exception.granted",
            record_id,
            {"until": until},
            {name: str(content.private.get(name, "")) for name in ("prompt", "negative_prompt")},
            tenant=tenant,
            subject=content.subject,
        )
        grant(self._ledger, transaction, event)  # type: ignore[arg-type]

    def exceptions(self) -> list[PromptException]:
        """Return the exceptions that hold now, oldest first."""
        self._may("reviewer", "reader", "investigator")
        return [item for item in self._log.exceptions() if self._tenant in {None, item.tenant}]

    def revoke_exception(self, index: int, *, reason: str) -> Record:
        """End the exception that entry ``index`` granted.

        Raises:
            RecordNotFound: No exception stands there, or it is another tenant's.
        """
        self._may("reviewer")
        if not reason.strip():
            raise InvalidRequest("ending an exception needs a reason")
        standing = {item.index: item for item in self.exceptions()}
        if index not in standing:
            raise RecordNotFound(f"no exception stands at entry {index}")
        event = self._event(
            "exception.revoked",
            public={"exception": index},
            private={"reason": reason},
            tenant=standing[index].tenant,
        )
        return revoke(self._ledger, index, event)


def _appeal(row: Row) -> Appeal:
    return Appeal(
        record_id=row[0], tenant=row[1], time=row[2], outcome=row[3], holder=row[4], until=row[5]
    )


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
