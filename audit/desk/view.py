"""What a person may see of a record: whose it is, whether they hold it, whether it is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.clock import now
from chopmark.audit.log.events import RESTRICTED
from chopmark.errors import NotPermitted, RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Glance", "RecordViewer", "View", "is_restricted"]

_OF_A_DECISION: Final = frozenset({"exception.granted", "review.decided", "review.queued"})


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
class Glance:
    """What a list of results shows of a record's content.

    Attributes:
        prompt: What was asked for; empty where there is no text.
        copies: The small copies of pictures that a guard flagged, by output, as the log keeps them.
    """

    prompt: str
    copies: dict[str, JsonValue]


class RecordViewer:
    """Decides what one person sees. Books nothing and shows nothing: the desk does both."""

    def __init__(self, session: DeskSession) -> None:
        self._session = session

    def records(self, record_id: str) -> list[Record]:
        """Return a record's entries, as far as they are of this person's tenant.

        Raises:
            RecordNotFound: No such record, or another tenant's: the two answers are the same.
        """
        name, tenant = record_of(record_id), self._session.tenant
        found = [
            record
            for record in self._session.reader.records(name)
            if tenant is None or record.tenant == tenant
        ]
        if not found:
            raise RecordNotFound(f"no record {name}")
        return found

    def opened(self, record_id: str) -> list[Record]:
        """Return the entries of a record whose content this person may see now.

        Raises:
            NotPermitted: No role for it, not held on lease, or sealed.
            RecordNotFound: As for :meth:`records`.
        """
        session = self._session
        session.require("reviewer", "investigator")
        records = self.records(record_id)
        name = records[0].record_id
        session.index.update()
        with session.index.database.read() as transaction:
            if _is_sealed(transaction, name):
                raise NotPermitted(
                    f"record {name} is sealed", hint="two investigators can unseal it"
                )
            if "investigator" not in session.actor.roles and not self._leased(transaction, name):
                raise NotPermitted(f"record {name} is not on lease to you", hint="lease it first")
        return records

    def sealed(self, record_ids: Iterable[str]) -> set[str]:
        """Return those of the records that are sealed; the projection is up to date."""
        with self._session.index.database.read() as transaction:
            return {record_id for record_id in record_ids if _is_sealed(transaction, record_id)}

    def shown(self, records: list[Record]) -> list[Record]:
        """Leave out what was decided from whoever may still give a second opinion on it.

        That is the decision, what came of it, and what those who decided remarked. An investigator
        who is no reviewer, and those who decided, see everything; so does whoever reads the log's
        files.
        """
        session, name = self._session, records[0].record_id
        if "reviewer" not in session.actor.roles:
            return records
        session.index.update()
        with session.index.database.read() as transaction:
            waiting = transaction.execute(
                "SELECT 1 FROM review WHERE record_id = ? AND state = 'second'"
                " AND decision IS NULL",
                (name,),
            )
            rows = transaction.execute("SELECT idx, by FROM opinion WHERE record_id = ?", (name,))
        deciders = {row[1] for row in rows}
        if not waiting or session.actor.name in deciders:
            return records
        since = max((row[0] for row in rows), default=0)
        return [record for record in records if not self._tells(record, since, deciders)]

    def _tells(self, record: Record, since: int, deciders: set[str]) -> bool:
        if record.kind == "review.commented":
            private = self._session.reader.private(record.index) or {}
            return private.get("by") in deciders
        return record.index >= since and record.kind in _OF_A_DECISION

    def undecided(self) -> set[str]:
        """Return the records that wait for a second opinion which this person may still give."""
        if "reviewer" not in self._session.actor.roles:
            return set()
        self._session.index.update()
        with self._session.index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT record_id FROM review WHERE state = 'second' AND decision IS NULL AND NOT"
                " EXISTS (SELECT 1 FROM opinion WHERE opinion.record_id = review.record_id"
                " AND opinion.by = ?)",
                (self._session.actor.name,),
            )
        return {str(row[0]) for row in rows}

    def _leased(self, transaction: Transaction, record_id: str) -> bool:
        """Tell whether this person has the record, or the appeal against it, on lease."""
        actor = self._session.actor
        return any(
            transaction.execute(
                f"SELECT 1 FROM {table} WHERE record_id = ?"  # noqa: S608 - fixed names
                " AND holder = ? AND scope = ? AND until >= ?",
                (record_id, actor.name, actor.scope, now()),
            )
            for table in ("review", "appeal")
        )


def is_restricted(records: Iterable[Record]) -> bool:
    """Tell whether a record is, or was ever, sealed: what nobody opens alone, no program passes on.

    Args:
        records: Its entries.
    """
    for record in records:
        listed = record.public.get("categories")
        if record.kind == "record.sealed" or record.public.get("restricted") is True:
            return True
        if isinstance(listed, list) and RESTRICTED.intersection(map(str, listed)):
            return True
    return False


def _is_sealed(transaction: Transaction, record_id: str) -> bool:
    rows = transaction.execute("SELECT opened FROM sealed WHERE record_id = ?", (record_id,))
    # A row without a time is a seal; one with a time was opened until then.
    return bool(rows) and (rows[0][0] is None or rows[0][0] < now())
