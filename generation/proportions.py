"""From the size that a model renders to the size that was asked."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageOps

__all__ = ["fit", "framed", "unframed"]

#: Pixels of an edge that are cut before it is drawn out: decoders end in a pixel or two of another
#: shade, since their convolutions see nothing beyond.
_SEAM: Final = 3
#: Proportions within this of the asked ones are scaled: rendering goes in steps of a few pixels.
_CLOSE: Final = 0.08


def framed(
    picture: Image.Image,
    size: tuple[int, int],
    *,
    filter: Image.Resampling = Image.Resampling.LANCZOS,  # noqa: A002  Pillow's word
) -> Image.Image:
    """Return a picture whole at a size of other proportions, its edges drawn out on two sides.

    What a model is shown to edit must not lose its sides because the model works in a square. Where
    the proportions are nearly the same it is cropped by what they differ.

    Args:
        picture: RGB or grey.
        size: width and height in pixels.
        filter: of the scaling.
    """
    if _alike(picture.size, size):
        return ImageOps.fit(picture, size, filter)
    inner = _inner(picture.size, size)
    array = np.asarray(picture.resize((inner[2], inner[3]), filter))
    pads = [
        (inner[1], size[1] - inner[3] - inner[1]),
        (inner[0], size[0] - inner[2] - inner[0]),
        (0, 0),
    ]
    return Image.fromarray(np.pad(array, pads[: array.ndim], mode="edge"))


def unframed(
    rendered: Image.Image,
    size: tuple[int, int],
    *,
    filter: Image.Resampling = Image.Resampling.LANCZOS,  # noqa: A002  Pillow's word
) -> Image.Image:
    """Return the part of a rendered picture where :func:`framed` put one of ``size``, at that size.

    Args:
        rendered: RGB.
        size: width and height in pixels of the result.
        filter: of the scaling.
    """
    if _alike(size, rendered.size):
        return rendered if rendered.size == size else rendered.resize(size, filter)
    left, top, wide, high = _inner(size, rendered.size)
    return rendered.resize(size, filter, box=(left, top, left + wide, top + high))


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1.0) <= _CLOSE


def _inner(inside: tuple[int, int], outside: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the largest middle of ``outside`` shaped like ``inside``."""
    scale = min(outside[0] / inside[0], outside[1] / inside[1])
    wide, high = (max(1, round(side * scale)) for side in inside)
    return (outside[0] - wide) // 2, (outside[1] - high) // 2, wide, high


def fit(
    picture: Image.Image,
    size: tuple[int, int],
    *,
    extends: bool = False,
    filter: Image.Resampling = Image.Resampling.LANCZOS,  # noqa: A002  Pillow's word
) -> Image.Image:
    """Bring a rendered picture to the asked size.

    Args:
        picture: as rendered, RGB.
        size: width and height in pixels.
        extends: where the proportions differ, draw the edges out on two sides instead of stretching
            everything; for models that draw things on plain grounds.
        filter: of the scaling.
    """
    wide, asked = picture.width / picture.height, size[0] / size[1]
    if not extends or abs(wide / asked - 1.0) <= _CLOSE:
        return picture if picture.size == size else picture.resize(size, filter)
    scale = min(size[0] / picture.width, size[1] / picture.height)
    inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    array = np.asarray(picture.resize(inner, filter))
    pads = []
    for axis, (have, want) in enumerate(zip(inner[::-1], size[::-1], strict=True)):
        cut = _SEAM if want > have > 4 * _SEAM else 0
        array = np.take(array, range(cut, have - cut), axis=axis)
        missing = want - have + 2 * cut
        pads.append((missing // 2, missing - missing // 2))
    return Image.fromarray(np.pad(array, (*pads, (0, 0)), mode="edge"))
