"""Reading the log: entries, records, and what of them is erasable."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.events import TERMINAL, EventKind, Record
from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.schema import record_range
from chopmark.audit.log.vault import KeyGone
from chopmark.errors import RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.sealed import Content
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Reader"]

_MOST: Final = 1000


class Reader:
    """Shows what is in a log; changes nothing.

    Args:
        ledger: Whose database and keys are read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def size(self) -> int:
        """Number of entries."""
        with self._ledger.database.read() as transaction:
            return self._ledger.state(transaction).size

    def root(self) -> str:
        """Return the root of the Merkle tree, 64 hex digits."""
        with self._ledger.database.read() as transaction:
            return self._ledger.state(transaction).tree().root().hex()

    def get(self, index: int) -> Record:
        """Return the entry at ``index``.

        Raises:
            RecordNotFound: There is none.
        """
        with self._ledger.database.read() as transaction:
            return Record.from_leaf(index, self.leaf(transaction, index))

    def leaf(self, transaction: Transaction, index: int) -> bytes:
        """Return the stored bytes of the entry at ``index``.

        Raises:
            RecordNotFound: There is no such entry.
        """
        rows = transaction.execute("SELECT leaf FROM entry WHERE idx = ?", (index,))
        if not rows:
            raise RecordNotFound(f"no entry {index}")
        return bytes(rows[0][0])

    @contextlib.contextmanager
    def leaves(self, size: int) -> Iterator[Iterator[bytes]]:
        """Give the leaves of the first ``size`` entries, in order, from one snapshot."""
        with self._ledger.database.read() as transaction:
            rows = transaction.stream("SELECT leaf FROM entry WHERE idx < ? ORDER BY idx", (size,))
            yield (bytes(row[0]) for row in rows)

    def records(self, record_id: str, *, tenant: str | None = None) -> list[Record]:
        """Return all entries of a record (or of the record of an output id), oldest first.

        Args:
            record_id: The record's id, or an output's.
            tenant: Whose it must be; a record of another tenant is not there.

        Raises:
            InvalidRequest: Not an id.
            RecordNotFound: No such record.
        """
        name = record_of(record_id)
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, leaf FROM entry WHERE event_id >= ? AND event_id < ? ORDER BY idx",
                record_range(name),
            )
        records = [Record.from_leaf(int(index), bytes(leaf)) for index, leaf in rows]
        if not records or tenant not in {None, records[0].tenant}:
            raise RecordNotFound(f"no record {name}")
        return records

    def end_of(self, record_id: str) -> int:
        """Return the index of the event that ended a record; of its last one when none did.

        Raises:
            InvalidRequest: Not an id.
            RecordNotFound: No such record.
        """
        records = self.records(record_id)
        ends = [record.index for record in records if record.kind in TERMINAL]
        return ends[-1] if ends else records[-1].index

    def find(
        self,
        *,
        kind: EventKind | None = None,
        tenant: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Record]:
        """Return entries, newest first.

        Args:
            kind: Only this kind.
            tenant: Only this tenant.
            since: Not older than this RFC 3339 time in UTC.
            until: Older than this RFC 3339 time in UTC.
            limit: At most so many, 1..1000.
            before: Only entries with a smaller index, to page on.
        """
        limits = {
            "kind = ?": kind,
            "tenant = ?": tenant,
            "time >= ?": since,
            "time < ?": until,
            "idx < ?": before,
        }
        used = {clause: value for clause, value in limits.items() if value is not None}
        where = " AND ".join(used) or "1 = 1"
        # No index but the primary key: each would cost every append a random page once more, and
        # readings of this kind begin at the newest entry and end after a page.
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                f"SELECT idx, leaf FROM entry WHERE {where} ORDER BY idx DESC LIMIT ?",  # noqa: S608 - marks only
                (*used.values(), max(1, min(limit, _MOST))),
            )
        return [Record.from_leaf(int(index), bytes(leaf)) for index, leaf in rows]

    def following(self, index: int, *, limit: int = 50) -> list[Record]:
        """Return the entries from ``index`` on, oldest first, at most ``limit`` (1..1000)."""
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, leaf FROM entry WHERE idx >= ? ORDER BY idx LIMIT ?",
                (index, max(1, min(limit, _MOST))),
            )
        return [Record.from_leaf(int(at), bytes(leaf)) for at, leaf in rows]

    def private(self, index: int) -> dict[str, JsonValue] | None:
        """Return the erasable part of an entry; None when it never had one or it was erased.

        Raises:
            RecordNotFound: There is no such entry.
            LogCorrupt: The content does not open the entry's commitment.
        """
        content = self.content(index)
        return content.private if content is not None else None

    def content(self, index: int) -> Content | None:
        """Return private part and subject of an entry; None when there is none (any more).

        Raises:
            RecordNotFound: There is no such entry.
            LogCorrupt: The content does not open the entry's commitment.
        """
        with self._ledger.database.read() as transaction:
            members = parse_leaf(self.leaf(transaction, index))
            rows = transaction.execute("SELECT key_id, sealed FROM content WHERE idx = ?", (index,))
        if not rows or "commitment" not in members:
            return None
        # The row may still be there while its key is gone: an erasure destroys the key first.
        with contextlib.suppress(KeyGone):
            return self._ledger.vault.open(
                bytes(rows[0][0]),
                bytes(rows[0][1]),
                event_id=members["event_id"],
                commitment=bytes.fromhex(members["commitment"]),
            )
        return None
