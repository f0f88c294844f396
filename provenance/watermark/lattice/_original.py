"""Informed mode: with the unmarked original at hand, what is left of the mark is measured bare.

The picture as received is laid over the original (by matched corners, then by maximising their
correlation), its tones are fitted to it, and the original is subtracted. What remains is mark and
damage, without the content that hides both. The registration never sees the payload signs, so the
detection bound counts this as one more test and nothing else (see ``_statistic``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._frame import canonical, level_for, residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["bare_residual"]

_CORNERS = 3000
_LEAST_MATCHES = 12
_OUTSIDE = -1.0


def bare_residual(luma: Plane, original: Plane) -> tuple[int, Plane] | None:
    """Return the level and the residual of ``luma`` minus its original.

    Args:
        luma: The picture as received, shape (H, W), range 0..255.
        original: The unmarked picture, any size.

    Returns:
        The original's level and a residual in its frame; None if the two do not match.
    """
    height, width = original.shape
    level = level_for(width, height)
    frame, seen = canonical(original, level), canonical(luma, level)
    affine = _registration(frame, seen)
    if affine is None:
        return None
    size = (frame.shape[1], frame.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        seen, affine, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=_OUTSIDE
    )
    inside = cv2.erode((laid > _OUTSIDE / 2).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if inside.sum() < 0.05 * inside.size:
        return None
    own, other = frame[inside], laid[inside]
    own_mean, other_mean = own.mean(dtype=np.float64), other.mean(dtype=np.float64)
    covariance = float(np.mean((own - own_mean) * (other - other_mean)))
    slope = covariance / max(float(own.var()), 1e-6)
    if slope <= 0:
        return None
    rest = np.where(inside, laid - other_mean - slope * (frame - own_mean), 0).astype(np.float32)
    return level, np.where(inside, residual(rest), 0).astype(np.float32)


def _registration(frame: Plane, seen: Plane) -> NDArray[np.float32] | None:
    """The affine map (2, 3) from the original's frame to the frame of the picture received."""
    finder = cv2.ORB.create(nfeatures=_CORNERS, fastThreshold=8)
    flat = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (frame, seen)]
    width = frame.shape[1]
    best: tuple[int, NDArray[np.float64]] | None = None
    points, words = finder.detectAndCompute(flat[0], None)
    mirrored_points, mirrored_words = finder.detectAndCompute(flat[0][:, ::-1].copy(), None)
    other_points, other_words = finder.detectAndCompute(flat[1], None)
    mirror = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for own_points, own_words, before in (
        (points, words, np.eye(3)),
        (mirrored_points, mirrored_words, mirror),
    ):
        if own_words is None or other_words is None:
            continue
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(own_words, other_words)
        if len(pairs) < _LEAST_MATCHES:
            continue
        here = np.array([own_points[pair.queryIdx].pt for pair in pairs], np.float32)
        there = np.array([other_points[pair.trainIdx].pt for pair in pairs], np.float32)
        cv2.setRNGSeed(1)  # so that the same pictures always give the same answer
        found, agreeing = cv2.estimateAffine2D(here, there, ransacReprojThreshold=2)
        if found is None or (best is not None and agreeing.sum() <= best[0]):
            continue
        best = int(agreeing.sum()), found @ before
    if best is None or best[0] < _LEAST_MATCHES:
        return None
    return _polished(frame, seen, best[1].astype(np.float32))


def _polished(frame: Plane, seen: Plane, affine: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map improved to small parts of a pixel (Evangelidis and Psarakis 2008)."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-5)
    try:
        _, better = cv2.findTransformECC(
            frame, seen, affine.copy(), cv2.MOTION_AFFINE, criteria, None, 3
        )
    except cv2.error:  # it did not converge: the matched corners have to do
        return affine
    return np.asarray(better, np.float32)
