"""Which requests are on their way, in a file that a process leaves behind when it dies.

Each process that makes pictures has a file of its own in ``home/running`` and holds a lock on it
(``flock(2)``), which the kernel takes away when the process ends, however it ends. Whoever can take
the lock knows that nobody works on these requests any more, and need not wait until none can.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import LogUnavailable
from chopmark.kit.files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FOLDER", "SETTLED_S", "InFlight", "Left", "left_behind"]

FOLDER: Final = "running"
_SUFFIX: Final = ".ids"
# Enough for days of requests that fail in other ways; then the file is written anew.
_MOST_BYTES: Final = 1 << 20
# What a process had sent to the log may still be booked by another one for so long.
SETTLED_S: Final = 60.0


class InFlight:
    """The requests of this process; use it from any thread.

    Args:
        home: The home folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER
        self._lock = threading.Lock()
        self._now: set[str] = set()
        self._file: int | None = None
        self._path: Path | None = None
        self._written = 0

    def begin(self, record_id: str) -> None:
        """Note a request, before the log hears of it.

        Raises:
            LogUnavailable: It cannot be noted; nothing is made then.
        """
        with self._lock:
            try:
                if self._file is None:
                    self._open()
                if self._written > _MOST_BYTES:
                    self._write_anew()
                self._append([record_id])
            except OSError as error:
                raise LogUnavailable(
                    f"what is on its way cannot be noted in {self._folder}: {error.strerror}",
                    hint="is the disk full?",
                ) from error
            self._now.add(record_id)

    def end(self, record_id: str) -> None:
        """Note that a request has ended, or that nobody here works on it any more."""
        with self._lock:
            self._now.discard(record_id)

    def left_behind(self) -> Iterator[Left]:
        """Yield what each process of this home that has ended left behind."""
        return left_behind(self._home)

    def close(self) -> None:
        """Let go of the file, which goes where nothing is on its way. Idempotent."""
        with self._lock:
            if self._file is None:
                return
            if not self._now and self._path is not None:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        make_private_folder(self._folder, error=LogUnavailable)
        path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        # Under a name that nobody looks for until it is locked.
        draft = path.with_suffix(".new")
        file = os.open(draft, flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.replace(path)
        self._file, self._path = file, path

    def _append(self, record_ids: list[str]) -> None:
        assert self._file is not None  # noqa: S101  both callers have opened it
        data = "".join(f"{each}\n" for each in record_ids).encode()
        os.pwrite(self._file, data, self._written)
        self._written += len(data)

    def _write_anew(self) -> None:
        assert self._file is not None  # noqa: S101
        os.ftruncate(self._file, 0)
        self._written = 0
        self._append(sorted(self._now))


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a process that is no more was working on, and more that it had finished.

    Attributes:
        record_ids: Of its requests.
        writer: The name that it wrote to a shared log under; empty where the kernel knows that it
            has ended.
    """

    record_ids: tuple[str, ...]
    writer: str = ""


def left_behind(home: Path) -> Iterator[Left]:
    """Yield what each process that has ended left behind; once that is settled, its file goes."""
    for path in sorted((home / FOLDER).glob(f"*{_SUFFIX}")):
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # somebody else took it away just now
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield Left(record_ids=tuple(_whole_lines(file)))
                if os.fstat(file).st_mtime < time.time() - SETTLED_S:
                    path.unlink(missing_ok=True)
        finally:
            os.close(file)


def _whole_lines(file: int) -> list[str]:
    text = os.pread(file, 2 * _MOST_BYTES, 0).decode("ascii", "replace")
    return [line for line in text.split("\n")[:-1] if line]
