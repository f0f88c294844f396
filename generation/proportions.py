"""From the size that a model renders to the size that was asked."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

__all__ = ["fit"]

#: Pixels of an edge that are cut before it is drawn out: decoders end in a pixel or two of another
#: shade, since their convolutions see nothing beyond.
_SEAM: Final = 3
#: Proportions within this of the asked ones are scaled: rendering goes in steps of a few pixels.
_CLOSE: Final = 0.08


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
