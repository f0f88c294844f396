"""The parts of a text that are scored each for itself, cut by tokens, and which of them are read.

A few harmful words drown in many harmless ones, so a long text is scored in windows that overlap. A cut
by tokens is the same for scripts with spaces and without. Every window is looked at by the screen, a small
network on the mean of its word vectors; the encoder reads all of them where there are few, and in a
long text those that the screen finds most doubtful. A text with more doubtful windows than the encoder
may read is not judged by some of them: it goes to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIZE", "WHOLE", "Plan", "plan", "read_at_most", "spans"]

#: Tokens of a window, and from one window to the next. A text of up to ``WHOLE`` is one window.
SIZE: Final[int] = 28
WHOLE: Final[int] = 44
_STEP: Final[int] = 18
#: Windows that the encoder reads of a text of up to 20, and at most.
_ALL: Final[int] = 20
_MOST: Final[int] = 56


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which windows are read.

    Attributes:
        read: Numbers of the windows that the encoder reads, ascending.
        doubtful: How many more the screen finds too doubtful to leave out.
    """

    read: tuple[int, ...]
    doubtful: int


def spans(tokens: int) -> list[tuple[int, int]]:
    """Return the windows of a text of so many tokens, as half-open spans of tokens.

    They cover the text; the last one ends with it and is as long as the others.

    >>> spans(12), spans(70)
    ([(0, 12)], [(0, 28), (18, 46), (36, 64), (42, 70)])
    """
    if tokens <= WHOLE:
        return [(0, tokens)]
    starts = [*range(0, tokens - SIZE, _STEP), tokens - SIZE]
    return [(start, start + SIZE) for start in starts]


def read_at_most(windows: int) -> int:
    """Return how many windows of a text the encoder reads."""
    return min(_MOST, _ALL + max(0, windows - _ALL) // 12)


def plan(screened: NDArray[np.float32], *, bar: float) -> Plan:
    """Choose the windows to read.

    Args:
        screened: What the screen says of each window, higher is worse.
        bar: Below it the screen is sure enough that a window is harmless.
    """
    room = read_at_most(len(screened))
    # The first of equals, so that the choice is the same on every machine.
    order = np.argsort(-screened, kind="stable")
    left = screened[order[room:]]
    return Plan(read=tuple(sorted(order[:room].tolist())), doubtful=int((left >= bar).sum()))
