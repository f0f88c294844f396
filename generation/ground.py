"""Whether a picture stands on a plain ground, which is all that a small model learned to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["on_plain_ground"]

#: The picture is looked at in this size, and so many pixels of each edge are its ground.
_SIDE: Final = 64
_RING: Final = 3
#: Levels of 255 that a pixel of the ground may differ from the usual one, and how many may differ
#: more: what is drawn may touch an edge.
_NEAR: Final = 16
_SHARE: Final = 0.7


def on_plain_ground(picture: Image.Image) -> bool:
    """Tell whether the edges of a picture are mostly of one colour.

    Drawings on a ground are told from photographs so, but for photographs on a plain ground.

    Args:
        picture: any mode, any size.
    """
    return _plain_share(picture) >= _SHARE


def _plain_share(picture: Image.Image) -> float:
    small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels: NDArray[np.int16] = np.asarray(small).astype(np.int16)
    ring = np.ones((_SIDE, _SIDE), bool)
    ring[_RING:-_RING, _RING:-_RING] = False
    edge = pixels[ring]
    apart = np.abs(edge - np.median(edge, axis=0)).max(axis=1)
    return float((apart <= _NEAR).mean())
