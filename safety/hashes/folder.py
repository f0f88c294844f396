"""A folder of lists that is followed: a changed file is in force in a second, without a pause.

``NAME.csv`` is a list, ``NAME.bank`` a compiled one, ``NAME.json`` the state of either.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from chopmark.errors import HashListError
from chopmark.safety.hashes.bank import HashBank, HashMatch, read_csv, test_bank
from chopmark.safety.hashes.compiled import CompiledBank
from chopmark.safety.hashes.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.safety.hashes.perceptual import PictureHashes

__all__ = ["Bank", "ListFolder", "list_paths", "open_list"]

_LOG = logging.getLogger(__name__)
_EVERY_S: Final[float] = 0.25
_Signature = tuple[tuple[str, int, int], ...]


class Bank(Protocol):
    """A list, as a guard asks it."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def match(self, hashes: PictureHashes, /) -> tuple[HashMatch, ...]:
        """Return the entries that a picture matches, nearest first."""
        ...


def list_paths(folder: Path) -> Iterator[Path]:
    """Return the lists of a folder, by name."""
    yield from sorted((*folder.glob("*.csv"), *folder.glob("*.bank")))


def open_list(path: Path) -> HashBank | CompiledBank:
    """Read ``NAME.csv`` or open ``NAME.bank``.

    Raises:
        HashListError: It cannot be read.
    """
    return CompiledBank(path) if path.suffix == ".bank" else read_csv(path)


class ListFolder:
    """The built-in test list and every list of a folder that is switched on. Safe for threads.

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

    def banks(self) -> tuple[Bank, ...]:
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
        banks: tuple[Bank, ...] | None = None
        error: HashListError | None = None
        try:
            banks = self._read()
        except HashListError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - a dying thread leaves no old lists in force
            error = HashListError(f"the hash lists cannot be read: {type(caught).__name__}")
            error.__cause__ = caught
        with self._lock:
            self._banks = banks or self._banks
            self._error, self._reading = error, False
        if error is not None:
            _LOG.error("nothing is judged until the hash lists can be read", exc_info=error)
        elif banks is not None:
            _LOG.info("hash lists in force: %s", ", ".join(bank.name for bank in banks))

    def _read(self) -> tuple[Bank, ...]:
        paths = list_paths(self._folder) if self._folder is not None else ()
        return (test_bank(), *(open_list(path) for path in paths if read_state(path).enabled))

    def _signature(self) -> _Signature:
        if self._folder is None:
            return ()
        found = []
        for path in (*list_paths(self._folder), *sorted(self._folder.glob("*.json"))):
            try:
                state = path.stat()
            except OSError:
                continue  # taken away between the two calls; the next look sees it
            found.append((path.name, state.st_mtime_ns, state.st_ino))
        return tuple(found)
