"""Undo what hides a text from its reader's guards, and keep the way back to the original.

>>> found = normalize("p 0 r n")
>>> found.text, found.applied
('porn', ('spacing', 'leet'))
>>> found.span(0, 4)
(0, 7)

The score of a guard is that of the normalised text *instead of* the original, never the larger of
both: an encoder calls every strange-looking text unsafe, harmless ones too.
"""

from __future__ import annotations

from dataclasses import dataclass

from chopmark.safety.text import _characters, _codes, _spelling, _wordplay
from chopmark.safety.text._marked import Marked, check_length
from chopmark.safety.text._strangeness import strangeness

__all__ = ["Normalized", "check_length", "normalize"]


@dataclass(frozen=True, kw_only=True)
class Normalized:
    """A text as a reader understands it.

    Attributes:
        text: The normalised text; accents of Latin, Greek and Cyrillic letters are taken off.
        offsets: For each character of ``text`` the half-open span of the original it came from.
        applied: Names of what was undone, in order, each once; empty for an ordinary text.
        obfuscated: 0..1: how much of the text still looks deliberately unreadable.
    """

    text: str
    offsets: tuple[tuple[int, int], ...]
    applied: tuple[str, ...] = ()
    obfuscated: float = 0.0

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original that ``text[start:end]`` came from."""
        part = self.offsets[start:end]
        if not part:
            return (0, 0)
        return min(first for first, _ in part), max(last for _, last in part)


def normalize(text: str) -> Normalized:
    """Return the text without its disguise.

    Characters first (compatibility forms, invisible and tag characters, stacked marks, look-alikes),
    then encodings (base64, hexadecimal, URL, HTML, rot-n, reversal), then spelling (spaced letters,
    split words, leetspeak, repeats, camel case). The time grows with the length, whatever the text
    is: no step looks at a part again that it has passed, and what is longer than any word
    (``words.LONGEST_WORD``) is looked up as none.

    Args:
        text: Anything, up to ``kit.limits.TEXT`` characters.

    Raises:
        TextTooLong: It has more, as it stands or with its compatibility characters written out.
    """
    check_length(len(text))
    marked = Marked.of(text)
    _characters.clean(marked)
    for _ in range(3):  # an encoding inside an encoding; three deep is enough for any wit
        if not _codes.decode(marked):
            break
        _characters.clean(marked)
    _wordplay.halve(marked)
    _wordplay.unstar(marked)
    _spelling.respell(marked)
    if _wordplay.undo(marked):
        _spelling.respell(marked)
    if _codes.shift(marked):
        _spelling.respell(marked)
    obfuscated = strangeness(marked)
    marked.squeeze()
    return Normalized(
        text="".join(marked.chars),
        offsets=tuple(marked.spans),
        applied=tuple(marked.applied),
        obfuscated=obfuscated,
    )
