"""A text cut at the places that evidence points to, so that a page can mark them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TextPiece", "pieces"]


@dataclass(frozen=True, kw_only=True)
class TextPiece:
    """A stretch of a text, and the categories that its words speak for (none: plain text)."""

    text: str
    categories: tuple[str, ...] = ()


def pieces(text: str, spans: Iterable[tuple[int, int, str]]) -> list[TextPiece]:
    """Cut a text at spans of it, which may overlap.

    Args:
        text: The original text.
        spans: First character, one past the last, category. What lies outside is cut off.
    """
    kept = [(max(0, start), min(end, len(text)), name) for start, end, name in spans if start < end]
    cuts = sorted({0, len(text), *(place for start, end, _ in kept for place in (start, end))})
    found: list[TextPiece] = []
    for left, right in pairwise(cuts):
        names = tuple(sorted({name for start, end, name in kept if start <= left and right <= end}))
        found.append(TextPiece(text=text[left:right], categories=names))
    return found
