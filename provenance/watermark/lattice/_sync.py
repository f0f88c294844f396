"""Synchronisation: which codebook entry, which shift, and the last bit of geometry.

Nothing here looks at the payload signs; the detection bound depends on that (see ``_statistic``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._frame import Affine, Tiles
from chopmark.provenance.watermark.lattice._layout import PERIOD, Complex, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["Lock", "aligned_lock", "refined", "shifted_lock"]

_GRID = 64  # shifts per period in the first search: every second pixel


@dataclass(frozen=True, kw_only=True, eq=False)
class Lock:
    """One hypothesis about a picture: where its lattice is and which codebook entry it has.

    Attributes:
        level: The level of the frame.
        orientation: Which of the 8 turns and flips was applied to the frame first.
        affine: From that frame to the lattice, without the shift.
        shift: Shift in lattice pixels, (x, y).
        entry: The codebook entry.
        strength: Size of the synchronisation in standard deviations.
    """

    level: int
    orientation: int
    affine: Affine
    shift: NDArray[np.float64]
    entry: int
    strength: float


def aligned_lock(coefficients: Complex, layout: Layout) -> tuple[int, float]:
    """Return the best codebook entry and its strength if there is no shift.

    Args:
        coefficients: Synchronisation coefficients of a fold, shape (96,).
        layout: The key's layout.
    """
    values = _limited(coefficients)
    sums = np.zeros(layout.codebook.shape[1], np.complex64)
    np.add.at(sums, layout.sync_group, values * layout.sync_phase.conj())
    scores = (layout.codebook.conj() @ sums).real
    entry = int(scores.argmax())
    return entry, float(scores[entry] / _deviation(values))


def shifted_lock(coefficients: Complex, layout: Layout) -> tuple[int, NDArray[np.float64], float]:
    """Return the best codebook entry, shift (lattice pixels) and strength over all shifts."""
    values = _limited(coefficients)
    groups = layout.codebook.shape[1]
    planes = np.zeros((groups, _GRID, _GRID), np.complex64)
    x, y = layout.sync[:, 0] % _GRID, layout.sync[:, 1] % _GRID
    # Conjugated, so that the inverse transform evaluates exp(-2 pi i k shift / PERIOD) for it.
    planes[layout.sync_group, y, x] = (values * layout.sync_phase.conj()).conj()
    surfaces = np.fft.ifft2(planes).astype(np.complex64).reshape(groups, -1) * _GRID**2
    scores = (layout.codebook @ surfaces).real
    best = int(scores.argmax())
    entry, place = divmod(best, _GRID**2)
    row, column = divmod(place, _GRID)
    shift = np.array([column, row], np.float64) * PERIOD / _GRID
    return entry, shift, float(scores.flat[best] / _deviation(values))


def refined(lock: Lock, plane: Plane, layout: Layout, *, rounds: int = 2) -> Lock:
    """Return ``lock`` with geometry and shift improved by Newton steps on the synchronisation.

    Each tile shows the shift at its own place; the affine map that lines all tiles up is found
    from their spectra without resampling the picture more than once a round.

    Args:
        lock: The hypothesis to improve.
        plane: The residual of its level, already turned into its orientation.
        layout: The key's layout.
        rounds: How often to resample.
    """
    conjugate = layout.sync_reference(lock.entry).conj()
    angular = 2 * np.pi / PERIOD * layout.sync
    best = lock
    for _ in range(rounds):
        tiles = Tiles.of(plane, best.affine)
        centres = tiles.centres
        evidence = tiles.at(layout.sync) * conjugate
        # Parameters: x shift = p0 + p1 X + p2 Y, y shift = p3 + p4 X + p5 Y at tile centre (X, Y).
        place = np.concatenate([np.ones((len(centres), 1)), centres / PERIOD], axis=1)
        parameters = np.zeros((2, 3))
        parameters[:, 0] = best.shift
        parameters = _newton(evidence, angular, place, parameters)
        strain = parameters[:, 1:] / PERIOD
        affine = (np.eye(2) + strain) @ best.affine
        # Limits on what a refinement may do: a wild step means there was nothing to lock on.
        if np.abs(strain).max() > 0.02:
            break
        coefficients = Tiles.of(plane, affine).at(layout.sync).sum(axis=0)
        shift = parameters[:, 0]
        values = _limited(coefficients) * conjugate * np.exp(-1j * (angular @ shift))
        strength = float(values.real.sum() / _deviation(values))
        if strength <= best.strength:
            break
        best = Lock(
            level=lock.level,
            orientation=lock.orientation,
            affine=affine,
            shift=shift,
            entry=lock.entry,
            strength=strength,
        )
    return best


def _newton(
    evidence: NDArray[np.complex128],
    angular: NDArray[np.float64],
    place: NDArray[np.float64],
    parameters: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Maximise sum Re(evidence * exp(-i phase)) over the six parameters of the phase."""
    value = -np.inf
    for _ in range(8):
        phase = place @ parameters.T @ angular.T  # (tiles, K)
        turned = evidence * np.exp(-1j * phase)
        now = turned.real.sum()
        if now <= value:
            break
        value, kept = now, parameters
        slope = np.einsum("tk,ka,tb->ab", turned.imag, angular, place).ravel()
        curve = np.einsum(
            "tk,ka,kc,tb,td->abcd", turned.real, angular, angular, place, place, optimize=True
        ).reshape(6, 6)
        # Only the concave part is trusted, with a floor, so that a step never runs away.
        weights, axes = np.linalg.eigh((curve + curve.T) / 2)
        floor = max(float(weights.max()) * 0.05, 1e-9)
        step = axes @ ((axes.T @ slope) / np.maximum(weights, floor))
        parameters = parameters + step.reshape(2, 3)
    return kept


def _limited(coefficients: Complex) -> Complex:
    size = np.abs(coefficients)
    return np.asarray(coefficients / (size + np.median(size) + 1e-9), np.complex64)


def _deviation(values: Complex) -> float:
    return float(np.sqrt((np.abs(values) ** 2).sum() / 2)) + 1e-9
