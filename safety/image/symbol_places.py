"""Where in a picture a hate symbol may be: the first look of :mod:`chopmark.safety.image.symbols`.

A network that reads squares of 63 pixels slides over the picture in five sizes. It is quick and
errs on what is ordinary (4.5 % of pictures, most of them photographs of animals), so that what it
gives are places to look at again, and not findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["FAMILIES", "WINDOW", "Place", "places", "square"]

#: What is told apart besides "nothing" and the manji or svastika of temples and rituals.
FAMILIES: Final = ("hooked cross", "black sun", "sig runes")
WINDOW: Final = 63
_STEP: Final = 8
#: Longer sides at which a picture is read. Each is 1.4 times the last, as the sizes within a
#: window that the network has learned reach from half to all of it.
_SIDES: Final = (64, 90, 128, 180, 256)
#: Pixels added on every side, of the colour at the edge: a symbol may fill the picture.
_MARGIN: Final = 12
#: Below this nothing is looked at again.
_LEAST: Final = 0.02
#: Most places of a picture that are looked at again; the surest first.
_MOST: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A square that may show a symbol.

    Attributes:
        score: 0..1, of the first look.
        middle: Across and down, in pixels of the picture.
        side: Its length in pixels of the picture; it may reach over the edge.
    """

    score: float
    middle: tuple[float, float]
    side: float


def places(session: Any, image: Image.Image) -> list[Place]:
    """Return up to four places, the surest first.

    Args:
        session: The network.
        image: In RGB, at least 16 pixels a side.
    """
    found = sorted(_all(session, image), key=lambda one: -one.score)
    kept: list[Place] = []
    for one in found:
        if len(kept) == _MOST:
            break
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return kept


def square(image: Image.Image, middle: tuple[float, float], side: float) -> NDArray[np.uint8]:
    """Return a square of a picture at :data:`WINDOW` pixels, its edge repeated beyond the edge."""
    left, top = middle[0] - side / 2, middle[1] - side / 2
    box = (
        max(0.0, left),
        max(0.0, top),
        min(float(image.width), left + side),
        min(float(image.height), top + side),
    )
    scale = WINDOW / side
    size = tuple(min(WINDOW, max(1, round((box[end] - box[end - 2]) * scale))) for end in (2, 3))
    part = image.resize((size[0], size[1]), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    before = [
        min(WINDOW - length, max(0, round((start - begin) * scale)))
        for length, start, begin in ((size[1], box[1], top), (size[0], box[0], left))
    ]
    pads = [
        (before[0], WINDOW - size[1] - before[0]),
        (before[1], WINDOW - size[0] - before[1]),
        (0, 0),
    ]
    return np.pad(np.asarray(part), pads, mode="edge")


def _same(one: Place, other: Place) -> bool:
    """Tell whether two places are one thing: their middles lie close and they are alike in size."""
    apart = max(abs(a - b) for a, b in zip(one.middle, other.middle, strict=True))
    ratio = max(one.side, other.side) / min(one.side, other.side)
    return apart < 0.3 * min(one.side, other.side) and ratio < 1.5


def _all(session: Any, image: Image.Image) -> Iterator[Place]:
    whole, longer = image, max(image.size)
    for side in sorted(_SIDES, reverse=True):
        if side > 1.5 * longer and side != _SIDES[0]:
            continue  # it would only be blown up
        scale = side / longer
        size = max(8, round(image.width * scale)), max(8, round(image.height * scale))
        # Each size is made from the last, larger one: that saves most of the work.
        whole = whole.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        shares, left, top = _read(session, np.asarray(whole))
        likely = np.argwhere(shares >= _LEAST)
        for row, column in likely:
            x, y = column * _STEP - left + WINDOW / 2, row * _STEP - top + WINDOW / 2
            yield Place(
                score=float(shares[row, column]),
                middle=(x * image.width / size[0], y * image.height / size[1]),
                side=WINDOW / scale,
            )


def _read(session: Any, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int, int]:
    """Return each square's share of symbols, and what was added on the left and above."""
    pads = [_MARGIN + max(0, WINDOW - 2 * _MARGIN - side + 1) // 2 for side in pixels.shape[:2]]
    top, left = pads
    padded = np.pad(pixels, ((top, top + 1), (left, left + 1), (0, 0)), mode="edge")
    planes = padded.transpose(2, 0, 1)[None].astype(np.float32) / 255
    logits = session.run(["logits"], {"pixels": planes})[0][0]
    shares = np.exp(logits - logits.max(axis=0, keepdims=True))
    shares /= shares.sum(axis=0, keepdims=True)
    hate: NDArray[np.float32] = shares[1 : 1 + len(FAMILIES)].sum(axis=0)
    return hate, left, top
