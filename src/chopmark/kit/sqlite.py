"""SQLite through apsw: WAL, ``synchronous=FULL``, and a lock that queues fairly.

Every SQLite file of ours is opened here, so that the version gate below stands before all of them:
the log, its keys and its search through :class:`SqliteDatabase`, and whatever is small (API keys,
people, answers kept, manifests, past prompts) through :func:`open_store`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import apsw

from chopmark.errors import ConfigurationError
from chopmark.kit.database import LOG_ERRORS, DatabaseErrors, NotUnique, Row, Transaction
from chopmark.kit.files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["STORE_ERRORS", "SqliteDatabase", "open_store", "remove_other_version"]

# Before 3.51.3, two connections that write and checkpoint at once could corrupt a WAL database
# (sqlite.org/wal.html, "The WAL-reset bug").
_OLDEST: Final = (3, 51, 3)
_BUSY_MS: Final = 10_000
_WAL_BYTES: Final = 4 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 800
_CORRUPT: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)

#: For what is no log: a file of the deployer's that cannot be used.
STORE_ERRORS: Final = DatabaseErrors(
    unavailable=ConfigurationError,
    corrupt=ConfigurationError,
    hint="it must be a file that you may write, on a disk that is not full",
    corrupt_hint="restore it from your backup",
)


def open_store(
    path: Path, schema: str, *, hint: str = "", secure_delete: bool = True
) -> SqliteDatabase:
    """Open or make one of the small files, in a folder of its owner's alone.

    Args:
        path: The file.
        schema: As for :class:`SqliteDatabase`.
        hint: What to do where it cannot be used, if there is more to say than of any file.
        secure_delete: As for :class:`SqliteDatabase`.

    Raises:
        ConfigurationError: It cannot be opened or made. All its later failures are this one too.
    """
    errors = replace(STORE_ERRORS, hint=hint, corrupt_hint=hint) if hint else STORE_ERRORS
    make_private_folder(path.parent)
    return SqliteDatabase(
        path, schema=schema, errors=errors, grow_wal=False, secure_delete=secure_delete
    )


def remove_other_version(path: Path, version: int, *, errors: DatabaseErrors = LOG_ERRORS) -> None:
    """Remove a file that can be made again, if its ``user_version`` is another one, or it has none.

    Raises:
        ChopmarkError: ``errors.unavailable``: it cannot be read or removed.
    """
    if not path.is_file():
        return
    with _mapped(_name_of(path), errors):
        lock = _lock_of(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                found = connection.pragma("user_version")
            except _CORRUPT:
                found = None
            finally:
                connection.close()
            if found != version:
                for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                    path.with_name(name).unlink(missing_ok=True)
        finally:
            os.close(lock)


def _name_of(path: Path) -> str:
    """Return how messages call a file: several of ours have the same name in other folders."""
    return f"{path.parent.name}/{path.name}"


def _lock_of(path: Path) -> int:
    """Open the file beside a database whose ``flock`` orders its writers."""
    return os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _version_gate(errors: DatabaseErrors) -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < _OLDEST:
        raise errors.unavailable(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log",
            hint="install apsw 3.51.3 or newer",
        )


@contextlib.contextmanager
def _mapped(name: str, errors: DatabaseErrors) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise errors.corrupt(f"{name}: a text column does not hold text") from error
    except _CORRUPT as error:
        raise errors.corrupt(f"{name}: {error}", hint=errors.corrupt_hint) from error
    except apsw.ConstraintError as error:
        if getattr(error, "extendedresult", 0) in (
            apsw.SQLITE_CONSTRAINT_UNIQUE,
            apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
            apsw.SQLITE_CONSTRAINT_ROWID,
        ):
            raise NotUnique(str(error)) from None
        raise errors.unavailable(f"{name}: {error}") from error
    except apsw.Error as error:
        raise errors.unavailable(f"{name}: {error}", hint=errors.hint) from error
    except OSError as error:
        raise errors.unavailable(f"{name}: {error.strerror}", hint=errors.hint) from error


class _SqliteTransaction:
    """A transaction on one connection."""

    def __init__(self, connection: apsw.Connection, name: str, errors: DatabaseErrors) -> None:
        self._connection = connection
        self._name = name
        self._errors = errors

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _mapped(self._name, self._errors):
            return list(self._connection.execute(statement, tuple(parameters)))

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with _mapped(self._name, self._errors):
            self._connection.executemany(statement, rows)

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        with _mapped(self._name, self._errors):
            yield from self._connection.execute(statement, tuple(parameters))


class SqliteDatabase:
    """One SQLite file: a reading and a writing connection, each behind a lock of its own.

    Reads happen on the server's event loop, so they never wait for the fsync of another thread's
    commit; in a write-ahead log SQLite does not make them wait either.

    The ``flock`` of the file ``NAME.lock`` beside ``NAME.db`` orders the writers of all processes.
    SQLite's own lock is taken inside it; its busy-wait starves writers, and this one does not.

    Args:
        path: The file; made with mode 0600 when ``schema`` is given.
        schema: Statements that make the tables when they are not there, all in one transaction;
            None opens an existing file for reading only. What stands between two ``;;`` is run at
            once, on PostgreSQL too.
        errors: What failures become.
        grow_wal: Whether the write-ahead log is grown before it is needed, and stays when the file
            is closed: half the time per commit, for 4 MiB of disk.
        secure_delete: Whether what is deleted is overwritten with zeros.
        vfs: Name of a registered apsw VFS, for fault tests.
        synchronous: Anything but FULL loses acknowledged records in a power loss; for showing that.

    Raises:
        ChopmarkError: ``errors.unavailable``: the file cannot be opened or made.
        ChopmarkError: ``errors.corrupt``: it is not a database.
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str | None,
        errors: DatabaseErrors = LOG_ERRORS,
        grow_wal: bool = True,
        secure_delete: bool = True,
        vfs: str | None = None,
        synchronous: Literal["FULL", "NORMAL", "OFF"] = "FULL",
    ) -> None:
        _version_gate(errors)
        self._path, self._name = path, _name_of(path)
        self._errors = errors
        # Zeros that are not written through the VFS would be unknown to a fault test's recording.
        self._grows_wal = grow_wal and vfs is None
        self._keeps_wal = grow_wal
        self._secure_delete = secure_delete
        self._vfs = vfs
        self._synchronous = synchronous
        self._write_guard = threading.Lock()
        self._read_guard = threading.Lock()
        self._reader: apsw.Connection | None = None
        self._writer: apsw.Connection | None = None
        self._lock: int | None = None
        self._closed = False
        if schema is None:
            if not path.is_file():
                raise errors.unavailable(f"there is no file at {path}")
            return
        with self._mapped():
            # SQLite gives its journals the mode of the database: this one decides for all three.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._lock = _lock_of(path)
        try:
            with self.write() as transaction:
                for statement in schema.split(";;"):
                    transaction.execute(statement)
        except BaseException:
            self.close()
            raise

    def _mapped(self) -> contextlib.AbstractContextManager[None]:
        return _mapped(self._name, self._errors)

    def _transaction(self, connection: apsw.Connection) -> Transaction:
        return _SqliteTransaction(connection, self._name, self._errors)

    def _open(self, *, write: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_EXRESCODE
        connection = apsw.Connection(str(self._path), flags=flags, vfs=self._vfs)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            # A file that somebody changed must not run functions of its schema's choice, nor lead
            # SQLite to bytes outside a page.
            connection.pragma("trusted_schema", False)
            connection.pragma("cell_size_check", True)
            if write:
                if self._keeps_wal:
                    # SQLite deletes the WAL with the last connection; a grown one is worth keeping.
                    flag = ctypes.c_int(1)
                    connection.file_control(
                        "main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(flag)
                    )
                if connection.pragma("journal_mode", "wal") != "wal":
                    raise self._errors.unavailable(
                        f"{self._name}: this file system cannot hold a WAL"
                    )
                # FULL: a commit is on the disk before it returns (NORMAL loses acknowledged records
                # in half of the simulated power losses).
                connection.pragma("synchronous", self._synchronous)
                # Ours comes after the commit (_checkpoint), so that no commit pays for it.
                connection.pragma("wal_autocheckpoint", 0)
                connection.pragma("secure_delete", self._secure_delete)
                connection.pragma("foreign_keys", True)
            else:
                connection.pragma("query_only", True)
        except BaseException:
            connection.close(True)
            raise
        return connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a snapshot; see :class:`chopmark.kit.database.Database`."""
        with self._read_guard:
            if self._closed:
                raise self._errors.unavailable(f"{self._name} is closed")
            with self._mapped():
                if self._reader is None:
                    self._reader = self._open(write=False)
                connection = self._reader
                connection.execute("BEGIN")
            try:
                yield self._transaction(connection)
            finally:
                with self._mapped():
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a writing transaction; see :class:`chopmark.kit.database.Database`."""
        if self._lock is None:
            raise self._errors.unavailable(f"{self._name} is open for reading only")
        with self._write_guard, self._flocked(self._lock):
            with self._mapped():
                if self._writer is None:
                    self._writer = self._open(write=True)
                    self._grow_wal()
                connection = self._writer
                connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._transaction(connection)
                with self._mapped():
                    connection.execute("COMMIT")
            except BaseException as error:
                self._abandon(error)
                raise
            self._checkpoint(connection)

    def _abandon(self, error: BaseException) -> None:
        """Roll back; after an error of the store itself, trust nothing and open anew next time."""
        connection = self._writer
        if connection is None:
            return
        broken = isinstance(error, (self._errors.unavailable, self._errors.corrupt))
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            broken = True
        if broken:
            self._writer = None
            with contextlib.suppress(apsw.Error):
                connection.close(True)

    @contextlib.contextmanager
    def _flocked(self, descriptor: int) -> Iterator[None]:
        with self._mapped():
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _checkpoint(self, connection: apsw.Connection) -> None:
        """Copy a long WAL back. Failing here harms nothing: the WAL holds the commits."""
        with contextlib.suppress(apsw.Error, OSError):
            status = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            if status[0] > _CHECKPOINT_PAGES:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _grow_wal(self) -> None:
        """Write zeros behind the WAL's end, so that commits overwrite blocks instead of adding.

        Measured: half the time per small commit. SQLite reads a WAL up to the first frame whose
        checksum fails, so bytes behind that mean nothing to it. Called under the write lock only.
        """
        if not self._grows_wal:
            return
        wal = self._path.with_name(self._path.name + "-wal")
        with contextlib.suppress(OSError):
            descriptor = os.open(wal, os.O_WRONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                if size < _WAL_BYTES:
                    os.pwrite(descriptor, bytes(_WAL_BYTES - size), size)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def add_columns(self, table: str, columns: Mapping[str, str]) -> None:
        """Give a table of an earlier version the columns that it lacks."""
        with self.write() as transaction:
            there = {row[1] for row in transaction.execute(f"PRAGMA table_info({table})")}
            for name, kind in columns.items():
                if name not in there:
                    transaction.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def self_check(self) -> list[str]:
        """Return what SQLite itself finds wrong with the file, its indexes included."""
        with self.read() as transaction:
            try:
                lines = [str(row[0]) for row in transaction.execute("PRAGMA integrity_check(20)")]
            except self._errors.corrupt as error:
                return [error.message]
        return [line for line in lines if line != "ok"]

    def scrub(self) -> None:
        """Empty the WAL, so that no deleted page image stays in it.

        Raises:
            ChopmarkError: ``errors.unavailable``: a reader held the WAL for too long; call again.
        """
        if self._lock is None:
            raise self._errors.unavailable(f"{self._name} is open for reading only")
        with self._write_guard, self._flocked(self._lock), self._mapped():
            if self._writer is None:
                self._writer = self._open(write=True)
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._grow_wal()

    def close(self) -> None:
        """Let go of connections and files, once those that use them are done. Idempotent."""
        with self._read_guard, self._write_guard:
            with contextlib.suppress(apsw.Error):
                for connection in (self._reader, self._writer):
                    if connection is not None:
                        connection.close()
            self._reader = self._writer = None
            self._closed = True
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
