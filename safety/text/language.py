"""Which language a text is in, and whether the guard has learned it.

The identification is py3langid's (a naive Bayes classifier over byte n-grams, 140 labels, offline). No
library knows the language of a short name, so nothing hangs on it: the guard reads what it cannot
name, and only a text that is surely in none of its languages goes to a person.

>>> identify("ein roter Apfel auf dem Tisch").code, identify("apple").code
('de', 'und')
>>> identify("krasnoe yabloko lezhit na stole").known
False
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["KNOWN", "Language", "identify", "is_tag"]

#: What the encoder was trained on with harmful and harmless texts (ISO 639-1).
KNOWN: Final[frozenset[str]] = frozenset(
    "ar bg bn cs da de el en es fa fi fr he hi hu id it ja ko nb nl pl pt ro ru sv th tr uk vi zh".split()
)
#: Near relatives, and what the identifier takes for one of ours: read as that one, and not measured.
_READ_AS: Final[dict[str, str]] = {
    "no": "nb", "nn": "nb", "sk": "cs", "ms": "id", "an": "es", "ext": "es", "gl": "pt", "ca": "es",
    "wuu": "zh", "yue": "zh", "pcm": "en", "arz": "ar", "ary": "ar", "hbo": "he", "grc": "el",
    "mr": "hi", "ne": "hi", "sa": "hi", "gom": "hi", "as": "bn", "be": "ru", "mk": "bg", "sr": "bg",
    "af": "nl",
}  # fmt: skip
_OURS: Final[frozenset[str]] = KNOWN | _READ_AS.keys()
#: Scripts of the languages above, as the names of their letters begin.
_SCRIPTS: Final = (
    "LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "THAI", "CJK",
    "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "HALFWIDTH", "MODIFIER", "IDEOGRAPHIC",
    "FEMININE", "MASCULINE", "MICRO", "KANGXI",
)  # fmt: skip
#: From which probability a language is named at all.
_NAMED: Final[float] = 0.6
#: Below it, what the guard's own languages have of the probability together says nothing.
_OURS_AT_LEAST: Final[float] = 0.2
#: From which a language that the guard has not learned is believed, in a text of so many letters.
_SURE: Final[float] = 0.9
_LETTERS: Final[int] = 12
#: Probability of all our languages together below which a text of four words or more is in none of
#: them. Of 17,000 texts in our languages 21 lay below, half of them Hindi in Latin letters.
_NONE: Final[float] = 0.3
_WORDS: Final[int] = 4
#: Little words of languages that are often written in Latin letters and are not read so here. A text with
#: three of them, two words in five, is in that language, unless another one is certain.
_ROMANISED: Final[dict[str, frozenset[str]]] = {
    "hi-Latn": frozenset(
        "hai hain hoon ho tha thi the ka ki ke ko se mein mai main mujhe ek aur nahi nahin kya kaise kaisa"
        " par raha rahi rahe wala wali mera meri mere tera teri tum tu aap apne apni uska uski unke yeh"
        " woh kar karo karne banao dikhao liye bhi hi toh kyun kab kahan ghar admi aurat".split()
    ),
    "ru-Latn": frozenset(
        "na ne chto kak eto etot ya ty my vy on ona oni moi moy moya svoi v s k u i iz dlya ili gde kogda"
        " nado mozhno hochu khochu narisui narisuy sdelat sdelai pro pod bez ego ee ikh tebya menya"
        " stole dom doma".split()
    ),
}
#: So many letters of a script that the guard has not learned are a passage, whatever stands around.
_PASSAGE: Final[int] = 4
#: A text is identified by its beginning and its end: more changes nothing and takes time.
_PART: Final[int] = 1000
#: Pairs of little words that only English has: a text with a name in it ("a nike logo on a shirt") is
#: taken for something far away by its other letters.
_ENGLISH: Final = re.compile(r"\b(?:from|in|near|of|on|under|with) (?:an?|the)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]+")
#: BCP 47, as far as a caller needs it: language, script, region.
_TAG: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?")


@dataclass(frozen=True, kw_only=True)
class Language:
    """What is known of a text's language.

    Attributes:
        code: BCP 47; ``und`` where it is not certain enough to be named.
        known: Whether the guard may be trusted to read it.
        read_as: The language of ours that it counts as; ``und`` where it is none or not certain.
    """

    code: str
    known: bool
    read_as: str


def identify(text: str, *, told: str | None = None) -> Language:
    """Return the language of a text as it was written, accents and all.

    Args:
        text: Anything.
        told: What the caller says it is, in BCP 47. It is believed where nothing speaks against it.
    """
    foreign = _foreign_letters(text)
    ranked = _ranked(text)
    best, probability = ranked[0]
    romanised = _romanised(text) if probability < _NAMED else None
    if romanised is not None and not told:
        return Language(code=romanised, known=False, read_as="und")
    known = _known(text, ranked) and foreign < _PASSAGE
    if told:
        base = told.partition("-")[0].lower()
        return Language(code=told, known=known and base in _OURS, read_as=_base(base))
    if not known and text.isascii() and _ENGLISH.search(text):
        return Language(code="en", known=True, read_as="en")
    if not known:
        return Language(code=best if probability >= _NAMED else "und", known=False, read_as="und")
    # Among the guard's own languages, each with its relatives: that it is one of them is likely.
    ours: dict[str, float] = {}
    for code, share in ranked:
        ours[_base(code)] = ours.get(_base(code), 0.0) + share
    total = sum(ours.values()) - ours.pop("und", 0.0)
    read_as = max(ours, key=ours.__getitem__)
    if ours[read_as] < _NAMED * total or total < _OURS_AT_LEAST:
        return Language(code="und", known=True, read_as="und")
    named = best if _base(best) == read_as else read_as
    return Language(code=named, known=True, read_as=read_as)


def is_tag(text: str) -> bool:
    """Tell whether a text has the form of a language's name (BCP 47)."""
    return _TAG.fullmatch(text) is not None


def _base(code: str) -> str:
    code = _READ_AS.get(code, code)
    return code if code in KNOWN else "und"


def _known(text: str, ranked: list[tuple[str, float]]) -> bool:
    words = _WORD.findall(text)
    best, probability = ranked[0]
    if best not in _OURS and probability >= _SURE and sum(map(len, words)) >= _LETTERS:
        return False
    ours = sum(share for code, share in ranked if code in _OURS)
    return len(words) < _WORDS or ours >= _NONE


def _romanised(text: str) -> str | None:
    words = [word.lower() for word in _WORD.findall(text)]
    for code, little in _ROMANISED.items():
        hits = sum(word in little for word in words)
        if hits >= 3 and hits * 5 >= len(words) * 2:
            return code
    return None


def _foreign_letters(text: str) -> int:
    if text.isascii():
        return 0
    return sum(_foreign(char) for char in text)


@functools.lru_cache(maxsize=8192)
def _foreign(char: str) -> bool:
    return char.isalpha() and not unicodedata.name(char, "LATIN").startswith(_SCRIPTS)


def _ranked(text: str) -> list[tuple[str, float]]:
    part = text if len(text) <= 2 * _PART else text[:_PART] + " " + text[-_PART:]
    return [(code, float(share)) for code, share in _identifier().rank(part)]


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
