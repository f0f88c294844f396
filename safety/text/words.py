"""The words that a text can be made of: a dictionary for undoing what hides them.

The dictionary is the vocabulary of the sentence encoder (BERT uncased, Apache-2.0, 22,000 whole
words in order of frequency), so it needs no file of ours, plus ``data/words.txt``, which holds the
words of our lexicons that BERT splits. It is used only to choose between readings.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.errors import GuardFailed
from chopmark.kit.pinned import pinned_file

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "LONGEST_WORD",
    "all_words",
    "is_word",
    "known_share",
    "rank",
    "readings",
    "segment",
]

#: The longest word that :func:`segment` looks for.
_LONGEST: Final[int] = 18
#: No word of the dictionary is longer with its ending (the longest stem has 18 letters), so a longer
#: string is no word: it is neither looked up nor kept.
LONGEST_WORD: Final[int] = 24
_RARE: Final[int] = 40_000
_SHORT_WORDS: Final[frozenset[str]] = frozenset(
    "a i an as at am be by do go he hi if in is it me my no of oh ok on or so to up us we ex ad id tv"
    " ai de el en es et il la le les un une du der die das und ein mit von".split()
)


@functools.cache
def _ranks() -> dict[str, int]:
    lines = pinned_file("vocab.txt", error=GuardFailed).read_text("utf-8").splitlines()
    ranks = {
        word: line
        for line, word in enumerate(lines)
        if word.isalpha() and (len(word) > 2 or word in _SHORT_WORDS)
    }
    extra = Path(__file__).parent / "data" / "words.txt"
    for word in extra.read_text("utf-8").split():
        ranks.setdefault(word, 20_000)
    return ranks


def rank(word: str) -> int | None:
    """Return the frequency rank of a lower-case word, or ``None`` for an unknown one.

    Simple English endings are taken off, because BERT's vocabulary holds few inflected forms.
    """
    ranks = _ranks()
    found = ranks.get(word)
    if found is not None or len(word) > LONGEST_WORD:
        return found
    # Most strings that are asked for are no words: their last letter says so at once.
    for ending, instead in _ENDINGS.get(word[-1:], ()):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            found = ranks.get(word[: -len(ending)] + instead)
            if found is not None:
                return found + 2000
    return None


@functools.cache
def _prefixes() -> frozenset[str]:
    return frozenset(word[:size] for word in _ranks() for size in range(1, len(word) + 1))


def readings(options: Sequence[str]) -> list[tuple[int, str]]:
    """Return the known words that take one letter from each place, with their ranks.

    >>> [word for _, word in readings(["b", "ea", "d", "s"])]
    ['beds', 'bads']

    What no word begins with is followed only where it can be an ending, so that the work is that of the
    words that there are, not of all the ways to choose.

    Args:
        options: The letters of each place, the most usual first; that is the order of the answer too.
    """
    prefixes = _prefixes()
    begun = [("", "")]  # letters so far, and those of them behind what a word begins with
    for letters in options:
        begun = [
            (before + letter, tail)
            for before, behind in begun
            for letter in letters
            if (tail := "" if not behind and before + letter in prefixes else behind + letter)
            in _TAILS
        ]
    return [(place, word) for word, _ in begun if (place := rank(word)) is not None]


@functools.cache
def all_words() -> tuple[str, ...]:
    """Return every word of the dictionary, the most frequent first."""
    ranks = _ranks()
    return tuple(sorted(ranks, key=ranks.__getitem__))


def is_word(word: str) -> bool:
    """Tell whether a lower-case word stands in the dictionary as it is."""
    return word in _ranks()


#: Endings by their last letter, in the order in which they are tried, and what stands in their place.
_ENDINGS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "s": (("'s", ""), ("s", ""), ("es", ""), ("ers", ""), ("ies", "y")),
    "d": (("ed", ""), ("ed", "e")),
    "g": (("ing", ""), ("ing", "e")),
    "y": (("ly", ""),),
    "r": (("er", ""),),
}
#: What can be left of an ending behind the longest part that some word begins with.
_TAILS: Final[frozenset[str]] = frozenset(
    ending[first:last]
    for group in _ENDINGS.values()
    for ending, _ in group
    for first in range(len(ending) + 1)
    for last in range(first, len(ending) + 1)
    if "'" not in ending
)
#: Letters of the longest ending.
_ENDING: Final[int] = 3


def known_share(words: list[str]) -> float:
    """Return the share of letters of a list of words that belong to known words (0..1)."""
    total = sum(map(len, words))
    known = sum(len(word) for word in words if rank(word) is not None)
    return known / total if total else 0.0


def segment(letters: str) -> list[str] | None:
    """Cut letters written without spaces into known words, the likeliest way.

    Returns:
        The words, or ``None`` if that needs more than a fifth of unknown letters.
    """
    size = len(letters)
    prefixes, ranks = _prefixes(), _ranks()
    # Cost, start of last word, unknown so far: the cheapest way to every place, from left to right.
    best: list[tuple[float, int, int]] = [(0.0, 0, 0), *[(math.inf, 0, 0)] * size]
    for start in range(size):
        cost, _, unknown = best[start]
        last = min(size, start + _LONGEST)
        end = start
        while end < last:
            end += 1
            word = letters[start:end]
            # No word begins like this; one that does may have an ending behind its stem.
            if word not in prefixes:
                last = min(last, end - 1 + _ENDING)
            place = ranks.get(word)
            if place is None and word[-1] in _ENDINGS:
                place = rank(word)
            if place is not None:
                option = (cost + math.log(place + 50) + 2.0, start, unknown)
            elif end - start == 1:
                option = (cost + math.log(_RARE) + 6.0, start, unknown + 1)
            else:
                continue
            best[end] = min(best[end], option)
    if best[size][2] > size / 5:
        return None
    words: list[str] = []
    end = size
    while end:
        start = best[end][1]
        words.append(letters[start:end])
        end = start
    return words[::-1]
