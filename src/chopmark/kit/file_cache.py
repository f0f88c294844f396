"""What files say, kept in memory and read again when a file has changed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FileCache"]

T = TypeVar("T")
# Modification time in nanoseconds, size in bytes, inode; None where there is no file.
_Version = tuple[int, int, int] | None


class FileCache(Generic[T]):
    """Reads each file once for each of its versions.

    A file that cannot be read leaves nothing behind: what it said before is not given any more.

    Args:
        read: Reads a file by its path. A name that is no file (of something built in) is read once.
    """

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[_Version, T]] = {}

    def get(self, name: str) -> T:
        """Return what a file says now; raises whatever ``read`` raises."""
        # Taken before the file is read: if it changes meanwhile, the next look reads it again.
        version = _version_of(name)
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept[0] != version:
                self._kept.pop(name, None)
                kept = self._kept[name] = version, self._read(name)
            return kept[1]


def _version_of(name: str) -> _Version:
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None  # what is wrong with it, the reader says
    return found.st_mtime_ns, found.st_size, found.st_ino
