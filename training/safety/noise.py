"""Misspell a text the way disguises do that normalising only half undoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["misspelt"]

_VOWELS: Final[str] = "aeiou"


def misspelt(text: str, rng: Generator) -> str:
    """Return the text with some words changed: a letter dropped, swapped, doubled, vowels gone.

    Harmless and harmful texts alike are changed, so that strangeness is no sign of harm.
    """
    share = float(rng.uniform(0.2, 0.9))
    return " ".join(
        _change(word, rng) if len(word) > 3 and rng.random() < share else word
        for word in text.split()
    )


def _change(word: str, rng: Generator) -> str:
    at = int(rng.integers(1, len(word) - 1))
    match int(rng.integers(5)):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case 3:
            return word[0] + "".join(c for c in word[1:] if c not in _VOWELS)
        case _:
            return "".join("*" if c in _VOWELS and n else c for n, c in enumerate(word))
