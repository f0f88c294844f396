"""What the head sees beside the sentence vector: hashed pieces of words, and windows of a text."""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import TextTooLong
from chopmark.kit.limits import SCORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BUCKETS", "MOST_WINDOWS", "check_scored", "hashed", "windows"]

BUCKETS: Final[int] = 1 << 16
_WINDOW: Final[int] = 12
_STRIDE: Final[int] = 6
_WHOLE: Final[int] = 18
_MOST: Final[int] = 48
#: Of a text without very long words: its windows and its whole.
MOST_WINDOWS: Final[int] = _MOST + 1
#: A word of more characters is cut: the encoder reads none as a word, and scripts without spaces have
#: whole paragraphs without one. Its windows share some characters, for words that lie on a seam.
_RUN: Final[int] = 100
_RUN_STRIDE: Final[int] = 84
#: Letters of the longest word whose pieces are remembered.
_KEPT: Final[int] = 16
_WORD: Final = re.compile(r"[^\W_]+|[\U0001f000-\U0001faff\u2600-\u27bf]")


def windows(text: str, *, stride: int = _STRIDE) -> list[tuple[int, int]]:
    """Return the parts of a text that are scored each for itself, as character spans.

    The whole is the first. A text of more than 18 words also has windows of 12 words, ``stride`` apart,
    because a few harmful words drown in many harmless ones; in a very long text (from 295 words on
    where they are six apart) they are longer, 48 at most. What stands between spaces and has more than 100 characters (Chinese,
    Japanese, Thai, a code) has windows of 100 characters. All windows together cover the text.

    How much of a window a model can read at once is the model's affair
    (:meth:`chopmark.safety.text.encoder.SentenceEncoder.pieces`).
    """
    words = [found.span() for found in re.finditer(r"\S+", text)]
    spans = [(0, len(text))]
    if all(end - start <= _RUN for start, end in words):
        return spans if len(words) <= _WHOLE else spans + _of_words(words, stride)
    near: list[tuple[int, int]] = []
    for start, end in words:
        if end - start <= _RUN:
            near.append((start, end))
            continue
        spans += _of_words(near, stride)
        near = []
        last = max(1, end - start - (_RUN - _RUN_STRIDE))
        spans += [(start + at, min(end, start + at + _RUN)) for at in range(0, last, _RUN_STRIDE)]
    return spans + _of_words(near, stride)


def _of_words(words: list[tuple[int, int]], apart: int) -> list[tuple[int, int]]:
    if len(words) <= _WHOLE:
        return [(words[0][0], words[-1][1])] if words else []
    spans = []
    stride = max(apart, -(-(len(words) - _WINDOW) // (_MOST - 1)))
    size = max(_WINDOW, stride + min(3, _WINDOW - apart))
    for first in range(0, len(words) - size + stride, stride):
        last = min(first + size, len(words)) - 1
        spans.append((words[max(0, last - size + 1)][0], words[last][1]))
    return spans


def check_scored(tokens: int) -> None:
    """Let a text pass whose windows a model can read in the time that one text may take.

    Raises:
        TextTooLong: They have more than ``kit.limits.SCORED`` tokens together.
    """
    if tokens > SCORED.most:
        raise TextTooLong(
            f"the text has {tokens} tokens to score, more than {SCORED.most}",
            hint="send a shorter text, or several: nothing of it was cut off, and nothing was judged",
            param="prompt",
        )


def _bucket(piece: str) -> int:
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) & (BUCKETS - 1)


@functools.lru_cache(maxsize=8192)
def _inside(word: str) -> tuple[int, ...]:
    """Return the buckets of the letter pieces of a word; most words of a prompt are common ones."""
    framed = f"<{word}>"
    return tuple(
        _bucket(f"c {framed[at : at + size]}")
        for size in (3, 4, 5)
        for at in range(len(framed) - size + 1)
    )


def hashed(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the buckets of a text's words, word pairs and letter pieces, and their weights.

    Weights are 1 + log(count), divided by the length of the vector, so that a window and a whole
    text are on one scale. Buckets come from CRC-32, which is the same on every machine.

    Returns:
        Bucket numbers below ``BUCKETS``, ascending, and as many weights.
    """
    words = _WORD.findall(text.lower())
    pieces = [f"w {word}" for word in words]
    pieces += [f"p {a} {b}" for a, b in itertools.pairwise(words)]
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    numbers = [_bucket(piece) for piece in pieces]
    for word in words:
        numbers += _inside(word) if len(word) <= _KEPT else _inside.__wrapped__(word)
    buckets, counts = np.unique(numbers, return_counts=True)
    weights = (1.0 + np.log(counts)).astype(np.float32)
    weights /= max(float(np.linalg.norm(weights)), 1e-9)
    return buckets, weights
