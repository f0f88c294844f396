"""The parts of a text that are scored each for itself, and which of them the encoder reads.

A few harmful words drown in many harmless ones, so a long text is scored in parts. They are its sentences,
since a wish that stands between harmless sentences then reads as it would alone; what has no end of a
sentence for long is cut at commas, and what has none of these by tokens, in windows that overlap. Every
part is looked at by the screen, a small network on its word vectors; the encoder reads all parts of a short
text, and of a long one those that the screen finds most doubtful. A text with more doubtful parts than the
encoder may read is not judged by some of them: it goes to a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["SIZE", "WHOLE", "Part", "Plan", "parts", "plan", "read_at_most", "without_stop"]

#: A text, and a sentence, of up to so many tokens is one part.
WHOLE: Final[int] = 44
#: Tokens of a window of what is longer, and from one window to the next.
SIZE: Final[int] = 28
_STEP: Final[int] = 18
#: Shorter sentences that follow one another are one: a wish with a stop behind each word.
_LEAST: Final[int] = 6
#: Parts that the encoder reads of a text of up to so many, and at most.
_ALL: Final[int] = 5
_MOST: Final[int] = 40
#: Ends of sentences: a stop before a gap, any of the stops of scripts without gaps, a line's end.
_STOPS: Final = re.compile(
    r"[.!?\u2026;\u061f\u06d4\u0964\u037e]+[\"'\u2019\u201d)\]\u00bb]*(?=\s)|[\u3002\uff01\uff1f\uff1b]+[\u300d\u300f\u201d]*|\n+"
)
#: What ends a statement and says nothing of it.
_FINAL: Final = re.compile(r"[\s.!\u2026\u3002\uff01\u0964\u06d4]+")
#: Where a sentence may be cut that is too long: commas and the like, and gaps between Thai letters.
_PAUSES: Final = re.compile(
    r"[,:\u2013\u2014\u060c](?=\s)|[\uff0c\u3001\uff1a]|(?<=[\u0e00-\u0e7f])\s+(?=[\u0e00-\u0e7f])"
)


class Part(NamedTuple):
    """A half-open span of tokens, and whether it is cut out of a sentence."""

    start: int
    end: int
    cut: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which parts are read.

    Attributes:
        read: Numbers of the parts that the encoder reads, ascending.
        doubtful: How many more the screen finds too doubtful to leave out.
    """

    read: tuple[int, ...]
    doubtful: int


def without_stop(text: str) -> str:
    """Return a text without the stop or exclamation mark at its end; one of nothing else stays.

    People type wishes without a stop, and captions have one: to a model that is trained on both, a stop
    speaks for harmlessness.
    """
    end = len(text)
    while end and _FINAL.fullmatch(text, end - 1, end):
        end -= 1
    return text[:end] or text


def parts(text: str, tokens: Sequence[tuple[int, int]]) -> list[Part]:
    """Return the parts of a text, which cover it in its order, where there are several but for the stops at their ends.

    Args:
        text: What was cut in tokens.
        tokens: Of each token the half-open span of characters that it stands for.
    """
    if len(tokens) <= WHOLE:
        return [Part(0, len(tokens), cut=False)]
    starts = np.array([start for start, _ in tokens], np.int64)
    stops, pauses = (_cuts(pattern, text, starts) for pattern in (_STOPS, _PAUSES))
    return [
        _bare(Part(*window, cut=end - start > WHOLE), text, tokens)
        for start, end in _sentences([0, *stops, len(tokens)])
        for window in _windows(start, end, pauses)
    ]


def _bare(part: Part, text: str, tokens: Sequence[tuple[int, int]]) -> Part:
    """Return a part without the stops at its end, see :func:`without_stop`."""
    end = part.end
    while end - part.start > 1 and _FINAL.fullmatch(text, *tokens[end - 1]):
        end -= 1
    return part._replace(end=end)


def _cuts(pattern: re.Pattern[str], text: str, starts: NDArray[np.int64]) -> list[int]:
    """Return the tokens before which a text may be cut, ascending."""
    ends = [found.end() for found in pattern.finditer(text)]
    cuts = np.searchsorted(starts, np.array(ends, np.int64), "left")
    return sorted({int(at) for at in cuts if 0 < at < len(starts)})


def _sentences(cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join short sentences that follow one another, as long as that makes no long one."""
    start = cuts[0]
    for before, end, after in zip(cuts, cuts[1:], [*cuts[2:], cuts[-1] + SIZE], strict=False):
        if max(end - before, after - end) >= _LEAST or after - start > SIZE:
            yield start, end
            start = end


def _windows(start: int, end: int, pauses: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut what is longer than a whole: each window ends at a pause where there is one, and overlaps the next."""
    while end - start > WHOLE:
        within = _between(pauses, start + _STEP, start + SIZE + 1)
        until = within[-1] if within else start + SIZE
        yield start, until
        begins = _between(pauses, start + SIZE - _STEP, until - 4)
        start = begins[0] if begins else until - (SIZE - _STEP)
    yield start, end


def _between(pauses: Sequence[int], low: int, high: int) -> Sequence[int]:
    at, until = np.searchsorted(pauses, [low, high]).tolist() if pauses else (0, 0)
    return pauses[at:until]


def read_at_most(parts: int) -> int:
    """Return how many parts of a text the encoder reads."""
    return min(_MOST, _ALL + max(0, parts - _ALL) // 10)


def plan(screened: NDArray[np.float32], *, bar: float) -> Plan:
    """Choose the parts to read.

    Args:
        screened: What the screen says of each part, higher is worse.
        bar: Below it the screen is sure enough that a part is harmless.
    """
    room = read_at_most(len(screened))
    # The first of equals, so that the choice is the same on every machine.
    order = np.argsort(-screened, kind="stable")
    left = screened[order[room:]]
    return Plan(read=tuple(sorted(order[:room].tolist())), doubtful=int((left >= bar).sum()))
