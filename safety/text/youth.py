"""Cues that a text speaks of somebody under eighteen: words and ages, whole words only.

No cue is harm by itself ("a child with a red balloon" is a fine prompt). Together with any sexual
signal it blocks, without override; see :class:`chopmark.safety.PromptGuard`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["youth_cues"]

_ADULT: Final[int] = 18
#: English words for people under eighteen, and those of pornography for them (loli, shota).
_WORDS: Final = re.compile(
    r"\b(?:child(?:ren|like|hood)?|kid(?:s|die|dies)?|minors?|under-?age[d]?|pre-?teen(?:s|ager)?"
    r"|teen(?:s|age|aged|ager|agers)?|tween(?:s)?|toddlers?|infants?|bab(?:y|ies)|newborns?"
    r"|school-?(?:girl|boy|child|kid)s?|school-?children|(?:little|young|small)\s+(?:girl|boy)s?"
    r"|kindergart(?:en|ner|ners)|pre-?school(?:er|ers)?|middle-?schooler?s?|juveniles?"
    r"|adolescents?|pubescents?|loli(?:s|ta|tas|con)?|shota(?:s|con)?|youngsters?)\b",
    re.IGNORECASE,
)
#: Two forms, each with the age in a group of its own: "15 years old", "15-yr-old", "aged 15 years",
#: "15yo"; and "aged 15", "age of 15".
_AGE: Final = re.compile(
    r"\b(?:age[d]?\s++(?:of\s++)?)?(\d{1,2})(?:\s*+(?:-\s*+)?(?:years?|yrs?|yr|y)(?:[\s-]*+(?:old|o))?\b)"
    r"|\baged?\s++(?:of\s++)?(\d{1,2})\b",
    re.IGNORECASE,
)
_NUMBERS: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen"
).split()
_SPELLED: Final = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})[\s-]+years?[\s-]+old\b", re.IGNORECASE)


#: German, French, Spanish, Italian, Portuguese, Russian; only in texts that are not English, where
#: "kind" is no adjective. Accents are off, as in every normalised text.
_OTHERS: Final = re.compile(
    r"\b(?:kind(?:er|ern|es)?|madchen|maedchen|schulerin(?:nen)?|schuler|minderjahrig\w*|saugling\w*"
    r"|enfants?|fillettes?|garconnets?|ecolieres?|mineure?s?|adolescente?s?|bebes?"
    r"|nin[oa]s?|chiquill[oa]s?|colegialas?|menores? de edad"
    r"|bambin[aoie]|ragazzin[aoie]|minorenn[ei]|scolarett?[ae]"
    r"|meninas?|meninos?|criancas?|menores?"
    r"|ребен\w+|дет(?:и|ей|ям|ьми|ск\w+)|девочк\w*|мальчик\w*|школьни\w+|малолет\w+|несовершеннолет\w+"
    r"|подрост\w+|младен\w+)\b",
    re.IGNORECASE,
)
#: Chinese and Japanese write no spaces.
_UNSPACED: Final = re.compile(
    "\u513f\u7ae5|\u5c0f\u5b69|\u5b69\u5b50|\u5973\u5b69|\u7537\u5b69|\u672a\u6210\u5e74"
    "|\u5c11\u5973|\u5c11\u5e74|\u5b50\u4f9b|\u5e7c\u5973|\u5a74\u513f|\u5b66\u751f\u59b9"
)


def youth_cues(text: str, *, english: bool = True) -> list[tuple[int, int]]:
    """Return the spans of all cues in a normalised text, in order.

    Args:
        text: Normalised.
        english: Without it, the words of other languages count too.

    >>> text = "a schoolgirl, 15 years old, and a 40-year-old man"
    >>> [text[a:b] for a, b in youth_cues(text)]
    ['schoolgirl', '15 years old']
    """
    found = [match.span() for match in _WORDS.finditer(text)]
    found += [match.span() for match in _SPELLED.finditer(text)]
    found += [match.span() for match in _AGE.finditer(text) if int(match[1] or match[2]) < _ADULT]
    if not english:
        found += [match.span() for match in _OTHERS.finditer(text)]
    found += [match.span() for match in _UNSPACED.finditer(text)]
    return sorted(found)
