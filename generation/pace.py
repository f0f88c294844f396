"""Whether pictures are made faster together: learned from the calls that are made anyway.

On a GPU a batch costs little more than a picture. On a CPU a small UNet gains by half, while a
transformer with a few hundred tokens a picture gains nothing, and loses where a batch no longer
fits the processor's cache; then everybody would wait for the slowest for no reason.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Pace"]

#: How much faster a batch must be, or everybody gets a call of their own.
_GAIN: Final = 0.95
#: After so many calls of one sort the other is tried once more.
_AGAIN: Final = 64
#: Weight of the newest call in the mean.
_NEW: Final = 0.3
_KINDS: Final = 32


@dataclass
class _Mean:
    """A moving mean of seconds a picture; the first call, which prepares things, is left out."""

    calls: int = 0
    seconds: float = 0.0

    @property
    def known(self) -> bool:
        return self.calls > 1

    def add(self, seconds: float) -> None:
        self.calls += 1
        weight = 1.0 if self.calls <= 2 else _NEW
        self.seconds += weight * (seconds - self.seconds)


class Pace:
    """Chooses how many pictures of a kind share a call.

    Args:
        most: pictures in one call at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def limit(self, kind: Hashable) -> int:
        """Return how many pictures of ``kind`` may share the next call; at least 1."""
        found = self._kinds.get(kind)
        return self._most if found is None else found.limit(self._most)

    def note(self, kind: Hashable, *, pictures: int, seconds: float) -> None:
        """Learn that a call with ``pictures`` of ``kind`` took so long."""
        found = self._kinds.setdefault(kind, _Kind(_Mean(), _Mean()))
        self._kinds.move_to_end(kind)
        while len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        found.note(pictures, seconds / pictures)


@dataclass
class _Kind:
    alone: _Mean
    joined: _Mean
    #: Calls of the faster sort since one of the other.
    since_other: int = 0

    def limit(self, most: int) -> int:
        if not self.joined.known:
            return most
        if not self.alone.known:
            return 1
        again = self.since_other >= _AGAIN
        return most if self._gains != again else 1

    def note(self, pictures: int, each: float) -> None:
        (self.alone if pictures == 1 else self.joined).add(each)
        both = self.alone.known and self.joined.known
        faster = both and (pictures > 1) == self._gains
        self.since_other = self.since_other + 1 if faster else 0

    @property
    def _gains(self) -> bool:
        return self.joined.seconds < _GAIN * self.alone.seconds
