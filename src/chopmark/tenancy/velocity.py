"""Who was refused too often lately, and must wait: per person, as the tenant's rule says.

Only people that the tenant names are counted (``safety_identifier`` or ``user``). Everybody behind
one key counted as one would let a single person shut out all the others.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import CoolingDown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Rule", "Velocity"]

_MOST_PEOPLE: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """So many blocks within so many seconds lead to a wait of so many seconds; 0 blocks: never."""

    blocks: int
    within_s: float
    wait_s: float


@dataclass(slots=True)
class _Person:
    refused: deque[float]
    until: float = 0.0


class Velocity:
    """Counts refusals in memory; who has been quiet longest is forgotten first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._people: OrderedDict[str, _Person] = OrderedDict()

    def check(self, subject: str) -> None:
        """Let a person pass.

        Raises:
            CoolingDown: Not yet.
        """
        now = self._clock()
        with self._lock:
            person = self._people.get(subject)
            left = person.until - now if person else 0.0
        if left > 0:
            raise CoolingDown(
                "too many requests of this person were refused",
                hint=f"wait {math.ceil(left)} s; other people of the tenant are not affected",
                retry_after_s=left,
            )

    def refused(self, subject: str, rule: Rule) -> bool:
        """Count a refusal; tell whether a wait begins with it."""
        if rule.blocks == 0:
            return False
        now = self._clock()
        with self._lock:
            person = self._people.setdefault(subject, _Person(deque()))
            self._people.move_to_end(subject)
            if len(self._people) > _MOST_PEOPLE:
                self._people.popitem(last=False)
            person.refused.append(now)
            while person.refused[0] <= now - rule.within_s:
                person.refused.popleft()
            if len(person.refused) < rule.blocks:
                return False
            person.refused.clear()
            person.until = now + rule.wait_s
            return True
