"""Undo plays with whole words: doubled letters, moved beginnings, missing vowels, lost spaces.

Each is tried only on a text that does not read as language, and kept only where the result does: a
name or a foreign word alone changes nothing.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from chopmark.safety.text.words import LONGEST_WORD, all_words, known_share, rank, segment

if TYPE_CHECKING:
    from chopmark.safety.text._marked import Marked

__all__ = ["halve", "letters_of_numbers", "undo", "unstar"]

_WORD: Final = re.compile(r"[A-Za-z]+")
#: ``n*de``: letters with at least one star and one letter among them (the two look-aheads), three
#: signs at least; ``**bold**`` touches other stars and is none.
_STARRED: Final = re.compile(
    r"(?<![\w*])(?=[A-Za-z*]*\*)(?=[A-Za-z*]*[A-Za-z])[A-Za-z*]{3,}+(?![\w*])"
)
#: A long run of letters that may be several words; no part of a path, an address or a hashtag.
_JOINED: Final = re.compile(r"(?<![\w/@#])[A-Za-z]{6,}+(?![\w/@])(?!://)")
_LATIN: Final[str] = "aeiou"
#: Below this share of known letters a text does not read as language.
_LANGUAGE: Final[float] = 0.6
#: And so many must be known where single words are mended.
_ENGLISH: Final[float] = 0.75
#: So much better must it read afterwards.
_BETTER: Final[float] = 0.25


def halve(marked: Marked) -> None:
    """``nnaakkeedd`` → ``naked``: every letter of nearly every word stands twice."""
    words = [found for found in _WORD.finditer(marked.text) if len(found.group()) > 1]
    double = [found for found in words if _doubled(found.group().lower())]
    if len(double) < 2 or len(double) < 0.8 * len(words):
        return
    edits = [(at, at + 1, "") for found in double for at in range(found.start(), found.end(), 2)]
    marked.replace(edits)
    marked.note("doubled letters")


def _doubled(word: str) -> bool:
    return len(word) % 2 == 0 and word[::2] == word[1::2]


def undo(marked: Marked) -> bool:
    """Undo what is found; tell whether anything was."""
    changed = _joined(marked)
    words = [found.group().lower() for found in _WORD.finditer(marked.text)]
    share = known_share(words)
    if len(words) >= 2 and share < _LANGUAGE:
        for name, change in (
            ("pig latin", _from_pig),
            ("moved letters", _from_moved),
            ("missing vowels", _from_skeleton if _bare(words) else _same),
        ):
            made = [change(word) for word in words]
            if made != words and known_share(made) >= max(0.55, share + _BETTER):
                _put(marked, made)
                marked.note(name)
                return True
    return _swapped(marked) or changed


def _put(marked: Marked, made: list[str]) -> None:
    found = _WORD.finditer(marked.text)
    marked.replace([(one.start(), one.end(), new) for one, new in zip(found, made, strict=True)])


def _same(word: str) -> str:
    return word


def _best(options: list[str], otherwise: str) -> str:
    known = [(place, word) for word in options if (place := rank(word)) is not None]
    return min(known)[1] if known else otherwise


def _from_pig(word: str) -> str:
    """``akednay`` → ``naked``, ``appleway`` → ``apple``; one to three letters were moved."""
    if not word.endswith("ay") or len(word) < 4:
        return word
    body = word[:-2]
    options = [body[-size:] + body[:-size] for size in (1, 2, 3) if size < len(body)]
    if body.endswith("w"):
        options.append(body[:-1])
    return _best(options, word)


def _from_moved(word: str) -> str:
    """``akedn`` → ``naked``: the first letter stands last, or the last first. Short words stay."""
    if len(word) < 4:
        return word
    return _best([word[-1] + word[:-1], word[1:] + word[0]], word)


def _bare(words: list[str]) -> bool:
    """Tell whether most of the longer words have no vowel behind their first letter."""
    longer = [word for word in words if len(word) > 2 and rank(word) is None]
    bare = [word for word in longer if not any(char in _LATIN for char in word[1:])]
    return len(bare) >= 2 and len(bare) >= 0.6 * len(longer)


@functools.cache
def _skeletons() -> tuple[dict[str, str], dict[str, str]]:
    """Return consonants to the likeliest word, and words with starred vowels to the same."""
    bare: dict[str, str] = {}
    starred: dict[str, str] = {}
    for word in all_words():  # the likeliest first
        bare.setdefault(_consonants(word), word)
        starred.setdefault(_stars(word), word)
        starred.setdefault(word[0] + _stars(word[1:]), word)
    return bare, starred


def _consonants(word: str) -> str:
    return "".join(char for char in word if char not in _LATIN)


def _stars(word: str) -> str:
    return "".join("*" if char in _LATIN else char for char in word)


def _from_skeleton(word: str) -> str:
    """``nkd`` → ``naked``: the likeliest word with these consonants, in this order."""
    if any(char in _LATIN for char in word[1:]) or (len(word) < 3 or rank(word) is not None):
        return word
    bare, _ = _skeletons()
    found = bare.get(word) or bare.get(_consonants(word))
    if found is None and word.endswith("s"):
        single = bare.get(word[:-1])
        found = single + "s" if single else None
    if found is None and word.endswith("ng"):
        stem = bare.get(word[:-2])
        found = stem.rstrip("e") + "ing" if stem else None
    if found is None and word.endswith("d"):
        stem = bare.get(word[:-1])
        found = stem.rstrip("e") + "ed" if stem else None
    return found or word


def unstar(marked: Marked) -> None:
    """``n*k*d w*m*n`` → ``naked woman``, where a known word has these letters."""
    _, known = _skeletons()
    edits = []
    for found in _STARRED.finditer(marked.text):
        low = found.group().lower()
        word = known.get(low) or _inflected(low, known)
        if word is not None:
            edits.append((found.start(), found.end(), word))
    if edits:
        marked.note("starred letters")
        marked.replace(edits)


def _inflected(low: str, known: dict[str, str]) -> str | None:
    for ending, plain in (("s", "s"), ("*s", "es"), ("*ng", "ing"), ("*d", "ed"), ("*r", "er")):
        if low.endswith(ending) and len(low) - len(ending) >= 3:
            stem = low[: -len(ending)]
            word = known.get(stem) or known.get(stem + "*")
            if word is not None:
                return word.rstrip("e") + plain if plain != "s" else word + "s"
    return None


def _joined(marked: Marked) -> bool:
    """``nakedwomaninbed`` → ``naked woman in bed``: long unknown strings made of known words."""
    edits = []
    text = marked.text
    # Where words stand apart, only a very long string is taken for several: "veterinarian" is one.
    spaced = sum(char.isspace() for char in text) > len(text) / 14
    least, most = (20, 4) if spaced else (6, 2)
    for found in _JOINED.finditer(text):
        low = found.group().lower()
        if len(low) < least or rank(low) is not None:
            continue
        words = segment(low)
        # A long word of another language falls into syllables; English prompts into words.
        if words is None or len(words) < most or len(low) / len(words) < 2.8:
            continue
        if known_share(words) < 0.85:
            continue
        at = found.start()
        for word in words[:-1]:
            at += len(word)
            edits.append((at, at, " "))
    if edits:
        marked.replace(edits)
        marked.note("words run together")
    return bool(edits)


def _swapped(marked: Marked) -> bool:
    """``nkaed`` → ``naked``: two neighbours of an unknown word changed places."""
    edits, words = [], []
    for found in _WORD.finditer(marked.text):
        word = found.group()
        low = word.lower()
        # Names begin with a capital; five letters and more, or any word is some word misspelt.
        name = word[0].isupper() and not word.isupper()
        if not 5 <= len(low) <= LONGEST_WORD or name or rank(low) is not None:
            words.append(low)
            continue
        options = [
            low[:at] + low[at + 1] + low[at] + low[at + 2 :] for at in range(1, len(low) - 1)
        ]
        new = _best(options, low)
        words.append(new)
        if new != low:
            edits.append((found.start(), found.end(), new))
    # In another language many words are unknown, and some are one swap from an English one.
    if known_share(words) < _ENGLISH:
        return False
    if edits:
        marked.note("swapped letters")
        marked.replace(edits)
    return bool(edits)


def letters_of_numbers(part: str) -> str | None:
    """``14 1 11 5 4`` → ``naked``: places in the alphabet, cut into words if no gap shows them.

    A decoder for :mod:`chopmark.safety.text._codes`.
    """
    numbers = [int(number) for number in re.findall(r"\d+", part)]
    if any(not 1 <= number <= 26 for number in numbers) or len(set(numbers)) < 4:
        return None
    letters = "".join(chr(96 + number) for number in numbers)
    words = segment(letters)
    if words is None or known_share(words) < 0.85 or len(letters) / len(words) < 2.8:
        return None
    return " ".join(words)
