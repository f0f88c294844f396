"""Does a picture look like one of a screen? Then the picture in it is only a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.kit.raw_picture import as_image

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.raw_picture import Shown

__all__ = ["looks_like_a_screen"]

_SIDE: Final = 64
# Share of one exact colour over the whole. Photographs have it only where they are clipped.
_FLAT: Final = 0.15
_MIN_SIDE: Final = 320


def looks_like_a_screen(shown: Shown) -> bool:
    """Whether one exact colour fills a good part of the picture and at least two of its edges.

    A page, a chat or a viewer around a picture is drawn, so that its ground is one colour to the
    bit; a photograph's is not. It is a hint to people, and decides nothing.
    """
    image = as_image(shown)
    if min(image.size) < _MIN_SIDE:
        return False
    small = image.convert("RGB").resize((_SIDE, _SIDE), resample=0)
    colours = small.getcolors(_SIDE * _SIDE)
    if not colours:
        return False
    count, ground = max(colours, key=lambda pair: pair[0])
    if not _FLAT <= count / _SIDE**2 < 1.0:
        return False
    return sum(_is_all(edge, ground) for edge in _edges(small)) >= 2


def _edges(small: Image.Image) -> list[Image.Image]:
    last = _SIDE - 1
    return [
        small.crop(box)
        for box in ((0, 0, _SIDE, 1), (0, last, _SIDE, _SIDE), (0, 0, 1, _SIDE),
                    (last, 0, _SIDE, _SIDE))
    ]  # fmt: skip


def _is_all(edge: Image.Image, ground: object) -> bool:
    colours = edge.getcolors(_SIDE) or []
    return sum(count for count, colour in colours if colour == ground) >= _SIDE * 0.9
