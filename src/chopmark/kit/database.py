"""The seam to SQL: a small protocol, so that SQLite and PostgreSQL run the same log code.

Statements are written with ``?`` for parameters and use only what both know. Every error of a
driver leaves here as :class:`LogUnavailable` or :class:`LogCorrupt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Database", "NotUnique", "Row", "Transaction"]

Row: TypeAlias = tuple[Any, ...]


class NotUnique(Exception):
    """An insert met a row of the same key."""


class Transaction(Protocol):
    """Statements inside one transaction."""

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return all its rows."""

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement once for each of ``rows``.

        Raises:
            NotUnique: An insert met a row of the same key; the transaction must be left.
        """

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Run one statement and give its rows one by one, without holding all of them."""


class Database(Protocol):
    """One SQL database with one schema in it."""

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a snapshot: everything read inside belongs to one moment."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a writing transaction; no second one, of any process, runs beside it.

        Leaving it commits, durably, or raises; an exception inside rolls back.
        """

    def self_check(self) -> list[str]:
        """Return what the database itself finds wrong with its pages, one line each."""

    def scrub(self) -> None:
        """Make deleted bytes unreadable in the database's files."""

    def close(self) -> None:
        """Let go of connections and files."""
