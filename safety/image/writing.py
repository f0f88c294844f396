"""Whether there seems to be writing in a picture, so that reading it is worth its cost.

No network: lines of letters are what a closing joins of strong edges into bands, in which dark and
light alternate a few times a letter (the morphological gradient, a common first step of document
scanners). Reading costs some fifty times as much. It misses about
half of the short lines that were laid on pictures (``python -m benchmarks.safety_pictures --only
writing``), single signs and vertical lines all but always: a reason to read, never one not to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WORTH_READING", "written_letters"]

#: Longer side that is looked at, the one that the reader reads (:mod:`chopmark.safety.image.text`).
_SIDE: Final = 640
#: Letters from which a picture is read.
WORTH_READING: Final = 3.0
#: Heights of a line in pixels of the small copy.
_HEIGHTS: Final = (7, 26)
#: Sizes of the picture that are looked at, each 0.6 of the last, so that letters may be large.
_SIZES: Final = 5
#: Largest gap within a line, in pixels.
_REACH: Final = 7
#: Least width of a line over its height: about two letters.
_LONG: Final = 1.3
#: Share of a band that edges must fill, and changes between dark and light over its height.
_FULL: Final = 0.3
_CHANGES: Final = (0.9, 8.0)
#: Least contrast, of 255, between the letters of a line and its ground.
_CONTRAST: Final = 36


def written_letters(image: Image.Image) -> float:
    """Return about how many letters stand in lines in a picture, 0 for none.

    Args:
        image: In any mode; at least 16 pixels a side.
    """
    small = image
    if max(image.size) > _SIDE:
        scale = _SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = np.asarray(small.convert("L"))
    most = 0.0
    for _ in range(_SIZES):
        if min(grey.shape) < _HEIGHTS[0]:
            break
        most = max(most, _letters(grey))
        grey = cv2.resize(grey, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return most


def _letters(grey: NDArray[np.uint8]) -> float:
    """Return the letters of the lines of one size."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, disc)
    level, _ = cv2.threshold(edges, 0, 255, cv2.THRESH_OTSU)
    _, strong = cv2.threshold(edges, max(level, 24), 255, cv2.THRESH_BINARY)
    bands = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, np.ones((1, _REACH), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(bands, connectivity=4)
    total = 0.0
    for left, top, width, height, _area in stats[1:count]:
        if not _HEIGHTS[0] <= height <= _HEIGHTS[1] or width < _LONG * height:
            continue
        if strong[top : top + height, left : left + width].mean() < 255 * _FULL:
            continue
        total += _line(grey[top : top + height, left : left + width])
    return total


def _line(part: NDArray[np.uint8]) -> float:
    """Return the letters of one band, 0 where dark and light do not alternate as letters do."""
    level, split = cv2.threshold(part, 0, 1, cv2.THRESH_OTSU)
    dark, light = part[part <= level], part[part > level]
    if not len(dark) or not len(light) or float(light.mean() - dark.mean()) < _CONTRAST:
        return 0.0
    height, width = part.shape
    rows = split[height // 4 : max(height // 4 + 1, 3 * height // 4)]
    changes = float(np.mean(np.sum(rows[:, 1:] != rows[:, :-1], axis=1)))
    if not _CHANGES[0] <= changes * height / width <= _CHANGES[1]:
        return 0.0
    return changes / 3.5  # a letter has one or two strokes, so two to four changes
