"""Wrong passwords: guessing is slowed down, and no stranger locks anybody else out by it.

Counting by name alone would let anybody close an account with ten wrong passwords. So the right
password is right, also after wrong ones from elsewhere; whoever goes on guessing is told to wait,
and only when a name has had more wrong passwords in a day than any person types is it closed to
browsers that never signed in to it (NIST SP 800-63B section 5.2.2; the browsers that did are known
by a cookie, as in OWASP's "device cookies").
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from chopmark.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guesses"]

#: Wrong passwords from one place within so many seconds; after these it is told to wait.
_MOST_HERE: Final = 10
_HERE_S: Final = 900.0
#: Wrong passwords for one name within a day from browsers that never signed in to it.
_MOST_A_DAY: Final = 100
_DAY_S: Final = 24 * 3600.0
_MOST_COUNTS: Final = 10_000


class Guesses:
    """Counts wrong passwords, in memory. Use it from any thread.

    Args:
        clock: Seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: dict[str, list[float]] = {}

    def check(self, name: str, *, device: str | None) -> None:
        """Refuse to look at a password at all.

        Args:
            name: Whose password it is said to be.
            device: Names a browser that signed in to this name before; ``None`` for any other.

        Raises:
            RateLimited: Too many wrong ones.
        """
        if device is None:
            self._refuse(f"name {name}", _MOST_A_DAY, _DAY_S)
        else:
            self._refuse(f"device {device}", _MOST_HERE, _HERE_S)

    def wrong(self, name: str, *, address: str, device: str | None) -> None:
        """Count a wrong password.

        Raises:
            RateLimited: It is one too many from there.
        """
        if device is not None:
            self._count(f"device {device}", _HERE_S)
            return
        here = f"from {address} {name}"
        try:
            self._refuse(here, _MOST_HERE, _HERE_S)
        finally:
            self._count(here, _HERE_S)
            self._count(f"name {name}", _DAY_S)

    def right(self, name: str, *, address: str, device: str | None) -> None:
        """Forget the wrong ones that somebody typed before the right one."""
        with self._lock:
            self._wrong.pop(f"device {device}", None)
            self._wrong.pop(f"from {address} {name}", None)

    def _refuse(self, what: str, most: int, within_s: float) -> None:
        now = self._clock()
        with self._lock:
            recent = [at for at in self._wrong.get(what, ()) if at > now - within_s]
        if len(recent) >= most:
            raise RateLimited(
                "too many wrong passwords for this name",
                hint="wait, or ask the operator for a one-time link",
                retry_after_s=recent[-most] + within_s - now,
            )

    def _count(self, what: str, within_s: float) -> None:
        now = self._clock()
        with self._lock:
            recent = [at for at in self._wrong.pop(what, ()) if at > now - within_s]
            self._wrong[what] = [*recent[-_MOST_A_DAY:], now]
            if len(self._wrong) > _MOST_COUNTS:
                self._wrong.pop(next(iter(self._wrong)))
