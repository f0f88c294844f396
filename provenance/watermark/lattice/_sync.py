"""Synchronisation: which codebook entry, which shift, and the last bit of geometry.

Nothing here looks at the payload signs; the detection bound depends on that (see ``_statistic``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._layout import PERIOD, Complex, Layout
from chopmark.provenance.watermark.lattice._statistic import limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chopmark.provenance.watermark.lattice._frame import Affine, Tiles

__all__ = ["Lock", "aligned_lock", "refined", "shifted_lock"]

_GRID = 96  # shifts per period in the first search, so that none is off by a whole pixel
_SHORT_LIST = 128
_WILD = 0.02
_ROUNDS = 2
_WORTH_MORE = 6.0  # chance gets there now and then; more rounds are for what may be real


@dataclass(frozen=True, kw_only=True, eq=False)
class Lock:
    """One hypothesis about a picture: where its lattice is and which codebook entry it has.

    Attributes:
        level: The level of the frame.
        affine: From the centred frame to the lattice, without the shift.
        shift: Shift in lattice pixels, (x, y).
        entry: The codebook entry.
        strength: Size of the synchronisation in standard deviations of chance.
    """

    level: int
    affine: Affine
    shift: NDArray[np.float64]
    entry: int
    strength: float


def aligned_lock(coefficients: Complex, layout: Layout) -> tuple[int, float]:
    """Return the best codebook entry and its strength if there is no shift.

    Args:
        coefficients: Synchronisation coefficients, summed over tiles, shape (96,).
        layout: The key's layout.
    """
    values = limited(coefficients)
    sums = np.zeros(layout.codebook.shape[1], np.complex64)
    np.add.at(sums, layout.sync_group, values * layout.sync_phase.conj())
    scores = (layout.codebook.conj() @ sums).real
    entry = int(scores.argmax())
    return entry, float(scores[entry] / _deviation(values))


def shifted_lock(coefficients: Complex, layout: Layout) -> tuple[int, NDArray[np.float64], float]:
    """Return the best codebook entry, shift (lattice pixels) and strength over all shifts.

    Within a group, phases are the same in every codebook entry. So the size of each group's sum
    tells promising shifts without knowing the entry, and only those are tried with all entries.
    """
    values = limited(coefficients)
    groups = layout.codebook.shape[1]
    planes = np.zeros((groups, _GRID, _GRID), np.complex64)
    x, y = layout.sync[:, 0] % _GRID, layout.sync[:, 1] % _GRID
    # All conjugated, so that the inverse transform gives the sums over exp(-2 pi i k shift).
    planes[layout.sync_group, y, x] = values.conj() * layout.sync_phase
    sums = np.fft.ifft2(planes).reshape(groups, -1) * _GRID**2
    energy = (sums.real**2 + sums.imag**2).sum(axis=0)
    places = np.argpartition(energy, -_SHORT_LIST)[-_SHORT_LIST:]
    scores = (layout.codebook @ sums[:, places]).real
    entry, place = divmod(int(scores.argmax()), _SHORT_LIST)
    row, column = divmod(int(places[place]), _GRID)
    shift = np.array([column, row], np.float64) * PERIOD / _GRID
    return entry, shift, float(scores[entry, place] / _deviation(values))


def refined(lock: Lock, tiles_of: Callable[[Affine], Tiles], layout: Layout) -> Lock:
    """Return ``lock`` with geometry and shift improved by Newton steps on the synchronisation.

    Each tile shows the shift at its own place; the affine map that lines all tiles up is found
    from their spectra without resampling the picture more than once a round.

    Args:
        lock: The hypothesis to improve.
        tiles_of: Cuts the residual of its level into tiles after an affine map.
        layout: The key's layout.
    """
    conjugate = layout.sync_reference(lock.entry).conj()
    angular = 2 * np.pi / PERIOD * layout.sync
    tiles = tiles_of(lock.affine)
    best = replace(lock, strength=0.0)
    affine, shift = lock.affine, lock.shift
    for _ in range(_ROUNDS):
        evidence = tiles.at(layout.sync) * conjugate
        # Where tile centres are (1, X, Y): x shift = p00 + p01 X + p02 Y, y shift likewise.
        place = np.concatenate([np.ones((len(tiles.centres), 1)), tiles.centres / PERIOD], axis=1)
        parameters = np.zeros((2, 3))
        parameters[:, 0] = shift
        parameters = _newton(evidence, angular, place, parameters)
        strain = parameters[:, 1:] / PERIOD
        if np.abs(strain).max() > _WILD:  # there was nothing to line up
            strain, parameters[:, 0] = np.zeros((2, 2)), shift
        affine, shift = (np.eye(2) + strain) @ affine, parameters[:, 0]
        tiles = tiles_of(affine)
        values = limited(tiles.at(layout.sync).sum(axis=0))
        turned = values * conjugate * np.exp(-1j * (angular @ shift))
        strength = float(turned.real.sum() / _deviation(values))
        if strength <= best.strength:
            break
        best = replace(lock, affine=affine, shift=shift, strength=strength)
        if strength < _WORTH_MORE:
            break
    return best


def _newton(
    evidence: Complex,
    angular: NDArray[np.floating],
    place: NDArray[np.float64],
    parameters: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Maximise sum Re(evidence * exp(-i phase)) over the six parameters of the phase."""
    value, kept = -np.inf, parameters
    # Outer products of frequencies, (K, 4), and of places, (tiles, 9): made once.
    both_angular = (angular[:, :, None] * angular[:, None, :]).reshape(len(angular), 4)
    both_place = (place[:, :, None] * place[:, None, :]).reshape(len(place), 9)
    for _ in range(8):
        phase = place @ parameters.T @ angular.T  # (tiles, K)
        turned = evidence * np.exp(-1j * phase)
        now = float(turned.real.sum())
        if now <= value:
            break
        value, kept = now, parameters
        slope = (angular.T @ turned.imag.T @ place).ravel()
        # [ac, bd] of x and y (a, c) and of places (b, d), to rows ab and columns cd.
        pairs = (both_angular.T @ turned.real.T @ both_place).reshape(2, 2, 3, 3)
        curve = pairs.transpose(0, 2, 1, 3).reshape(6, 6)
        # Only the concave part is trusted, with a floor, so that a step never runs away.
        weights, axes = np.linalg.eigh((curve + curve.T) / 2)
        floor = max(float(weights.max()) * 0.05, 1e-9)
        step = axes @ ((axes.T @ slope) / np.maximum(weights, floor))
        parameters = parameters + step.reshape(2, 3)
    return kept


def _deviation(values: Complex) -> float:
    return float(np.sqrt((np.abs(values) ** 2).sum() / 2)) + 1e-9
