"""PostgreSQL through psycopg: the same statements, under one advisory lock for the writers."""

from __future__ import annotations

import contextlib
import re
import threading
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.kit.database import LOG_ERRORS, DatabaseErrors, NotUnique, Row, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["PostgresDatabase"]

_COPY_FROM: Final = 20
_INSERT: Final = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \([?, ]+\)")
_CHUNK: Final = 5000
_TIMEOUT_MS: Final = 20_000
#: A server that was cut off in the middle of a transaction has the writers' lock until PostgreSQL
#: takes it back: after so long without a statement of its.
_SILENT_MS: Final = 8_000
#: How either side notices that the other is gone while it waits: libpq's names, seconds but for the
#: last, which is milliseconds.
_NOTICES: Final = {
    "keepalives_idle": 3, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 9_000,
}  # fmt: skip
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")
#: Of all our tables together; goes up with a change that code of before cannot work with.
_FORMAT: Final = 1


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
def _mapped(psycopg: Any, errors: DatabaseErrors) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise NotUnique(str(error)) from None
    except psycopg.DataError as error:
        if "NUL" not in str(error):
            raise errors.unavailable(f"PostgreSQL: {error}") from error
        # SQLite keeps such a text; PostgreSQL has no form for it.
        raise InvalidRequest("a text holds the character U+0000", hint="leave it out") from None
    except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted) as error:
        raise errors.corrupt(f"PostgreSQL: {error}", hint=errors.corrupt_hint) from error
    except psycopg.Error as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise errors.unavailable(f"PostgreSQL: {text}", hint="is the server there?") from error
    except UnicodeError as error:
        raise errors.corrupt("PostgreSQL: a text column does not hold text") from error


class _PostgresTransaction:
    """A transaction on one connection."""

    def __init__(self, psycopg: Any, connection: Any, errors: DatabaseErrors) -> None:
        self._psycopg, self._connection, self._errors = psycopg, connection, errors

    def _mapped(self) -> contextlib.AbstractContextManager[None]:
        return _mapped(self._psycopg, self._errors)

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._mapped():
            cursor = self._connection.execute(_translated(statement), tuple(parameters))
            return cursor.fetchall() if cursor.description is not None else []

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        listed = list(rows)
        insert = _INSERT.fullmatch(statement)
        with self._mapped(), self._connection.cursor() as cursor:
            if insert is not None and len(listed) > _COPY_FROM:
                with cursor.copy(f"COPY {insert[1]} ({insert[2]}) FROM STDIN") as copy:
                    for row in listed:
                        copy.write_row(row)
            elif listed:
                cursor.executemany(_translated(statement), listed)

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        name = f"walk_{id(object())}_{threading.get_ident()}_{next(_numbers)}"
        with self._mapped(), self._connection.cursor(name) as cursor:
            cursor.itersize = _CHUNK
            cursor.execute(_translated(statement), tuple(parameters))
            yield from cursor


def _counting() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


_numbers = _counting()


def _check_format(transaction: Transaction) -> None:
    """Refuse tables of a newer version before anything is written; note ours where none stands."""
    transaction.execute("CREATE TABLE IF NOT EXISTS chopmark_format (version BIGINT NOT NULL)")
    ((found,),) = transaction.execute("SELECT max(version) FROM chopmark_format")
    if found is None:
        transaction.execute("INSERT INTO chopmark_format (version) VALUES (?)", (_FORMAT,))
    elif found > _FORMAT:
        raise ConfigurationError(
            f"the database's tables have format {found}, and this version knows {_FORMAT} at most",
            hint="a newer Chopmark has used this database: install that version, or take another"
            " schema",
        )


