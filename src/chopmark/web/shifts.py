"""How long people have been looking at what hurts to look at, so that a break can be named."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Shift", "Shifts"]

_PAUSE_S: Final = 600.0
_MOST: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How long somebody has been looking at what hurts to look at.

    Attributes:
        began: On the clock of :class:`Shifts`.
        last: When they last did something.
        decided: Decisions since ``began``.
    """

    began: float
    last: float
    decided: int = 0

    @property
    def minutes(self) -> int:
        """Minutes without a pause of ten."""
        return int((self.last - self.began) // 60)


class Shifts:
    """Counts, in memory, how long each person has worked without a pause."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shifts: dict[str, Shift] = {}

    def seen(self, name: str, *, decided: int = 0) -> Shift:
        """Count something that a person did; ten minutes without anything are a pause."""
        now = self._clock()
        with self._lock:
            known = self._shifts.pop(name, None)
            if known is None or now - known.last > _PAUSE_S:
                known = Shift(began=now, last=now)
            known = replace(known, last=now, decided=known.decided + decided)
            self._shifts[name] = known
            if len(self._shifts) > _MOST:
                self._shifts.pop(next(iter(self._shifts)))
        return known

    def rested(self, name: str) -> None:
        """Begin anew: they took a break."""
        with self._lock:
            self._shifts.pop(name, None)
