"""Cues that a text speaks of somebody under eighteen: words and ages, whole words only.

No cue is harm by itself ("a child with a red balloon" is a fine prompt). Together with any sexual
signal it blocks, without override; see :class:`chopmark.safety.PromptGuard`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["youth_cues"]

_ADULT: Final[int] = 18
_WORDS: Final = re.compile(
    r"\b(?:child(?:ren|like|hood)?|kid(?:s|die|dies)?|minors?|under-?age[d]?|pre-?teen(?:s|ager)?"
    r"|teen(?:s|age|aged|ager|agers)?|tween(?:s)?|toddlers?|infants?|bab(?:y|ies)|newborns?"
    r"|school-?(?:girl|boy|child|kid)s?|school-?children|(?:little|young|small)\s+(?:girl|boy)s?"
    r"|kindergart(?:en|ner|ners)|pre-?school(?:er|ers)?|middle-?schooler?s?|juveniles?"
    r"|adolescents?|pubescents?|loli(?:s|ta|tas|con)?|shota(?:s|con)?|youngsters?)\b",
    re.IGNORECASE,
)
_AGE: Final = re.compile(
    r"\b(?:age[d]?\s+(?:of\s+)?)?(\d{1,2})(?:\s*-?\s*(?:years?|yrs?|yr|y)(?:[\s-]*(?:old|o))?\b)"
    r"|\baged?\s+(?:of\s+)?(\d{1,2})\b",
    re.IGNORECASE,
)
_NUMBERS: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen"
).split()
_SPELLED: Final = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})[\s-]+years?[\s-]+old\b", re.IGNORECASE)


def youth_cues(text: str) -> list[tuple[int, int]]:
    """Return the spans of all cues in a normalised text, in order.

    >>> text = "a schoolgirl, 15 years old, and a 40-year-old man"
    >>> [text[a:b] for a, b in youth_cues(text)]
    ['schoolgirl', '15 years old']
    """
    found = [match.span() for match in _WORDS.finditer(text)]
    found += [match.span() for match in _SPELLED.finditer(text)]
    found += [match.span() for match in _AGE.finditer(text) if int(match[1] or match[2]) < _ADULT]
    return sorted(found)
