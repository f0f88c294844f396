"""A text as the encoder reads it, with the way back to the original.

English is read with its disguises undone. A text in another language is read as it was written, with
its accents, because the undoing knows English words only and would find them where there are none; what
was hidden in an encoding, in invisible or in turned characters is read undone in every language.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.safety.text._unicode import is_invisible
from chopmark.safety.text.style_tags import tag_spans
from chopmark.safety.text.words import known_share

if TYPE_CHECKING:
    from chopmark.safety.text.normalize import Normalized

__all__ = ["Form", "form_of", "without_accents", "written"]

#: What is undone in every language: what only a disguise looks like.
_ALWAYS: Final = frozenset(
    {"base64", "hexadecimal", "url", "html", "tags", "direction", "marks", "reversal", "spacing"}
)
#: Share of letters in known English words from which a text is English as far as undoing is concerned.
_ENGLISH: Final[float] = 0.75
_WORD: Final = re.compile(r"[^\W\d_]+")
_FOLDED: Final = ("LATIN", "GREEK", "CYRILLIC")
_JOINERS: Final = "\u200c\u200d"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A text, and for each of its characters the half-open span of the original it came from."""

    text: str
    offsets: tuple[tuple[int, int], ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original that ``text[start:end]`` came from."""
        part = self.offsets[start:end]
        if not part:
            return (0, 0)
        return min(first for first, _ in part), max(last for _, last in part)

    def without_tags(self) -> Form:
        """Return the form without its style words, see :mod:`chopmark.safety.text.style_tags`."""
        gone = {at for start, end in tag_spans(self.text) for at in range(start, end)}
        kept = [at for at in range(len(self.text)) if at not in gone]
        # What is left of commas between and at the ends says nothing.
        rest = "".join(self.text[at] for at in kept)
        if not gone or not any(char.isalnum() for char in rest):
            return self
        inner = [at for at, char in enumerate(rest) if char not in " ,;|、，；"]
        kept = kept[inner[0] : inner[-1] + 1]
        return Form(
            text="".join(self.text[at] for at in kept),
            offsets=tuple(self.offsets[at] for at in kept),
        )


def written(text: str) -> Form:
    """Return a text as it was written: compatibility characters folded, white space squeezed (NFKC)."""
    chars: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        end = at + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        part = unicodedata.normalize("NFKC", text[at:end])
        for char in part:
            if char.isspace():
                if chars and chars[-1] != " ":
                    chars.append(" ")
                    offsets.append((at, end))
            elif char in _JOINERS or not is_invisible(char):
                chars.append(char)
                offsets.append((at, end))
        at = end
    if chars and chars[-1] == " ":
        chars.pop()
        offsets.pop()
    return Form(text="".join(chars), offsets=tuple(offsets))


def without_accents(text: str) -> str:
    """Return a text of the same length whose Latin, Greek and Cyrillic letters have lost their accents."""
    if text.isascii():
        return text
    return "".join(map(_bare, text))


@functools.lru_cache(maxsize=8192)
def _bare(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[0]
    # Hangul and the like fall apart into letters, not into a letter and its accent.
    return base if base != char and unicodedata.name(base, "").startswith(_FOLDED) else char


def form_of(as_written: Form, plain: Normalized, language: str) -> Form:
    """Return which of the two forms of a text is read.

    Args:
        as_written: See :func:`written`.
        plain: The text with its disguises undone.
        language: As which of the guard's languages the text as written counts, ``und`` for none.
    """
    undone = Form(text=plain.text, offsets=plain.offsets)
    if _ALWAYS.intersection(plain.applied):
        return undone
    if language not in {"en", "und"}:
        return as_written
    words = _WORD.findall(plain.text.lower())
    return undone if known_share(words) >= _ENGLISH else as_written
