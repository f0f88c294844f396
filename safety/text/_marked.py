"""A text that changes and remembers for each character where it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark.errors import TextTooLong
from chopmark.kit.limits import TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Marked", "check_length"]

Span = tuple[int, int]


def check_length(characters: int) -> None:
    """Let a text pass that is short enough to be judged whole.

    Raises:
        TextTooLong: It is not.
    """
    if characters > TEXT.most:
        raise TextTooLong(
            f"the text has {characters} characters, more than {TEXT.most}",
            hint="send a shorter text, or several: nothing of it was cut off, and nothing was judged",
            param="prompt",
        )


@dataclass(slots=True)
class Marked:
    """Characters, each with the half-open span of the original text that it stands for."""

    chars: list[str]
    spans: list[Span]
    applied: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Marked:
        """Start with a text, each character standing for itself."""
        return cls(list(text), [(at, at + 1) for at in range(len(text))])

    @property
    def text(self) -> str:
        """The characters as one string."""
        return "".join(self.chars)

    def note(self, what: str) -> None:
        """Remember that something was undone."""
        self.applied.setdefault(what)

    def span(self, start: int, end: int) -> Span:
        """Return the original span of a part; of none, the place where it would stand."""
        part = self.spans[start:end]
        if not part:
            at = self.spans[start][0] if start < len(self.spans) else self._end()
            return (at, at)
        return min(first for first, _ in part), max(last for _, last in part)

    def replace(self, edits: Sequence[tuple[int, int, str]]) -> None:
        """Replace ``(start, end, new)`` parts at once; they must be in order and not overlap.

        A new part as long as the old keeps its characters' own spans, any other takes the whole.
        All edits of one step come in one call: each call copies the text once.
        """
        chars: list[str] = []
        spans: list[Span] = []
        at = 0
        for start, end, new in edits:
            chars += self.chars[at:start]
            spans += self.spans[at:start]
            chars += new
            if len(new) == end - start:
                spans += self.spans[start:end]
            elif new:
                spans += [self.span(start, end)] * len(new)
            at = end
        self.chars = chars + self.chars[at:]
        self.spans = spans + self.spans[at:]

    def _end(self) -> int:
        return self.spans[-1][1] if self.spans else 0

    def squeeze(self) -> None:
        """Make runs of white space one space (or one line end) and trim both ends."""
        edits = []
        for found in re.finditer(r"\s+", self.text):
            inner = "\n" if "\n" in found.group() else " "
            at_edge = found.start() == 0 or found.end() == len(self.chars)
            edits.append((found.start(), found.end(), "" if at_edge else inner))
        self.replace(edits)
