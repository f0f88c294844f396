"""Undo disguises of single characters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from chopmark.safety.text._forms import FOLDED_SCRIPTS, compose
from chopmark.safety.text._marked import check_length
from chopmark.safety.text._unicode import CONFUSABLES, is_invisible, script
from chopmark.safety.text.words import known_share

if TYPE_CHECKING:
    from chopmark.safety.text._marked import Marked

__all__ = ["clean"]

#: U+202E (override) and U+2067 (isolate) turn the text around.
_RIGHT_TO_LEFT: Final[str] = "\u202e\u2067"
#: What may stand inside: the beginnings of other embeddings and isolates; U+202C and U+2069 end the
#: innermost, the end of a line ends all (UAX 9).
_DIRECTIONS: Final[re.Pattern[str]] = re.compile("[\u202a-\u202e\u2066-\u2069\n]")
_ENDS: Final[str] = "\u202c\u2069"
#: Letters and digits, apostrophes inside: "don't" is one word.
_WORD: Final[re.Pattern[str]] = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def clean(marked: Marked) -> None:
    """Undo tags, overrides, invisible and compatibility characters, marks and look-alikes.

    Raises:
        TextTooLong: Written out, it has more characters than are judged of one text.
    """
    if marked.text.isascii():
        if any(char < " " and char not in "\t\n\r\x0b\x0c" for char in marked.chars):
            _drop_invisible(marked)
        return
    _tags(marked)
    _overrides(marked)
    _regional(marked)
    _drop_invisible(marked)
    compose(marked)
    check_length(len(marked.chars))  # U+FDFA alone is eighteen letters
    _between(marked)
    _confusables(marked)


def _tags(marked: Marked) -> None:
    """U+E0020..7E mirror ASCII unseen; after a black flag they name a region and say nothing."""
    edits = []
    for found in re.finditer("\U0001f3f4?[\U000e0001-\U000e007f]+", marked.text):
        part = found.group()
        if part[0] == "\U0001f3f4":
            edits.append((found.start() + 1, found.end(), ""))
            continue
        shown = [
            (found.start() + at, found.start() + at + 1, chr(ord(char) - 0xE0000))
            for at, char in enumerate(part)
            if 0xE0020 <= ord(char) <= 0xE007E
        ]
        if shown:
            marked.note("tags")
            edits += shown
    marked.replace(edits)


def _overrides(marked: Marked) -> None:
    """Text between a right-to-left override and its end is read backwards where it is Latin.

    An override inside another changes nothing, and only the end of the outer one ends it.
    """
    text = marked.text
    edits: list[tuple[int, int, str]] = []
    start = depth = 0
    signs = [(found.start(), found.group()) for found in _DIRECTIONS.finditer(text)]
    for at, sign in (*signs, (len(text), "\n")):
        if not depth and sign not in _RIGHT_TO_LEFT:
            continue
        if sign != "\n":
            edits.append((at, at + 1, ""))
        if not depth:
            start = at
        depth = 0 if sign == "\n" else depth - 1 if sign in _ENDS else depth + 1
        if not depth:
            _turn(marked, start, at)
    # What is turned around leaves its signs at their places: they are taken out in the end.
    marked.replace(edits)


def _turn(marked: Marked, start: int, end: int) -> None:
    places = [at for at in range(start, end) if not _DIRECTIONS.match(marked.chars[at])]
    latin = sum(script(marked.chars[at]) == "latin" for at in places)
    if latin * 2 <= len(places):
        return
    turned = [(marked.chars[at], marked.spans[at]) for at in reversed(places)]
    for at, (char, span) in zip(places, turned, strict=True):
        marked.chars[at], marked.spans[at] = char, span
    marked.note("direction")


def _regional(marked: Marked) -> None:
    """Regional indicators: two are a flag; longer or single ones are letters."""
    edits = []
    # Letters A to Z of U+1F1E6 on, with a space or a zero-width character between at most.
    pattern = "[\U0001f1e6-\U0001f1ff](?:[ \u200b-\u200d]?[\U0001f1e6-\U0001f1ff])*"
    for found in re.finditer(pattern, marked.text):
        letters = [char for char in found.group() if char >= "\U0001f1e6"]
        solid = len(letters) == len(found.group())
        if len(letters) == 2 and solid:
            continue
        if solid and len(letters) % 2 == 0 and _all_flags(letters):
            continue
        for at, char in enumerate(found.group(), start=found.start()):
            shown = chr(ord(char) - 0x1F1E6 + 97) if char >= "\U0001f1e6" else ""
            edits.append((at, at + 1, shown if char != " " else " "))
        marked.note("letter symbols")
    marked.replace(edits)


#: Country codes (ISO 3166) whose flags people do put in prompts; other pairs are letters.
_FLAGS: Final[frozenset[str]] = frozenset(
    "us gb de fr es it pt br ru cn jp kr in mx ca au ar cl co pe nl be ch at pl ua se no dk fi ie gr tr"
    " il sa ae eg za ng ke ma dz pk bd id th vn ph my sg nz cz hu ro bg rs hr eu un".split()
)


def _all_flags(letters: list[str]) -> bool:
    plain = "".join(chr(ord(char) - 0x1F1E6 + 97) for char in letters)
    return all(plain[at : at + 2] in _FLAGS for at in range(0, len(plain), 2))


def _drop_invisible(marked: Marked) -> None:
    edits = []
    split_word = False
    text = marked.text
    for at, char in enumerate(text):
        if not is_invisible(char):
            continue
        # The joiner and the variation selector belong to emoji and to Indic and Persian spelling.
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        split_word |= before.isalnum() and after.isalnum() and script(before) in FOLDED_SCRIPTS
        edits.append((at, at + 1, ""))
    if split_word:
        marked.note("invisible")
    marked.replace(edits)


#: Three single letters or more with arrows, dingbats or emoji between: ``n★u★d★e``.
_PICTURED: Final = re.compile(
    r"[a-zA-Z](?:[\u2190-\u2bff\U0001f000-\U0001faff]++ ?[a-zA-Z](?![a-zA-Z])){2,}"
)


def _between(marked: Marked) -> None:
    """Take emoji and dingbats from between single letters; what is left are letters of words."""
    edits = []
    for found in _PICTURED.finditer(marked.text):
        edits += [
            (found.start() + at, found.start() + at + 1, "")
            for at, char in enumerate(found.group())
            if not char.isalpha()
        ]
    if edits:
        marked.note("emoji between letters")
        marked.replace(edits)


def _confusables(marked: Marked) -> None:
    """Give look-alikes their Latin letter in words that mix scripts or stand among Latin ones."""
    text = marked.text
    if text.isascii():
        return
    words = [(found.start(), found.end(), found.group()) for found in _WORD.finditer(text)]
    ascii_words = sum(word.isascii() and word.isalpha() for _, _, word in words)
    mixed = [word for _, _, word in words if _mixed(word)]
    # Half of the words are Latin, plain or in disguise: then lone look-alikes among them are as well.
    mostly_latin = (ascii_words + len(mixed)) * 2 >= len(words) and (ascii_words or mixed)
    all_alike = bool(words) and all(_alike(word) or word.isascii() for _, _, word in words)
    if all_alike and not mostly_latin:
        # Russian has words of look-alikes alone; what is folded must read as Latin words.
        folded = ["".join(CONFUSABLES.get(c, c) for c in word.lower()) for _, _, word in words]
        all_alike = known_share(folded) >= 0.7
    edits: list[tuple[int, int, str]] = []
    for start, end, word in words:
        lone = len(word) == 1 and bool(mixed) and word in CONFUSABLES
        strange = _mixed(word) or lone or (_alike(word) and (mostly_latin or all_alike))
        if word.isascii() or not strange:
            continue
        edits += [
            (at, at + 1, CONFUSABLES[text[at]])
            for at in range(start, end)
            if text[at] in CONFUSABLES
        ]
    if edits:
        marked.note("confusables")
        marked.replace(edits)


def _mixed(word: str) -> bool:
    """Tell whether a word mixes plain Latin letters with look-alikes of them."""
    if word.isascii():
        return False
    plain = any(char.isascii() and char.isalpha() for char in word)
    strange = [char for char in word if not char.isascii()]
    return plain and any(char in CONFUSABLES and script(char) != "han" for char in strange)


def _alike(word: str) -> bool:
    return len(word) > 1 and all(char.isascii() or char in CONFUSABLES for char in word)
