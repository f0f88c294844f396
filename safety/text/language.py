"""Is a text English, another language in Latin letters, or in a script that the model cannot read?

A guess from scripts and the commonest little words: enough to choose a model, not to name a language.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

__all__ = ["ENGLISH", "OTHER", "UNREAD", "language_of"]

ENGLISH: Final[str] = "english"
OTHER: Final[str] = "other-latin"
UNREAD: Final[str] = "other-script"

_ENGLISH: Final[frozenset[str]] = frozenset(
    "a an the of and or in on at with to from by is are was were be this that it its his her their our"
    " your my i you he she we they who what how do does not for as into over under near without".split()
)
#: Little words of German, French, Spanish, Italian, Portuguese, Dutch and Polish, no English ones.
_OTHER: Final[frozenset[str]] = frozenset(
    "der die das ein eine einen einem einer und oder mit auf im ist sind nicht von zu wie ich wir ihr auf"
    " den dem des fur fuer uber unter ohne bei sich auch man wird werden kein keine"
    " le la les un une des du de et ou dans sur avec pour qui que est sont pas par aux au ce cette son sa"
    " ses je vous nous ils elle sans plus leur"
    " el los las una unos unas del y o en con por para que es son no se su sus mi tu como sin sobre al lo"
    " il gli i uno della dello dei degli delle di e nel nella con per che sono non si suo sua come senza"
    " os um uma uns umas do da dos das em no na nos nas com por para que sao nao seu sua ao pelo pela"
    " het een van met op niet voor naar bij ook zijn w z na do nie jest sie ze".split()
) - {
    "i",
    "no",
    "do",
    "on",
    "son",
    "per",
    "as",
    "man",
    "die",
    "des",
    "plus",
    "sur",
    "pour",
    "par",
    "a",
}
_WORD: Final = re.compile(r"[^\W\d_]+")


@functools.lru_cache(maxsize=8192)
def _latin(char: str) -> bool:
    return char.isascii() or unicodedata.name(char, "").startswith("LATIN")


def language_of(text: str) -> str:
    """Return ``english``, ``other-latin`` or ``other-script`` for a normalised text.

    >>> language_of("a red apple"), language_of("ein roter Apfel auf dem Tisch"), language_of("苹果")
    ('english', 'other-latin', 'other-script')
    """
    if not text.isascii():
        letters = [char for char in text if char.isalpha()]
        if sum(map(_latin, letters)) < len(letters) / 2:
            return UNREAD
    words = _WORD.findall(text.lower())
    other = sum(word in _OTHER for word in words)
    english = sum(word in _ENGLISH for word in words)
    return OTHER if other > english and other >= max(1, len(words) // 8) else ENGLISH
