"""Reading the log: entries, records, and what of them is erasable."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from chopmark.audit.custody.vault import KeyGone
from chopmark.audit.log.events import TERMINAL, EventKind, Record, parse_leaf
from chopmark.audit.log.ledger import Ledger, record_of_leaf
from chopmark.audit.log.schema import State, load_state, record_range
from chopmark.errors import RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from chopmark.audit.custody.vault import Content
    from chopmark.audit.log.paths import Paths
    from chopmark.audit.proof.note import Signer
    from chopmark.kit.database import Database, Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Reading"]


class Reading:
    """The part of the log that shows what is in it."""

    def __init__(self, *, paths: Paths, database: Database, ledger: Ledger, signer: Signer) -> None:
        self._paths = paths
        self._database = database
        self._ledger = ledger
        self._vault = ledger.vault
        self._signer = signer

    @property
    def public_key(self) -> str:
        """The verifier key of the log's checkpoints (C2SP signed note, text form)."""
        return str(self._signer.key)

    @property
    def size(self) -> int:
        """Number of entries."""
        with self._database.read() as transaction:
            return self._state(transaction).size

    def root(self) -> str:
        """Return the root of the Merkle tree, 64 hex digits."""
        with self._database.read() as transaction:
            return self._state(transaction).tree().root().hex()

    def get(self, index: int) -> Record:
        """Return the entry at ``index``.

        Raises:
            RecordNotFound: There is none.
        """
        with self._database.read() as transaction:
            return record_of_leaf(index, self._leaf(transaction, index))

    def records(self, record_id: str) -> list[Record]:
        """Return all entries of a record (or of the record of an output id), oldest first.

        Raises:
            InvalidRequest: Not an id.
            RecordNotFound: No such record.
        """
        name = record_of(record_id)
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, leaf FROM entry WHERE event_id >= ? AND event_id < ? ORDER BY idx",
                record_range(name),
            )
        if not rows:
            raise RecordNotFound(f"no record {name}")
        return [record_of_leaf(int(index), bytes(leaf)) for index, leaf in rows]

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
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT idx, leaf FROM entry WHERE {where} ORDER BY idx DESC LIMIT ?",  # noqa: S608 - marks only
                (*used.values(), max(1, min(limit, 1000))),
            )
        return [record_of_leaf(int(index), bytes(leaf)) for index, leaf in rows]

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
        with self._database.read() as transaction:
            leaf = self._leaf(transaction, index)
            rows = transaction.execute("SELECT key_id, sealed FROM content WHERE idx = ?", (index,))
        members = parse_leaf(leaf)
        if not rows or "commitment" not in members:
            return None
        with contextlib.suppress(KeyGone):
            return self._vault.open(
                bytes(rows[0][0]),
                bytes(rows[0][1]),
                event_id=members["event_id"],
                commitment=bytes.fromhex(members["commitment"]),
            )
        return None

    def _of(self, record_id: str, tenant: str | None) -> list[Record]:
        records = self.records(record_id)
        if tenant not in {None, records[0].tenant}:
            raise RecordNotFound(f"no record {records[0].record_id}")
        return records

    def _end_of(self, record_id: str) -> int:
        records = self.records(record_id)
        ends = [record.index for record in records if record.kind in TERMINAL]
        return ends[-1] if ends else records[-1].index

    def _state(self, transaction: Transaction) -> State:
        return load_state(transaction) or State(origin=self._signer.key.name)

    def _leaf(self, transaction: Transaction, index: int) -> bytes:
        rows = transaction.execute("SELECT leaf FROM entry WHERE idx = ?", (index,))
        if not rows:
            raise RecordNotFound(f"no entry {index}")
        return bytes(rows[0][0])
