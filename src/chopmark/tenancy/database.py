"""One SQLite file under ``home/tenancy``, mode 0600, used from several threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Database"]

_BUSY_MS = 5000


class Database:
    """A reading and a writing connection, each behind a lock; each use is one transaction.

    Reads happen on the server's event loop: they must not wait for another thread's fsync.
    """

    def __init__(self, path: Path, schema: str) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._writer = _connect(path)
            self._writer.executescript(schema)
            self._reader = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"{path} cannot be used: {error}", hint="it must be a file that you may write"
            ) from error
        self._locks = {self._reader: threading.Lock(), self._writer: threading.Lock()}

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """Run one transaction; what fails is rolled back.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        connection = self._writer if write else self._reader
        with self._locks[connection]:
            try:
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise ConfigurationError(
                    f"the tenancy database failed: {error}", hint="is its disk full?"
                ) from error

    def close(self) -> None:
        """Close the file. Idempotent."""
        for connection, lock in self._locks.items():
            with lock:
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, check_same_thread=False, isolation_level=None, timeout=_BUSY_MS / 1000
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
