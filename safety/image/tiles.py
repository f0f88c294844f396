"""Squares of a long picture, so that no model sees it squeezed to nothing."""

from __future__ import annotations

from typing import Final

__all__ = ["tiles"]

#: A picture longer than this against its short side is looked at in squares.
_LONG: Final = 2.0
_MOST: Final = 8


def tiles(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return boxes (left, top, right, bottom) that together show a picture of this size.

    One for the whole where it is at most twice as long as wide; else up to eight, square or (of a
    picture longer than eight times its short side) as long as they must be to leave nothing out.

    >>> tiles((300, 200))
    [(0, 0, 300, 200)]
    >>> tiles((100, 250))
    [(0, 0, 100, 100), (0, 75, 100, 175), (0, 150, 100, 250)]
    """
    width, height = size
    short, long = min(size), max(size)
    if long <= _LONG * short:
        return [(0, 0, width, height)]
    count = min(_MOST, -(-long // short))
    each = max(short, -(-long // count))
    starts = [round(at * (long - each) / (count - 1)) for at in range(count)]
    if width == long:
        return [(at, 0, at + each, height) for at in starts]
    return [(0, at, width, at + each) for at in starts]
