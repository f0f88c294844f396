"""How much of a text stays unreadable when every known disguise is undone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.safety.text._unicode import script
from chopmark.safety.text.words import known_share, segment

if TYPE_CHECKING:
    from chopmark.safety.text._marked import Marked

__all__ = ["strangeness"]


def strangeness(marked: Marked) -> float:
    """Return how much of the text is still unreadable on purpose: 0 for language, 1 for noise.

    Counts, by letters: words of mixed scripts, long strings of letters and digits without a word in
    them, Latin text in which no word is known, and symbols in the place of letters.
    """
    text = marked.text
    tokens = re.findall(r"\S+", text)
    if not tokens:
        return 0.0
    strange = total = 0.0
    latin_words: list[str] = []
    for token in tokens:
        core = token.strip(".,;:!?\"'()[]{}<>“”‘’")
        if core.isascii():  # most tokens; their letters are Latin
            scripts = {"latin"} if any(map(str.isalpha, core)) else set()
        else:
            scripts = {script(char) for char in core} - {""}
        size = len(core)
        total += size
        # Two alphabets in one word are look-alikes that nothing undid. From 20 letters on, a word that
        # cannot be cut into words is a code; shorter ones are names and abbreviations.
        if len(scripts & {"latin", "greek", "cyrillic", "armenian", "cherokee", "other"}) > 1 or (
            size >= 20 and scripts <= {"latin"} and "://" not in core and _noise(core)
        ):
            strange += size
        elif scripts == {"latin"}:
            latin_words += re.findall(r"[a-z]{2,}", core.lower())
        # No letter at all, and no number, price, date or size ("1024x768", "$3.50") either.
        elif not scripts and size >= 6 and not re.fullmatch(r"[\d.,:/%$€£x+-]+", core):
            ascii_signs = sum(char.isascii() for char in core)
            strange += size if ascii_signs > size / 2 else 0
    if len(latin_words) >= 3:
        unknown = 1.0 - known_share(latin_words)
        # Names and other languages are unknown as well, but have vowels.
        if unknown > 0.75 and not _pronounceable(latin_words):
            strange += sum(map(len, latin_words)) * unknown
    return round(min(1.0, strange / total), 6) if total else 0.0


def _noise(core: str) -> bool:
    """Tell whether no words are in a long string, or only pieces of under three letters each."""
    words = segment(re.sub(r"[^a-z]", "", core.lower())[:64])
    return words is None or len(words) > len(core) / 3


def _pronounceable(words: list[str]) -> bool:
    """Tell whether the words have vowels where a Latin-script language puts them.

    Odd is a word with five consonants in a row (German has "Angstschweiß", but seldom) or, from four
    letters on, without a vowel; less than a third of the words may be.
    """
    odd = 0
    for word in words:
        runs = re.findall(r"[bcdfghjklmnpqrstvwxz]+", word)
        vowels = sum(char in "aeiouy" for char in word)
        odd += max(map(len, runs), default=0) >= 5 or (len(word) > 3 and vowels == 0)
    return odd * 3 < len(words)
