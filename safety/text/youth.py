"""Cues that a text speaks of somebody under eighteen: words of thirty languages, and ages.

No cue is harm by itself ("a child with a red balloon" is a fine prompt), and none is for a model either:
"girl" may be a woman. A cue is *clear* where the word or the age says under eighteen and nothing else;
see :mod:`chopmark.safety.text.minors` for what follows.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chopmark.safety.text.form import without_accents

__all__ = ["YouthCue", "youth_cues"]

_ADULT: Final[int] = 18
#: An age needs a word for years beside it, or for age before it: "15 years old", "aged 15", "15歳".
_AGE: Final = re.compile(
    r"""
    \b(?:age[d]?\s++(?:of\s++)?)?(\d{1,2})(?:\s*+(?:-\s*+)?(?:years?|yrs?|yr|y)(?:[\s-]*+(?:old|o))?\b)
    | \baged?\s++(?:of\s++)?(\d{1,2})\b
    | (?<!\d)(\d{1,2})\s*+(?:
        -?jahrig\w*|jahre?\b|-?jarig\w*|jaar\b|ans\b|anos\b|anni\b|aar\b|ar\s+gam\w*|-?arig\w*
      | lat\b|letni\w*|-?let(?:a|ech|ej|i|n\w*|y)?\b|rokiv\b|rokov\b|roku\b|rik[iu]?\b|лет\b|-?летн\w*|рок\w*|-?річн\w*|годин\w*
      | ετων\b|χρονων\b|vuotia\w*|-?vuotia\w*|eves\w*|yas\w*|tahun\b|tuoi\b
      | 歳|才|岁|歲|살|세|साल|वर्ष|বছর|ปี|ขวบ|سنة|سنوات|عام|ساله|سال|שנים|בת|בן
      )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBERS: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen"
).split()
_SPELLED: Final = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})[\s-]+years?[\s-]+old\b", re.IGNORECASE)
#: They write no spaces, or join words: a word of them is found inside a longer run of letters.
_UNSPACED: Final = frozenset({"ja", "zh", "th"})
#: Letters and vowel signs, which ``\\w`` leaves out: where none stands, a word begins or ends.
_SIGNS: Final = r"[\w\u0900-\u0dff\u200c]"
#: What Korean hangs on a noun.
_PARTICLES: Final = "(?:들|와|과|의|는|은|이|가|를|을|도|에게|한테|랑|하고)*"


@dataclass(frozen=True, kw_only=True)
class YouthCue:
    """A cue of youth.

    Attributes:
        span: Half-open, in characters.
        clear: It says under eighteen and nothing else.
    """

    span: tuple[int, int]
    clear: bool


def youth_cues(text: str, *, language: str = "und") -> list[YouthCue]:
    """Return all cues in a text, in order.

    Args:
        text: Without accents.
        language: Which the text is read as. Its words count and English ones, because many a word means
            something else elsewhere ("a kind man", "barn owl"); in an uncertain one those of all count.

    >>> text = "a schoolgirl, 15 years old, and a 40-year-old man"
    >>> [text[slice(*cue.span)] for cue in youth_cues(text, language="en")]
    ['schoolgirl', '15 years old']
    """
    found: dict[tuple[int, int], bool] = {}
    low = text.lower()
    for code, clear, pattern in _patterns():
        if code not in {language, "en"} and language != "und":
            continue
        for match in pattern.finditer(low):
            found[match.span()] = clear or found.get(match.span(), False)
    for match in _SPELLED.finditer(text):
        found[match.span()] = True
    for match in _AGE.finditer(text):
        if int(next(filter(None, match.groups()))) < _ADULT:
            found[match.span()] = True
    return [YouthCue(span=span, clear=clear) for span, clear in sorted(found.items())]


@functools.cache
def _patterns() -> tuple[tuple[str, bool, re.Pattern[str]], ...]:
    made = []
    file = Path(__file__).parent / "data" / "youth.txt"
    for line in file.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        code, *words = line.split()
        clear = words[0] != "?"
        body = "|".join(
            re.escape(without_accents(word.removesuffix("*"))).replace("_", r"\s+")
            + (rf"{_SIGNS}*" if word.endswith("*") else "")
            for word in (words if clear else words[1:])
        )
        if code not in _UNSPACED:
            after = _PARTICLES if code == "ko" else ""
            body = rf"(?<!{_SIGNS})(?:{body}){after}(?!{_SIGNS})"
        made.append((code, clear, re.compile(body)))
    return tuple(made)