class PostgresDatabase:
    """One schema of a PostgreSQL database.

    Args:
        url: ``postgresql://...``; ``?options=-csearch_path%3Dname`` chooses a schema. ``#name`` at
            its end is a part of the database that these tables have to themselves, with a writers'
            lock of its own: the schema ``public_name``, made when it is missing.
        schema: Statements that make the tables when they are not there; None reads only.
        errors: What failures become.

    Raises:
        ChopmarkError: ``errors.unavailable``: the server is not there, or refuses.
        ConfigurationError: psycopg is not installed, the address names a schema that is not there,
            or the tables are of a newer version of Chopmark.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None,
        errors: DatabaseErrors = LOG_ERRORS,
    ) -> None:
        self._psycopg = _driver()
        self._errors = errors
        self._url, _, self._part = url.partition("#")
        self._writable = schema is not None
        self._write_guard, self._read_guard = threading.Lock(), threading.Lock()
        self._writer: Any = None
        self._reader: Any = None
        self._closed = False
        if schema is not None:
            try:
                with self.write() as transaction:
                    _check_format(transaction)
                    for statement in schema.split(";;"):
                        transaction.execute(statement)
            except BaseException:
                self.close()
                raise

    def _mapped(self) -> contextlib.AbstractContextManager[None]:
        return _mapped(self._psycopg, self._errors)

    def _open(self) -> Any:
        if self._closed:
            # A call that outlived its server: what it opened now nobody would close.
            raise self._errors.unavailable("the database is closed")
        connection = self._psycopg.connect(self._url, connect_timeout=10, **_NOTICES)
        try:
            if self._part:
                self._enter(connection, self._part)
            connection.execute("SET synchronous_commit = on")
            connection.execute("SET client_min_messages = warning")
            connection.execute(f"SET lock_timeout = {_TIMEOUT_MS}")
            connection.execute("SET tcp_keepalives_idle = 3")
            connection.execute("SET tcp_keepalives_interval = 2")
            connection.execute("SET tcp_keepalives_count = 3")
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter(self, connection: Any, part: str) -> None:
        """Have a connection use the schema of these tables alone."""
        (base,) = connection.execute("SELECT current_schema()").fetchone()
        name = f"{base}_{part}"
        if base is None or not _NAME.fullmatch(name):
            raise ConfigurationError(
                "the database's address names a schema that is not there, or not a plain name",
                hint="CREATE SCHEMA name; lower-case letters, digits and _",
            )
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,))
        if found.fetchone() is None and self._writable:
            # Two servers that start at once both find it missing; one of them makes it.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('chopmark schemas'))")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
        connection.execute(f"SET search_path = {name}")

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a snapshot; see :class:`chopmark.kit.database.Database`."""
        with self._read_guard:
            try:
                with self._mapped():
                    self._begin_read()
                yield _PostgresTransaction(self._psycopg, self._reader, self._errors)
                with self._mapped():
                    self._reader.rollback()
            except BaseException:
                self._drop_reader()
                raise

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a writing transaction; see :class:`chopmark.kit.database.Database`."""
        if not self._writable:
            raise self._errors.unavailable("the database is open for reading only")
        with self._write_guard:
            try:
                with self._mapped():
                    self._begin_write()
                yield _PostgresTransaction(self._psycopg, self._writer, self._errors)
                with self._mapped():
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
            self._writer.execute(f"SET idle_in_transaction_session_timeout = {_SILENT_MS}")
            self._writer.commit()
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
        broken = isinstance(error, (self._errors.unavailable, self._errors.corrupt))
        if not broken and self._writer is not None:
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

    def add_columns(self, table: str, columns: Mapping[str, str]) -> None:
        """Give a table of an earlier version the columns that it lacks."""
        with self.write() as transaction:
            for name, kind in columns.items():
                transaction.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}")

    def self_check(self) -> list[str]:
        """Return nothing: checking its pages is the server's own work (data checksums, amcheck)."""
        return []

    def scrub(self) -> None:
        """Rewrite the tables that rows were deleted from, so that their pages go.

        The server's own write-ahead log keeps what it has until it recycles it; the data keys in
        it are wrapped, and content without its key is noise.
        """
        with self._write_guard, self._mapped():
            connection = self._open()
            try:
                connection.autocommit = True
                for (name,) in connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                    " AND tablename IN ('content', 'subject_key', 'kept_piece')"
                ).fetchall():
                    connection.execute(f"VACUUM FULL {name}")
            finally:
                connection.close()

    def close(self) -> None:
        """Let go of the connections, for good. Idempotent."""
        self._closed = True
        with self._read_guard, self._write_guard:
            self._drop_reader()
            self._drop_writer()
