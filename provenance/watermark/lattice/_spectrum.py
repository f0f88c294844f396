"""The spectrum of a residual, evened out, in which the lattice is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._layout import HIGHEST, PERIOD, Complex, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["ASPECTS", "PAYLOAD_WEIGHT", "SCALES", "Spectrum", "places"]

SCALES = (0.69, 1.5)
ASPECTS = 0.125  # greatest half logarithm of the ratio of the two scales
_REACH = SCALES[1] * float(np.exp(ASPECTS))
_PEAK = 6.0
# A payload frequency has about half the power of a synchronisation frequency, but they are many.
PAYLOAD_WEIGHT = 0.35


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """The part of a spectrum that the lattice may be in, under any geometry that is tried.

    Rows are y frequencies from -reach to reach, columns x frequencies from 0.

    Attributes:
        power: Squared sizes over those of their neighbourhood, clipped so that no single line of
            a picture counts for much.
        steps: Columns and rows per cycle and pixel.
    """

    power: Plane
    steps: tuple[int, int]
    _band: Complex
    _usual: Plane
    _plane: tuple[int, ...]

    @classmethod
    def of(cls, plane: Plane, padded: int, *, reach: float = _REACH) -> Spectrum:
        """Return the spectrum of a residual (H, W), padded to at least ``padded`` a side.

        Args:
            plane: The residual.
            padded: The least size of the transform.
            reach: The greatest scale that is to be looked for.
        """
        high, wide = (max(padded, cv2.getOptimalDFTSize(side)) for side in plane.shape)
        columns, rows = (int(HIGHEST * reach * size) + 3 for size in (wide, high))
        # Only the columns of the band go through the second transform.
        across = np.ascontiguousarray(np.fft.rfft(plane, wide, axis=1)[:, :columns].T)
        whole = np.fft.fft(across, high, axis=1)
        band = np.concatenate([whole[:, -rows:], whole[:, : rows + 1]], axis=1).T
        band = np.ascontiguousarray(band)
        power = cv2.multiply(band.real, band.real) + cv2.multiply(band.imag, band.imag)
        side = padded // 40 | 1
        usual = cv2.blur(power, (side, side), borderType=cv2.BORDER_REFLECT_101)
        usual += np.float32(1e-9) + np.float32(1e-4) * usual.mean()
        return cls(
            power=np.minimum(power / usual, np.float32(_PEAK)),
            steps=(wide, high),
            _band=band,
            _usual=usual,
            _plane=plane.shape,
        )

    @cached_property
    def values(self) -> Complex:
        """Whitened coefficients, phases as seen from the plane's centre."""
        rows, columns = self.power.shape
        x = np.arange(columns) / self.steps[0]
        y = (np.arange(rows) - rows // 2) / self.steps[1]
        height, width = self._plane
        turn_x = np.exp(1j * np.pi * (width - 1) * x).astype(np.complex64)
        turn_y = np.exp(1j * np.pi * (height - 1) * y).astype(np.complex64)
        return np.asarray(self._band / np.sqrt(self._usual) * turn_x * turn_y[:, None])

    def at(self, frequencies: NDArray[np.floating]) -> Complex:
        """Return coefficients between the points, for (N, K, 2) cycles a pixel as (x, y)."""
        across, down, mirrored = places(frequencies, self.power.shape, self.steps)
        pairs = self.values.view(np.float32).reshape(*self.values.shape, 2)
        found = cv2.remap(pairs, across, down, cv2.INTER_LINEAR)
        values = np.ascontiguousarray(found).view(np.complex64)[..., 0]
        return np.asarray(np.where(mirrored, values.conj(), values), np.complex64)

    def stands_out(self, affines: NDArray[np.floating], layout: Layout) -> NDArray[np.float64]:
        """Return by how much the whole lattice stands out under each geometry (N, 2, 2).

        In standard deviations of chance. Frequencies beyond what is stored count as chance.
        """
        total = np.zeros(len(affines))
        spread = np.zeros(len(affines))
        rows, columns = self.power.shape
        points = self.power.ravel()
        for vectors, weight in ((layout.sync, 1.0), (layout.payload, PAYLOAD_WEIGHT)):
            # Under v = A u the lattice frequency k shows at A^T k.
            frequencies = (vectors / PERIOD).astype(np.float32) @ affines.astype(np.float32)
            across, down, _ = places(frequencies, self.power.shape, self.steps)
            column, row = (across + 0.5).astype(np.int32), (down + 0.5).astype(np.int32)
            inside = (column < columns) & (down > 0) & (row < rows)
            seen = points.take(np.where(inside, row * columns + column, 0))
            total += weight * ((seen - 1) * inside).sum(axis=1)
            spread += weight**2 * inside.sum(axis=1)
        return np.asarray(total / np.sqrt(spread + 1e-9))


def places(
    frequencies: NDArray[np.floating], shape: tuple[int, int], steps: tuple[int, int]
) -> tuple[Plane, Plane, NDArray[np.bool_]]:
    """Return where frequencies are stored: column, row, and whether as their mirror image.

    Args:
        frequencies: Cycles a pixel, (..., 2) as (x, y).
        shape: Rows and columns that are stored.
        steps: Columns and rows per cycle and pixel.
    """
    mirrored = frequencies[..., 0] < 0
    half = np.where(mirrored, np.float32(-1), np.float32(1))
    across = half * frequencies[..., 0] * steps[0]
    down = half * frequencies[..., 1] * steps[1] + shape[0] // 2
    return across.astype(np.float32), down.astype(np.float32), mirrored
