"""Squares of a long picture, so that no model sees it squeezed to nothing, and copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["details", "enlarged", "shared", "tiles"]

#: A picture longer than this against its short side is looked at in squares.
_LONG: Final = 2.0
_MOST: Final = 8
#: Short side from which the parts of a picture are looked at beside the whole.
_LARGE: Final = 1536
#: Longer side of a part in the copy that several models share.
_SHARED: Final = 640


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


def details(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return boxes of the parts that are looked at beside the whole of a long or large picture.

    A long picture's are its :func:`tiles`; a large one's are its quarters and its middle, each of
    half its width and height.

    >>> details((1024, 1024))
    []
    >>> details((2048, 2048))[-1]
    (512, 512, 1536, 1536)
    """
    parts = tiles(size)
    if len(parts) > 1:
        return parts
    width, height = size
    if min(size) < _LARGE:
        return []
    half = width // 2, height // 2
    starts = [(0, 0), (width - half[0], 0), (0, height - half[1])]
    starts += [(width - half[0], height - half[1]), (width // 4, height // 4)]
    return [(x, y, x + half[0], y + half[1]) for x, y in starts]


def shared(image: Image.Image) -> Image.Image:
    """Return a copy whose :func:`tiles` are at most 640 pixels long; small ones as they are."""
    left, top, right, bottom = tiles(image.size)[0]
    scale = _SHARED / max(right - left, bottom - top)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def enlarged(
    box: Sequence[int], small: tuple[int, int], large: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return a box of a copy of size ``small`` in the picture of size ``large``."""
    x, y = large[0] / small[0], large[1] / small[1]
    left, top, right, bottom = box
    return (
        int(left * x),
        int(top * y),
        min(large[0], round(right * x)),
        min(large[1], round(bottom * y)),
    )
