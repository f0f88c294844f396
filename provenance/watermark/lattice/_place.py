"""Where in a picture its mark is: known exactly once the payload is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._embed import pattern_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._frames import Frames
    from chopmark.provenance.watermark.lattice._layout import Layout
    from chopmark.provenance.watermark.lattice._sync import Lock

__all__ = ["Box", "place_of"]

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the picture."""
_CELL = 8
_WHOLE = 0.85
_ASKEW = 0.05


def place_of(lock: Lock, values: NDArray[np.int8], frames: Frames, layout: Layout) -> Box | None:
    """Return where the mark is, if it is in a part of the picture only.

    The whole pattern is laid over the picture, and the rectangle found in which it is rather there
    than not: the greatest sum of what each cell says beyond half of the mark's usual strength.
    It is right to some eight pixels in 512. A picture that lies askew has no such box.

    Args:
        lock: The geometry under which it was read.
        values: What the payload dimensions carry, +1 and -1.
        frames: Of the picture.
        layout: The key's layout.
    """
    if np.abs(lock.affine).min(axis=0).max() > _ASKEW:
        return None
    plane = frames.evened(lock.level)
    pattern = _laid(lock, values, plane, layout)
    if lock.negative:
        pattern = -pattern
    high, wide = (side // _CELL for side in plane.shape)
    product = (plane * pattern)[: high * _CELL, : wide * _CELL]
    cells = product.reshape(high, _CELL, wide, _CELL).mean(axis=(1, 3))
    smooth = np.asarray(cv2.GaussianBlur(cells, (0, 0), 3))
    usual = float(np.quantile(smooth, 0.9))
    top, bottom, left, right = _greatest(cells - usual / 2)
    if (bottom - top) * (right - left) >= _WHOLE * high * wide:
        return None
    down = _CELL * frames.luma.shape[0] / plane.shape[0]
    across = _CELL * frames.luma.shape[1] / plane.shape[1]
    return (
        round(left * across),
        round(top * down),
        round((right - left) * across),
        round((bottom - top) * down),
    )


def _laid(lock: Lock, values: NDArray[np.int8], plane: Plane, layout: Layout) -> Plane:
    """The pattern as it lies over the whole frame."""
    height, width = plane.shape
    left, top, wide, high = lock.part or (0, 0, width, height)
    middle = np.array([left + (wide - 1) / 2, top + (high - 1) / 2])
    tile = pattern_tile(layout, values, lock.entry)
    offset = lock.shift - lock.affine @ middle
    return np.asarray(
        cv2.warpAffine(
            np.tile(tile, (2, 2)),
            np.column_stack([lock.affine, offset]),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
    )


def _greatest(cells: Plane) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the rectangle with the greatest sum."""
    rows, columns = cells.shape
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = cells.cumsum(axis=0).cumsum(axis=1)
    best, found = -np.inf, (0, rows, 0, columns)
    for top in range(rows):
        strips = sums[top + 1 :] - sums[top]  # each bottom, prefix over columns
        least = np.minimum.accumulate(strips[:, :-1], axis=1)
        gains = strips[:, 1:] - least
        bottom, right = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[bottom, right] > best:
            best = float(gains[bottom, right])
            left = int(strips[bottom, : right + 1].argmin())
            found = top, top + 1 + int(bottom), left, int(right) + 1
    return found
