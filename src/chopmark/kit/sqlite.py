"""SQLite through apsw: WAL, ``synchronous=FULL``, a pre-grown WAL and a lock that queues fairly."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final, Literal

import apsw

from chopmark.errors import AuditError, LogCorrupt, LogUnavailable
from chopmark.kit.database import NotUnique, Row, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["SqliteDatabase", "private_folder"]

# Before 3.51.3, two connections that write and checkpoint at once could corrupt a WAL database
# (sqlite.org/wal.html, "The WAL-reset bug").
_OLDEST: Final = (3, 51, 3)
_BUSY_MS: Final = 10_000
_WAL_BYTES: Final = 4 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 800
_CORRUPT: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter.

    Raises:
        LogUnavailable: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnavailable(f"cannot make {path}: {error.strerror}") from None


def _version_gate() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < _OLDEST:
        raise LogUnavailable(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log",
            hint="install apsw 3.51.3 or newer",
        )


@contextlib.contextmanager
def _mapped(what: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise LogCorrupt(f"{what}: a text column does not hold text") from error
    except _CORRUPT as error:
        raise LogCorrupt(f"{what}: {error}", hint="run chopmark audit verify") from error
    except apsw.ConstraintError as error:
        if getattr(error, "extendedresult", 0) in (
            apsw.SQLITE_CONSTRAINT_UNIQUE,
            apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
            apsw.SQLITE_CONSTRAINT_ROWID,
        ):
            raise NotUnique(str(error)) from None
        raise LogUnavailable(f"{what}: {error}") from error
    except apsw.Error as error:
        raise LogUnavailable(f"{what}: {error}", hint="is the disk full or gone?") from error
    except OSError as error:
        raise LogUnavailable(f"{what}: {error.strerror}") from error


class _SqliteTransaction:
    """A transaction on one connection."""

    def __init__(self, connection: apsw.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _mapped(self._name):
            return list(self._connection.execute(statement, tuple(parameters)))

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with _mapped(self._name):
            self._connection.executemany(statement, rows)

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        with _mapped(self._name):
            yield from self._connection.execute(statement, tuple(parameters))


class SqliteDatabase:
    """One SQLite file.

    Args:
        path: The file; made with mode 0600 when ``schema`` is given.
        schema: Statements that make the tables when they are not there; None opens an existing
            file for reading only.
        lock: File whose ``flock`` orders the writers. SQLite's own lock is taken inside it; its
            busy-wait starves writers, and this one does not.
        vfs: Name of a registered apsw VFS, for fault tests.
        synchronous: Anything but FULL loses acknowledged records in a power loss; for showing that.

    Raises:
        LogUnavailable: The file cannot be opened or made.
        LogCorrupt: It is not a database.
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str | None,
        lock: Path,
        vfs: str | None = None,
        synchronous: Literal["FULL", "NORMAL", "OFF"] = "FULL",
    ) -> None:
        _version_gate()
        self._path = path
        self._writable = schema is not None
        self._vfs = vfs
        self._synchronous = synchronous
        self._guard = threading.Lock()
        self._read_guard = threading.Lock()
        self._reader: apsw.Connection | None = None
        self._writer: apsw.Connection | None = None
        self._lock: int | None = None
        if schema is None:
            if not path.is_file():
                raise LogUnavailable(f"there is no log file at {path}")
            return
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnavailable(f"cannot open {path}: {error.strerror}") from None
        try:
            with self.write() as transaction:
                for statement in schema.split(";;"):
                    transaction.execute(statement)
        except BaseException:
            self.close()
            raise

    def _open(self, *, write: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_EXRESCODE
        connection = apsw.Connection(str(self._path), flags=flags, vfs=self._vfs)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            # FULL: a commit is on the disk before it returns (NORMAL loses acknowledged records
            # in half of the simulated power losses).
            connection.pragma("trusted_schema", False)
            connection.pragma("cell_size_check", True)
            if write:
                # SQLite deletes the WAL with the last connection; a grown one is worth keeping.
                flag = ctypes.c_int(1)
                connection.file_control(
                    "main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(flag)
                )
                if connection.pragma("journal_mode", "wal") != "wal":
                    raise LogUnavailable(f"{self._path.name}: this file system cannot hold a WAL")
                connection.pragma("synchronous", self._synchronous)
                connection.pragma("wal_autocheckpoint", 0)
                connection.pragma("secure_delete", True)
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
            with _mapped(self._path.name):
                if self._reader is None:
                    self._reader = self._open(write=False)
                connection = self._reader
                connection.execute("BEGIN")
            try:
                yield _SqliteTransaction(connection, self._path.name)
            finally:
                with _mapped(self._path.name):
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a writing transaction; see :class:`chopmark.kit.database.Database`."""
        if self._lock is None:
            raise LogUnavailable(f"{self._path.name} is open for reading only")
        with self._guard, self._flocked(self._lock):
            with _mapped(self._path.name):
                if self._writer is None:
                    self._writer = self._open(write=True)
                    self._grow_wal()
                connection = self._writer
                connection.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteTransaction(connection, self._path.name)
                with _mapped(self._path.name):
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
        broken = isinstance(error, AuditError)
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
        with _mapped(self._path.name):
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
        if self._vfs is not None:
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

    def self_check(self) -> list[str]:
        """Return what SQLite itself finds wrong with the file, its indexes included."""
        with self.read() as transaction:
            try:
                lines = [str(row[0]) for row in transaction.execute("PRAGMA integrity_check(20)")]
            except LogCorrupt as error:
                return [error.message]
        return [line for line in lines if line != "ok"]

    def scrub(self) -> None:
        """Empty the WAL, so that no deleted page image stays in it.

        Raises:
            LogUnavailable: A reader held the WAL for too long; call again.
        """
        if self._lock is None:
            raise LogUnavailable(f"{self._path.name} is open for reading only")
        with self._guard, self._flocked(self._lock), _mapped(self._path.name):
            if self._writer is None:
                self._writer = self._open(write=True)
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._grow_wal()

    def close(self) -> None:
        """Let go of connections and files."""
        with contextlib.suppress(apsw.Error):
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
        self._reader = self._writer = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
