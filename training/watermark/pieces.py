"""Pieces of marked frames after what happens to pictures, with the pattern that is in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._listener import features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from training.watermark.marks import Marked

__all__ = ["SIDE", "piece"]

SIDE: Final = 160
_RIM: Final = 64
_BIG: Final = SIDE + _RIM
#: The last tenth of each kind is kept apart.
_LEARNED: Final = 0.9
_PLAIN: Final = 3.0


def piece(
    sets: Mapping[str, Sequence[Marked]], shares: Sequence[float], draw: np.random.Generator
) -> tuple[NDArray[np.float32], Plane]:
    """Return the features of one piece, (5, 80, 80), and the pattern in it, (160, 160).

    Args:
        sets: Marked frames by kind.
        shares: How often each kind is taken, in the order of ``sets``.
        draw: Source of chance.
    """
    while True:
        some = list(sets.values())[draw.choice(len(shares), p=shares)]
        marked = some[int(draw.integers(int(_LEARNED * len(some))))]
        down, across = (int(draw.integers(0, max(1, n - _BIG + 1))) for n in marked.luma.shape)
        if draw.random() < 0.7:  # the blocks of a lossy file begin at a multiple of 8
            down, across = down // 8 * 8, across // 8 * 8
        cut = marked.luma[down : down + _BIG, across : across + _BIG]
        # Plain ground has little to teach, and is left out more often than not.
        if cut.shape == (_BIG, _BIG) and not (draw.random() < 0.6 and cut.std() < _PLAIN):
            break
    seen = _attacked(np.ascontiguousarray(cut), draw)
    pattern = np.tile(np.roll(marked.tile, (-down, -across), (0, 1)), (2, 2))[:_BIG, :_BIG]
    luma, pattern = _moved(seen, pattern, draw)
    if draw.random() < 0.5:
        luma, pattern = luma[:, ::-1], pattern[:, ::-1]
    if draw.random() < 0.5:
        luma, pattern = luma[::-1], pattern[::-1]
    if draw.random() < 0.5:
        luma, pattern = luma.T, pattern.T
    if draw.random() < 0.06:
        luma, pattern = 255 - luma, -pattern
    return features(np.ascontiguousarray(luma)), np.ascontiguousarray(pattern)


def _moved(seen: NDArray[np.uint8], pattern: Plane, draw: np.random.Generator) -> list[Plane]:
    """Both cut out, or both turned and scaled."""
    both = [seen.astype(np.float32), pattern.astype(np.float32)]
    if draw.random() < 0.5:
        down, across = draw.integers(0, _RIM + 1, 2) // 8 * 8
        return [each[down : down + SIDE, across : across + SIDE] for each in both]
    scale = math.exp(draw.uniform(-0.35, 0.4)) if draw.random() < 0.7 else 1.0
    angle = draw.uniform(-0.3, 0.3) if draw.random() < 0.4 else 0.0
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    turn = np.array([[cosine, -sine], [sine, cosine]])
    move = np.column_stack([turn, _BIG / 2 - turn @ [SIDE / 2, SIDE / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return [
        np.asarray(
            cv2.warpAffine(
                each, move, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REFLECT_101
            ),
            np.float32,
        )
        for each in both
    ]


def _attacked(grey: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """One attack, at this size or at another of the picture, and perhaps other tones."""
    height, width = grey.shape
    size = float(draw.choice([1, 1, 1, 0.8, 0.66, 1.5, 2])) if draw.random() < 0.6 else 1.0
    if size != 1:
        how = cv2.INTER_CUBIC if size > 1 else cv2.INTER_AREA
        grey = _grey(cv2.resize(grey, (round(width * size), round(height * size)), None, 0, 0, how))
    which = draw.random()
    if which < 0.38:
        hard = draw.random() < 0.8
        grey = _coded(grey, ".jpg", draw.integers(10, 60) if hard else draw.integers(60, 95))
    elif which < 0.80:
        grey = _coded(grey, ".webp", draw.integers(40, 90))
    elif which < 0.86:
        grey = _coded(grey, ".jpg", draw.integers(40, 80))
        grey = _coded(grey, ".jpg", draw.integers(30, 70))
    elif which < 0.90:
        noise = draw.normal(0, draw.uniform(2, 25), grey.shape)
        grey = np.clip(np.rint(grey + noise), 0, 255).astype(np.uint8)
    elif which < 0.93:
        grey = _grey(cv2.GaussianBlur(grey, (0, 0), draw.uniform(0.6, 2)))
    elif which < 0.96:
        grey = _grey(cv2.fastNlMeansDenoising(grey, None, float(draw.uniform(4, 11)), 7, 13))
    elif which < 0.98:
        grey = _grey(cv2.medianBlur(grey, 5 if draw.random() < 0.5 else 3))
    if draw.random() < 0.15:
        grey = (255 * (grey / 255.0) ** draw.uniform(0.7, 1.4) + 0.5).astype(np.uint8)
    if draw.random() < 0.1:
        tones = (grey - 128.0) * draw.uniform(0.8, 1.3) + 128 + draw.uniform(-25, 25)
        grey = np.clip(tones, 0, 255).astype(np.uint8)
    if size != 1:
        how = cv2.INTER_CUBIC if size < 1 else cv2.INTER_AREA
        grey = _grey(cv2.resize(grey, (width, height), None, 0, 0, how))
    return grey


def _coded(grey: NDArray[np.uint8], ending: str, quality: int | np.integer) -> NDArray[np.uint8]:
    webp = ending == ".webp"
    flag = cv2.IMWRITE_WEBP_QUALITY if webp else cv2.IMWRITE_JPEG_QUALITY
    shown = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR) if webp else grey
    _, data = cv2.imencode(ending, shown, [flag, int(quality)])
    return _grey(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def _grey(values: object) -> NDArray[np.uint8]:
    return np.asarray(values, np.uint8)
