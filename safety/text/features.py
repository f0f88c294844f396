"""What the head sees beside the sentence vector: hashed pieces of words, and windows of a text."""

from __future__ import annotations

import itertools
import re
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BUCKETS", "hashed", "windows"]

BUCKETS: Final[int] = 1 << 16
_WINDOW: Final[int] = 12
_STRIDE: Final[int] = 6
_WHOLE: Final[int] = 18
_MOST: Final[int] = 48
_WORD: Final = re.compile(r"[^\W_]+|[\U0001f000-\U0001faff\u2600-\u27bf]")


def windows(text: str) -> list[tuple[int, int]]:
    """Return the parts of a text that are scored each for itself, as character spans.

    The whole is the first. A text of more than 18 words also has windows of 12 words, six apart
    (further apart in a very long text), because a few harmful words drown in many harmless ones.
    """
    words = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
    spans = [(0, len(text))]
    if len(words) <= _WHOLE:
        return spans
    stride = max(_STRIDE, -(-(len(words) - _WINDOW) // (_MOST - 1)))
    size = max(_WINDOW, stride + 3)
    for first in range(0, len(words) - size + stride, stride):
        last = min(first + size, len(words)) - 1
        spans.append((words[max(0, last - size + 1)][0], words[last][1]))
    return spans


def hashed(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the buckets of a text's words, word pairs and letter pieces, and their weights.

    Weights are 1 + log(count), divided by the length of the vector, so that a window and a whole
    text are on one scale. Buckets come from CRC-32, which is the same on every machine.

    Returns:
        Bucket numbers below ``BUCKETS``, ascending, and as many weights.
    """
    words = _WORD.findall(text.lower())
    pieces: list[str] = [f"w {word}" for word in words]
    pieces += [f"p {a} {b}" for a, b in itertools.pairwise(words)]
    for word in words:
        framed = f"<{word}>"
        for size in (3, 4, 5):
            pieces += [f"c {framed[at : at + size]}" for at in range(len(framed) - size + 1)]
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    numbers = np.fromiter(
        (zlib.crc32(piece.encode("utf-8", "surrogatepass")) & (BUCKETS - 1) for piece in pieces),
        dtype=np.int64,
        count=len(pieces),
    )
    buckets, counts = np.unique(numbers, return_counts=True)
    weights = (1.0 + np.log(counts)).astype(np.float32)
    weights /= max(float(np.linalg.norm(weights)), 1e-9)
    return buckets, weights
