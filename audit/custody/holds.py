"""Legal holds: what is stored about a subject must stay as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.audit.log.clock import FOREVER, moment, now
from chopmark.audit.log.events import EVERY_TENANT, SYSTEM_TENANT, Event
from chopmark.errors import ErasureRefused, InvalidRequest, RecordNotFound
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from chopmark.audit.log.events import Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Hold", "Holds", "held", "refuse_others", "stated"]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A duty to keep what is stored about a subject.

    Attributes:
        index: The ``hold.placed`` entry.
        until: When it ends by itself, RFC 3339 in UTC; None when only a release ends it.
        basis: On what ground, as it was given.
        by: Who placed it.
        subject: Whose content is held.
        tenant: Whose person placed it; None where an operator did.
    """

    index: int
    until: str | None
    basis: str
    by: str
    subject: str | None
    tenant: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class Holds:
    """The holds of a log.

    Args:
        ledger: Books them.
        reader: Opens what was written down with them.
    """

    def __init__(self, ledger: Ledger, reader: Reader) -> None:
        self._ledger, self._reader = ledger, reader

    def place(
        self,
        subject: str,
        *,
        basis: str,
        by: str,
        until: str | None = None,
        tenant: str | None = None,
    ) -> Record:
        """Forbid erasing and expiring what is stored about a subject.

        Args:
            subject: As it was given with the events.
            basis: The legal ground, or the case.
            by: Who places it.
            until: RFC 3339 time in UTC when it ends by itself; None keeps it until released.
            tenant: Refuse a subject whose content is not all of this tenant.

        Raises:
            ErasureRefused: The subject is being erased already, or is not the tenant's alone.
            RecordNotFound: The tenant has nothing of the subject.
            InvalidRequest: No basis, no name, or ``until`` is not such a time.
        """
        stated("basis", basis)
        stated("by", by)
        if until is not None:
            until = moment(until)
        tag = self._ledger.vault.tag(subject, SYSTEM_TENANT)
        with self._ledger.booking() as transaction:
            if transaction.execute("SELECT idx FROM erasing WHERE tag = ?", (tag,)):
                raise ErasureRefused("this subject is being erased already")
            refuse_others(transaction, self._ledger.vault.stored_id(tag), tenant)
            record = self._ledger.book_within(
                transaction,
                Event(
                    kind="hold.placed",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    subject=subject,
                    public={"until": until},
                    private={"basis": basis, "by": by, "of": tenant or EVERY_TENANT},
                ),
            )
            transaction.execute(
                "INSERT INTO hold (idx, tag, until) VALUES (?, ?, ?)",
                (record.index, tag, until or FOREVER),
            )
        return record

    def release(self, index: int, *, by: str, reason: str) -> Record:
        """End the hold that was placed by entry ``index``.

        Raises:
            RecordNotFound: No hold stands there.
            InvalidRequest: No name, or no reason.
        """
        stated("by", by)
        stated("reason", reason)
        with self._ledger.booking() as transaction:
            if not transaction.execute("SELECT idx FROM hold WHERE idx = ?", (index,)):
                raise RecordNotFound(f"no hold stands at entry {index}")
            record = self._ledger.book_within(
                transaction,
                Event(
                    kind="hold.released",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public={"hold": index},
                    private={"by": by, "reason": reason},
                ),
            )
            transaction.execute("DELETE FROM hold WHERE idx = ?", (index,))
        return record

    def standing(self) -> list[Hold]:
        """Return the holds that stand now, oldest first."""
        # Basis and name are in the content, not in this table: they are as erasable as a prompt.
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, until FROM hold WHERE until > ? ORDER BY idx", (now(),)
            )
        holds = []
        for index, until in rows:
            content = self._reader.content(int(index))
            private = content.private if content is not None else {}
            holds.append(
                Hold(
                    index=int(index),
                    until=None if until == FOREVER else until,
                    basis=str(private.get("basis", "")),
                    by=str(private.get("by", "")),
                    subject=content.subject if content is not None else None,
                    tenant=None if private.get("of") == EVERY_TENANT else str(private.get("of")),
                )
            )
        return holds


def held(transaction: Transaction, tag: bytes) -> int | None:
    """Return the entry of a hold that stands on a subject's content now, None without one."""
    rows = transaction.execute(
        "SELECT idx FROM hold WHERE tag = ? AND until > ? ORDER BY idx", (tag, now())
    )
    return int(rows[0][0]) if rows else None


def refuse_others(transaction: Transaction, key_id: bytes | None, tenant: str | None) -> None:
    """Refuse a subject of which other tenants have content too, or only they.

    Args:
        transaction: In which the subject is held or erased.
        key_id: The subject's key; None when nothing is stored about it.
        tenant: Who asks; None is an operator, who may do it to anybody.

    Raises:
        RecordNotFound: The tenant has nothing of the subject.
        ErasureRefused: Others have, too.
    """
    if tenant is None:
        return
    rows = transaction.execute(
        "SELECT DISTINCT tenant FROM content JOIN entry ON entry.idx = content.idx"
        " WHERE key_id = ?",
        (key_id or b"",),
    )
    owners = {row[0] for row in rows} - {SYSTEM_TENANT}
    if tenant not in owners:
        raise RecordNotFound("nothing is stored about this subject")
    if owners != {tenant}:
        raise ErasureRefused(
            "the subject is not this tenant's alone", hint="an operator of every tenant can do it"
        )


def stated(name: str, value: str) -> str:
    """Return a text that goes into the log for good, when it says anything.

    Raises:
        InvalidRequest: It is empty.
    """
    if not value.strip():
        raise InvalidRequest(f"{name} is empty", hint="it stays in the log; say who and why")
    return value
