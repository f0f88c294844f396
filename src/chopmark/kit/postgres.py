"""PostgreSQL through psycopg: the same statements, under one advisory lock for the writers."""

from __future__ import annotations

import contextlib
import re
import threading
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import AuditError, ConfigurationError, LogCorrupt, LogUnavailable
from chopmark.kit.database import NotUnique, Row, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["PostgresDatabase"]

_COPY_FROM: Final = 20
_INSERT: Final = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \([?, ]+\)")
_CHUNK: Final = 5000
_TIMEOUT_MS: Final = 20_000


def _driver() -> Any:
    try:
        return import_module("psycopg")
    except ImportError:
        raise ConfigurationError(
            "PostgreSQL needs psycopg", hint="pip install 'chopmark[postgres]'"
        ) from None


@lru_cache(maxsize=200)
def _translated(statement: str) -> str:
    """Return the statement with psycopg's placeholders; ours hold no percent sign."""
    return statement.replace("?", "%s")


@contextlib.contextmanager
def _mapped(psycopg: Any) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise NotUnique(str(error)) from None
    except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted) as error:
        raise LogCorrupt(f"PostgreSQL: {error}", hint="run chopmark audit verify") from error
    except psycopg.Error as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise LogUnavailable(f"PostgreSQL: {text}", hint="is the server there?") from error
    except UnicodeError as error:
        raise LogCorrupt("PostgreSQL: a text column does not hold text") from error


class _PostgresTransaction:
    """A transaction on one connection."""

    def __init__(self, psycopg: Any, connection: Any) -> None:
        self._psycopg, self._connection = psycopg, connection

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _mapped(self._psycopg):
            cursor = self._connection.execute(_translated(statement), tuple(parameters))
            return cursor.fetchall() if cursor.description is not None else []

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        listed = list(rows)
        insert = _INSERT.fullmatch(statement)
        with _mapped(self._psycopg), self._connection.cursor() as cursor:
            if insert is not None and len(listed) > _COPY_FROM:
                with cursor.copy(f"COPY {insert[1]} ({insert[2]}) FROM STDIN") as copy:
                    for row in listed:
                        copy.write_row(row)
            elif listed:
                cursor.executemany(_translated(statement), listed)

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        name = f"walk_{id(object())}_{threading.get_ident()}_{next(_numbers)}"
        with _mapped(self._psycopg), self._connection.cursor(name) as cursor:
            cursor.itersize = _CHUNK
            cursor.execute(_translated(statement), tuple(parameters))
            yield from cursor


def _counting() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


_numbers = _counting()


class PostgresDatabase:
    """One schema of a PostgreSQL database.

    Args:
        url: ``postgresql://...``; ``?options=-csearch_path%3Dname`` chooses a schema.
        schema: Statements that make the tables when they are not there; None reads only.

    Raises:
        LogUnavailable: The server is not there, or refuses.
        ConfigurationError: psycopg is not installed.
    """

    def __init__(self, url: str, *, schema: str | None) -> None:
        self._psycopg = _driver()
        self._url = url
        self._writable = schema is not None
        self._write_guard, self._read_guard = threading.Lock(), threading.Lock()
        self._writer: Any = None
        self._reader: Any = None
        if schema is not None:
            with self.write() as transaction:
                for statement in schema.split(";;"):
                    transaction.execute(statement)

    def _open(self) -> Any:
        connection = self._psycopg.connect(self._url, connect_timeout=10)
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"SET lock_timeout = {_TIMEOUT_MS}")
        connection.commit()
        return connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a snapshot; see :class:`chopmark.kit.database.Database`."""
        with self._read_guard:
            try:
                with _mapped(self._psycopg):
                    self._begin_read()
                yield _PostgresTransaction(self._psycopg, self._reader)
                with _mapped(self._psycopg):
                    self._reader.rollback()
            except BaseException:
                self._drop_reader()
                raise

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a writing transaction; see :class:`chopmark.kit.database.Database`."""
        if not self._writable:
            raise LogUnavailable("the log is open for reading only")
        with self._write_guard:
            try:
                with _mapped(self._psycopg):
                    self._begin_write()
                yield _PostgresTransaction(self._psycopg, self._writer)
                with _mapped(self._psycopg):
                    self._writer.commit()
            except BaseException as error:
                self._abandon(error)
                raise

    # A connection that was kept may have died while nobody used it (a restart of the server, a
    # firewall): the first statement finds out, and one more try costs nothing, since nothing of the
    # transaction has happened yet.

    def _begin_read(self) -> None:
        kept = self._reader is not None
        if self._reader is None:
            self._reader = self._open()
            self._reader.isolation_level = self._psycopg.IsolationLevel.REPEATABLE_READ
            self._reader.read_only = True
        try:
            self._reader.execute("SELECT 1")
        except self._psycopg.OperationalError:
            if not kept:
                raise
            self._drop_reader()
            self._begin_read()

    def _begin_write(self) -> None:
        kept = self._writer is not None
        if self._writer is None:
            self._writer = self._open()
        try:
            # One writer at a time in this schema; PostgreSQL lets them in in their order.
            self._writer.execute(
                "SELECT pg_advisory_xact_lock(hashtext('chopmark ' || current_schema()))"
            )
        except self._psycopg.OperationalError as error:
            waited = isinstance(error, self._psycopg.errors.LockNotAvailable)
            if waited or not kept:
                raise
            self._drop_writer()
            self._begin_write()

    def _abandon(self, error: BaseException) -> None:
        """Roll back; after an error of the store itself, trust nothing and connect anew."""
        if not isinstance(error, AuditError) and self._writer is not None:
            with contextlib.suppress(self._psycopg.Error):
                self._writer.rollback()
                return
        self._drop_writer()

    def _drop_reader(self) -> None:
        connection, self._reader = self._reader, None
        if connection is not None:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()

    def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()

    def self_check(self) -> list[str]:
        """Return nothing: checking its pages is the server's own work (data checksums, amcheck)."""
        return []

    def scrub(self) -> None:
        """Rewrite the tables that rows were deleted from, so that their pages go.

        The server's own write-ahead log keeps what it has until it recycles it; the data keys in
        it are wrapped, and content without its key is noise.
        """
        with self._write_guard, _mapped(self._psycopg):
            connection = self._psycopg.connect(self._url, autocommit=True)
            try:
                for (name,) in connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                    " AND tablename IN ('content', 'subject_key')"
                ).fetchall():
                    connection.execute(f"VACUUM FULL {name}")
            finally:
                connection.close()

    def close(self) -> None:
        """Let go of connections and files."""
        with self._read_guard, self._write_guard:
            self._drop_reader()
            self._drop_writer()
