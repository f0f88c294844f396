"""The canonical frame: where the mark is struck and looked for, whatever size the picture has.

A picture is scaled so that the square root of its area is 512 pixels (level 0). Pictures of less
than half that are marked in a frame of 256 or 128 (levels 1 and 2); the same levels let the
detector look at a crop, whose lattice appears enlarged, with the same code. Coordinates are (x, y)
and centred on the picture, so that turning and flipping it leave the lattice's origin in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from chopmark.provenance.watermark.lattice._layout import HIGHEST, PERIOD, Complex, Ints

if TYPE_CHECKING:
    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["LEVELS", "PAGE", "Affine", "Part", "Tiles", "canonical", "level_for", "residual"]

LEVELS = (0, 1, 2)
PAGE = -1
"""The level, 1024 pixels, at which a page is looked at for a picture that is a part of it."""
_SIDE = 512
# With 0.5 instead, z is a tenth (photographs) to a fourth (pictures on white) less after JPEG 30
# and WebP 75.
_QUIET = 8.0
_STRONG = 2.0
# Lattice steps from zero to just outside the band.
_BAND = int(HIGHEST * PERIOD) + 4

Affine: TypeAlias = NDArray[np.float64]
"""A 2 x 2 matrix that takes centred frame coordinates to lattice coordinates."""
Part: TypeAlias = tuple[int, int, int, int]
"""Left, top, width and height in pixels of a frame."""


def level_for(width: int, height: int) -> int:
    """Return the level at which a picture of this size is marked."""
    side = float(np.sqrt(width * height))
    return int(np.clip(np.ceil(np.log2(_SIDE / side) - 1), LEVELS[0], LEVELS[-1]))


def canonical(luma: Plane, level: int) -> Plane:
    """Return the luma scaled to the canonical frame of ``level``."""
    height, width = luma.shape
    factor = _SIDE / 2.0**level / np.sqrt(width * height)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    if size == (width, height):
        return luma
    shrinking = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma, size, interpolation=shrinking), np.float32)


def residual(frame: Plane, *, floor: float = _QUIET) -> Plane:
    """Return what remains of a frame when its content is taken out as far as it can be.

    A high-pass (what is under the band of the mark is only content), divided by its local standard
    deviation, so that quiet regions, where the mark stands out, count more than busy ones; then
    clipped, so that no single edge counts for much.

    Args:
        frame: In grey levels.
        floor: Added to the deviation. What is quieter than this counts by what it shows: after a
            lossy file that is more often nothing than the mark.
    """
    detail = frame - cv2.GaussianBlur(frame, (0, 0), 4)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 3)) + np.float32(floor)
    scaled = detail / spread
    return np.asarray(np.clip(scaled, -_STRONG, _STRONG), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tiles:
    """The spectra of all 128 x 128 tiles of a residual, each whitened by itself.

    A coefficient is divided by the usual size of its neighbours in frequency within its own tile,
    because content differs from place to place, in strength and in direction; a tile that is only
    partly filled counts for as much as it has.

    Attributes:
        centres: Centres of the tiles, (tiles, 2) as (x, y), in lattice coordinates.
    """

    centres: NDArray[np.float64]
    _spectra: Complex
    _plane: Plane

    @classmethod
    def of(cls, plane: Plane, affine: Affine | None = None, *, by_size: bool = False) -> Tiles:
        """Cut a residual into tiles.

        Args:
            plane: The residual, shape (H, W).
            affine: Takes it to lattice coordinates first.
            by_size: A tile counts for as much as it shows, where that says how plain the mark is.
        """
        if affine is not None and not np.array_equal(affine, np.eye(2)):
            plane = _resampled(plane, affine)
        height, width = plane.shape
        down, across = -(-height // PERIOD), -(-width // PERIOD)
        padded = np.zeros((down * PERIOD, across * PERIOD), np.float32)
        padded[:height, :width] = plane
        blocks = padded.reshape(down, PERIOD, across, PERIOD).transpose(0, 2, 1, 3)
        tiles = blocks.reshape(-1, PERIOD, PERIOD)
        if by_size:
            counts = np.sqrt((tiles**2).mean(axis=(1, 2)))
            counts /= counts.mean() + np.float32(1e-9)
        else:
            counts = np.sqrt(np.count_nonzero(tiles, axis=(1, 2)) / PERIOD**2).astype(np.float32)
        spectra = _band_spectra(tiles)
        power = np.asarray(spectra.real**2 + spectra.imag**2, np.float32)
        usual = np.stack([cv2.blur(each, (5, 5)) for each in power])
        floor = 1e-3 * usual.mean() + np.float32(1e-9)
        spectra *= counts[:, None, None] / np.sqrt(usual + floor)
        rows, columns = np.divmod(np.arange(down * across), across)
        corners = np.stack([columns, rows], axis=1) * float(PERIOD)
        return cls(
            centres=corners + (PERIOD - 1) / 2 - np.array([width - 1, height - 1]) / 2,
            _spectra=spectra,
            _plane=plane,
        )

    def at(self, vectors: Ints) -> Complex:
        """Return the coefficients of each tile at ``vectors`` (K, 2), shape (tiles, K).

        Phases are as seen from the frame's centre.
        """
        # Only x >= 0 is stored; the rest is its mirror image, conjugated.
        mirrored = vectors[:, 0] < 0
        stored = np.where(mirrored[:, None], -vectors, vectors)
        height, width = self._plane.shape
        middle = np.array([width - 1, height - 1]) / 2
        turn = np.exp(2j * np.pi / PERIOD * (stored @ middle)).astype(np.complex64)
        picked = self._spectra[:, stored[:, 1] + _BAND, stored[:, 0]] * turn
        return np.asarray(np.where(mirrored, picked.conj(), picked), np.complex64)


def _band_spectra(tiles: NDArray[np.float32]) -> Complex:
    """Return the spectra of tiles (n, 128, 128) at y = -_BAND.._BAND and x = 0.._BAND.

    Only the band of the mark and a rim around it is needed: two real matrix products do it in a
    quarter of the time of a whole FFT. Rows y and -y share the sums over cosines and over sines.
    """
    cosines, sines = _band_waves()
    count, wide = len(tiles), len(cosines)
    across = tiles.reshape(-1, PERIOD) @ np.concatenate([cosines, sines]).T
    # To (128, n * 2 * wide), so that the second sum is one product as well.
    rows = across.reshape(count, PERIOD, 2 * wide).transpose(1, 0, 2).reshape(PERIOD, -1)
    even = (cosines @ rows).reshape(wide, count, 2, wide)
    odd = (sines @ rows).reshape(wide, count, 2, wide)
    # exp(-i(u + v)) = (cos u cos v - sin u sin v) - i (sin u cos v + cos u sin v)
    spectra = np.empty((count, 2 * wide - 1, wide), np.complex64)
    for sign, part in ((1, spectra[:, wide - 1 :]), (-1, spectra[:, wide - 1 :: -1])):
        part.real = (even[:, :, 0] - sign * odd[:, :, 1]).swapaxes(0, 1)
        part.imag = -(sign * odd[:, :, 0] + even[:, :, 1]).swapaxes(0, 1)
    return spectra


@cache
def _band_waves() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of 0.._BAND lattice steps over 128 pixels, each (_BAND + 1, 128)."""
    turns = 2 * np.pi / PERIOD * np.outer(np.arange(_BAND + 1), np.arange(PERIOD))
    return np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)


def _resampled(plane: Plane, affine: Affine) -> Plane:
    """The plane in lattice coordinates, in the smallest box that holds it, centre on centre."""
    height, width = plane.shape
    reach = np.abs(affine) @ np.array([width, height])
    size = int(np.ceil(reach[0])), int(np.ceil(reach[1]))
    back = np.linalg.inv(affine)
    middle = np.array([width - 1, height - 1]) / 2
    offset = middle - back @ (np.array(size) - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(plane, np.column_stack([back, offset]), size, flags=flags), np.float32
    )
