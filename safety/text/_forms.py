"""What a character is shown as: compatibility forms, and letters without their marks."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from chopmark.safety.text._unicode import SMALL_CAPS, script

if TYPE_CHECKING:
    from chopmark.safety.text._marked import Marked

__all__ = ["FOLDED_SCRIPTS", "compose"]

#: Scripts whose letters lose their marks.
FOLDED_SCRIPTS: Final[frozenset[str]] = frozenset({"latin", "greek", "cyrillic"})


def _enclosed(char: str) -> str:
    """Return the letter of a negative circle or square, or of one in parentheses."""
    code = ord(char)
    # In parentheses, small and capital; white on black, in a circle and in a square. NFKC leaves the
    # last two alone and gives "(a)" for the others.
    if 0x249C <= code <= 0x24B5:
        return chr(code - 0x249C + 97)
    if 0x1F110 <= code <= 0x1F129:
        return chr(code - 0x1F110 + 97)
    for first in (0x1F150, 0x1F170):
        if first <= code < first + 26:
            return chr(code - first + 97)
    return ""


class _Shown(NamedTuple):
    """What a character is shown as.

    Attributes:
        text: Its compatibility form, without the marks that were on a Latin, Greek or Cyrillic letter.
        marks: How many marks were taken off it.
        symbol: It is a sign that stands for a letter.
        form: It is another form of a plain letter or digit.
        folded: It is a letter of those three scripts; nothing where no character is left of it.
    """

    text: str
    marks: int
    symbol: bool
    form: bool
    folded: bool | None


@lru_cache(maxsize=8192)
def _shown(char: str) -> _Shown | None:
    """Return what a character is shown as; nothing for a mark."""
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
        return None
    marks, form = 0, False
    letter = SMALL_CAPS.get(char) or _enclosed(char)
    text = letter
    if not letter:
        text = unicodedata.normalize("NFKC", char)
        form = text != char and text.isascii() and text.isalnum()
    if script(text[0]) in FOLDED_SCRIPTS:
        plain = unicodedata.normalize("NFD", text)
        marks = sum(unicodedata.category(part) == "Mn" for part in plain)
        text = "".join(part for part in plain if unicodedata.category(part) != "Mn")
    folded = script(text[0]) in FOLDED_SCRIPTS if text else None
    return _Shown(text, marks, bool(letter), form, folded)


def compose(marked: Marked) -> None:
    """NFKC character by character, and marks off the letters of three scripts.

    One mark on a letter is spelling (é). Two and more are a disguise, noted from the second such letter
    on; on letters of other scripts, which need their marks, those after the second are dropped.
    """
    chars: list[str] = []
    spans: list[tuple[int, int]] = []
    base_folded = False
    stacked = run = forms = symbols = 0
    for char, span in zip(marked.chars, marked.spans, strict=True):
        if char.isascii():
            chars.append(char)
            spans.append(span)
            base_folded, run = not char.isspace(), 0
            continue
        shown = _shown(char)
        if shown is None:
            run += 1
            stacked += run == 2 and base_folded
            if base_folded or run > 2:
                continue  # where it stood is inside the span of its base's neighbours
            chars.append(char)
            spans.append(span)
            continue
        text, run, symbol, form, folded = shown
        symbols += symbol
        forms += form
        base_folded = base_folded if folded is None else folded
        chars += text
        spans += [span] * len(text)
    if stacked >= 2:
        marked.note("marks")
    if forms:
        marked.note("forms")
    if symbols:
        marked.note("letter symbols")
    marked.chars, marked.spans = chars, spans
