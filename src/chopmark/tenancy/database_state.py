"""Shared counts in the database that servers share anyway, or in a file of the home."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from chopmark.kit.stores import open_tenancy_store
from chopmark.tenancy.shared_state import WINDOW_S, Document, Taken, Window, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.kit.database import Database, Transaction
    from chopmark.tenancy.shared_state import Change

__all__ = ["DatabaseState"]

# Nothing of it outlives a day, and all of it can be counted anew: what PostgreSQL would write twice
# for the sake of a crash is written once.
_SCHEMA: Final = """
CREATE {unlogged} TABLE IF NOT EXISTS counted_window (
    name TEXT PRIMARY KEY, start {real} NOT NULL, used {integer} NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS counted_window_start ON counted_window (start);;
CREATE TABLE IF NOT EXISTS state_document (
    kind TEXT NOT NULL, name TEXT NOT NULL, body {blob} NOT NULL, ends {real} NOT NULL,
    PRIMARY KEY (kind, name)
){strict};;
CREATE INDEX IF NOT EXISTS state_document_ends ON state_document (ends)
"""
_SWEEP_S: Final = 30.0


class DatabaseState:
    """Counts that all servers with one database share. Open it with :meth:`open`.

    Args:
        database: Where they lie.
        clock: Seconds since 1970.
        relaxed: A commit need not be on disk before it is answered (PostgreSQL).
    """

    at_once = False

    def __init__(
        self, database: Database, *, clock: Callable[[], float] = time.time, relaxed: bool = False
    ) -> None:
        self.clock = clock
        self._database, self._relaxed = database, relaxed
        self._swept = clock()

    @classmethod
    def open(
        cls, home: Path, *, database: str = "", clock: Callable[[], float] = time.time
    ) -> Self:
        """Open schema ``public_state`` of a database, or ``home/tenancy/state.db``.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        schema = _SCHEMA.replace("{unlogged}", "UNLOGGED" if database else "")
        opened = open_tenancy_store(home, "state", schema, database=database)
        return cls(opened, clock=clock, relaxed=bool(database))

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._database.write() as transaction:
            if self._relaxed:
                transaction.execute("SET LOCAL synchronous_commit = off")
            yield transaction
            now = self.clock()
            if now - self._swept >= _SWEEP_S:
                self._swept = now
                transaction.execute("DELETE FROM counted_window WHERE start < ?", (now - WINDOW_S,))
                transaction.execute("DELETE FROM state_document WHERE ends <= ?", (now,))

    def take(self, name: str, limit: int, *, seen: Window | None = None) -> Taken:
        """Count one request; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        # One writer at a time: what is read here is what is changed.
        with self._writing() as transaction:
            rows = transaction.execute(
                "SELECT start, used FROM counted_window WHERE name = ?", (name,)
            )
            known = Window(*rows[0]) if rows else None
            taken = advance(known, self.clock(), limit, seen)
            if taken.window != known:
                transaction.execute(
                    "INSERT INTO counted_window (name, start, used) VALUES (?, ?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET start = excluded.start,"
                    " used = excluded.used",
                    (name, *taken.window),
                )
        return taken

    def read(self, kind: str, name: str) -> bytes | None:
        """Return a document; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        with self._database.read() as transaction:
            return self._found(transaction, kind, name)

    def _found(self, transaction: Transaction, kind: str, name: str) -> bytes | None:
        rows = transaction.execute(
            "SELECT body FROM state_document WHERE kind = ? AND name = ? AND ends > ?",
            (kind, name, self.clock()),
        )
        return bytes(rows[0][0]) if rows else None

    def change(self, kind: str, name: str, change: Change, *, keep_s: float) -> bytes | None:
        """Change a document; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        with self._writing() as transaction:
            body = change(self._found(transaction, kind, name))
            if body is None:
                transaction.execute(
                    "DELETE FROM state_document WHERE kind = ? AND name = ?", (kind, name)
                )
            else:
                transaction.execute(
                    "INSERT INTO state_document (kind, name, body, ends) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body,"
                    " ends = excluded.ends",
                    (kind, name, body, self.clock() + keep_s),
                )
        return body

    def documents(self) -> Iterator[Document]:
        """Return all documents; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT kind, name, body, ends FROM state_document WHERE ends > ?", (self.clock(),)
            )
        return (Document(kind, name, bytes(body), ends) for kind, name, body, ends in rows)

    def trouble(self) -> str:
        """Return nothing: without its database a server lets nobody in."""
        return ""

    def close(self) -> None:
        """Close the database. Idempotent."""
        self._database.close()
