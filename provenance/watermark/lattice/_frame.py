"""The canonical frame: where the mark is struck and looked for, whatever size the picture has.

A picture is scaled so that the square root of its area is 512 pixels (level 0). Pictures too small
for that are marked in a frame of 256 or 128 (levels 1 and 2); the same levels let the detector
look at a crop, whose lattice appears enlarged, with the same code. Coordinates are (x, y) and
centred on the picture, so that turning and flipping it leave the lattice's origin where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from chopmark.provenance.watermark.lattice._layout import PERIOD, Ints

if TYPE_CHECKING:
    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["LEVELS", "Affine", "canonical", "fold", "level_for", "residual", "tile_spectra"]

LEVELS = (0, 1, 2)
_SIDE = 512

Affine: TypeAlias = NDArray[np.float64]
"""A 2 x 2 matrix that takes centred frame coordinates to lattice coordinates."""


def level_for(width: int, height: int) -> int:
    """Return the level at which a picture of this size is marked."""
    side = float(np.sqrt(width * height))
    return int(np.clip(np.ceil(np.log2(_SIDE / side) - 0.5), LEVELS[0], LEVELS[-1]))


def canonical(luma: Plane, level: int) -> Plane:
    """Return the luma scaled to the canonical frame of ``level``."""
    height, width = luma.shape
    factor = _SIDE / 2**level / np.sqrt(width * height)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    if size == (width, height):
        return luma
    shrinking = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma, size, interpolation=shrinking), np.float32)


def residual(frame: Plane) -> Plane:
    """Return what remains of a frame when its content is taken out as far as it can be.

    A high-pass (what is under the band of the mark is only content), divided by its local standard
    deviation, so that quiet regions, where the mark stands out, count as much as busy ones; then
    clipped, so that no single edge counts for much.
    """
    detail = frame - cv2.GaussianBlur(frame, (0, 0), 4)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 8)) + 0.7
    return np.asarray(np.clip(detail / spread, -2.5, 2.5), np.float32)


def tile_spectra(
    plane: Plane, vectors: Ints, affine: Affine | None = None
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Return the lattice spectrum of each 128 x 128 tile and the tiles' centres.

    Args:
        plane: A residual, shape (H, W).
        vectors: Lattice vectors, shape (K, 2).
        affine: From the frame to the lattice; None means they coincide.

    Returns:
        Spectra of shape (tiles, K), with phases as seen from the common centre, and centres of
        shape (tiles, 2), in lattice coordinates.
    """
    if affine is not None:
        plane = _resampled(plane, affine)
    height, width = plane.shape
    down, across = -(-height // PERIOD), -(-width // PERIOD)
    padded = np.zeros((down * PERIOD, across * PERIOD), np.float32)
    padded[:height, :width] = plane
    blocks = padded.reshape(down, PERIOD, across, PERIOD).transpose(0, 2, 1, 3)
    spectra = np.fft.fft2(blocks.reshape(-1, PERIOD, PERIOD)).astype(np.complex64)
    middle = np.array([width - 1, height - 1]) / 2
    turn = np.exp(2j * np.pi / PERIOD * (vectors @ middle)).astype(np.complex64)
    picked = spectra[:, vectors[:, 1] % PERIOD, vectors[:, 0] % PERIOD] * turn
    rows, columns = np.divmod(np.arange(down * across), across)
    centres = np.stack([columns, rows], axis=1) * float(PERIOD) + (PERIOD - 1) / 2 - middle
    return picked / np.float32(np.sqrt(height * width)), centres


def fold(plane: Plane, vectors: Ints, affine: Affine | None = None) -> NDArray[np.complex64]:
    """Return the lattice spectrum of a whole residual, shape (K,)."""
    if affine is not None:
        plane = _resampled(plane, affine)
    height, width = plane.shape
    down, across = -(-height // PERIOD), -(-width // PERIOD)
    padded = np.zeros((down * PERIOD, across * PERIOD), np.float32)
    padded[:height, :width] = plane
    tile = padded.reshape(down, PERIOD, across, PERIOD).sum(axis=(0, 2))
    spectrum = np.fft.fft2(tile) / np.sqrt(height * width)
    turn = np.exp(2j * np.pi / PERIOD * (vectors @ (np.array([width - 1, height - 1]) / 2)))
    picked = spectrum[vectors[:, 1] % PERIOD, vectors[:, 0] % PERIOD] * turn
    return np.asarray(picked, np.complex64)


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
