"""A folder of lists that is followed: a changed file is in force in a second, without a pause."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from chopmark.errors import HashListError
from chopmark.safety.hashes.bank import HashBank, read_csv, test_bank

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ListFolder"]

_EVERY_S: Final[float] = 0.25
_Signature = tuple[tuple[str, int, int], ...]


class ListFolder:
    """The built-in test list and every ``*.csv`` of a folder. Safe for threads.

    The banks are read in the background when a file changes and take the old ones' place at once.
    A list that cannot be read is an error for every lookup from then on, until it is mended: a list
    that is there is never skipped.
    """

    def __init__(self, folder: Path | None) -> None:
        """Read the folder.

        Raises:
            HashListError: A list cannot be read.
        """
        self._folder = folder
        self._lock = threading.Lock()
        self._reading = False
        self._error: HashListError | None = None
        self._seen = self._signature()
        self._banks = self._read()
        self._looked = time.monotonic()

    def banks(self) -> tuple[HashBank, ...]:
        """Return the lists in force.

        Raises:
            HashListError: A list of the folder cannot be read.
        """
        with self._lock:
            due = not self._reading and time.monotonic() - self._looked >= _EVERY_S
            if due:
                self._looked = time.monotonic()
                signature = self._signature()
                if signature != self._seen:
                    self._seen, self._reading = signature, True
                    threading.Thread(target=self._reload, daemon=True).start()
            if self._error is not None:
                raise self._error
            return self._banks

    def _reload(self) -> None:
        banks: tuple[HashBank, ...] | None = None
        error: HashListError | None = None
        try:
            banks = self._read()
        except HashListError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - a dying thread leaves no old lists in force
            error = HashListError(f"the hash lists cannot be read: {type(caught).__name__}")
        with self._lock:
            self._banks = banks or self._banks
            self._error, self._reading = error, False

    def _read(self) -> tuple[HashBank, ...]:
        files = sorted(self._folder.glob("*.csv")) if self._folder is not None else []
        return (test_bank(), *(read_csv(path) for path in files))

    def _signature(self) -> _Signature:
        if self._folder is None:
            return ()
        found = []
        for path in sorted(self._folder.glob("*.csv")):
            try:
                state = path.stat()
            except OSError:
                continue  # taken away between the two calls; the next look sees it
            found.append((path.name, state.st_mtime_ns, state.st_size))
        return tuple(found)
