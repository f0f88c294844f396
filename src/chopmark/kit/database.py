"""The seam to SQL: a small protocol, so that SQLite and PostgreSQL run the same log code.

Statements are written with ``?`` for parameters and use only what both know. Every error of a
driver leaves here as one of the two classes of :class:`DatabaseErrors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from chopmark.errors import ChopmarkError, LogCorrupt, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = [
    "LOG_ERRORS",
    "POSTGRES_TYPES",
    "SQLITE_TYPES",
    "Database",
    "DatabaseErrors",
    "NotUnique",
    "Row",
    "Transaction",
]

Row: TypeAlias = tuple[Any, ...]

#: What a schema that both databases know leaves open, for ``str.format``.
SQLITE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"integer": "INTEGER", "real": "REAL", "blob": "BLOB", "strict": " STRICT", "key": "TEXT"}
)
#: Text that is a key is compared byte by byte, as SQLite does it; ranges of keys depend on it.
POSTGRES_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "integer": "BIGINT",
        "real": "DOUBLE PRECISION",
        "blob": "BYTEA",
        "strict": "",
        "key": 'TEXT COLLATE "C"',
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseErrors:
    """What a driver's failures become: whose data it is decides, so that codes stay as they are.

    Attributes:
        unavailable: It cannot be opened, read or written now.
        corrupt: Its bytes do not agree with each other.
        hint: What to do where it is unavailable.
        corrupt_hint: What to do where it is corrupt.
    """

    unavailable: type[ChopmarkError]
    corrupt: type[ChopmarkError]
    hint: str
    corrupt_hint: str


LOG_ERRORS: Final = DatabaseErrors(
    unavailable=LogUnavailable,
    corrupt=LogCorrupt,
    hint="is the disk full or gone?",
    corrupt_hint="run chopmark audit verify",
)


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

    def add_columns(self, table: str, columns: Mapping[str, str]) -> None:
        """Give a table of an earlier version the columns that it lacks.

        Args:
            table: One of ours.
            columns: Names, and types with their defaults as in a schema of this database.
        """

    def self_check(self) -> list[str]:
        """Return what the database itself finds wrong with its pages, one line each."""

    def scrub(self) -> None:
        """Make deleted bytes unreadable in the database's files."""

    def close(self) -> None:
        """Let go of connections and files."""
