"""Synchronisation: which codebook entry, which shift, and the last bit of geometry.

Nothing here looks at the payload signs; the detection bound depends on that (see ``_statistic``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._layout import PERIOD, Complex, Ints, Layout
from chopmark.provenance.watermark.lattice._statistic import limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chopmark.provenance.watermark.lattice._frame import Affine, Part, Tiles
    from chopmark.provenance.watermark.lattice._spectrum import Spectrum

__all__ = ["Lock", "Phases", "aligned", "locked", "refined", "shifted"]

_GRID = 96  # shifts per period in the first search, so that none is off by a whole pixel
_SHORT_LIST = 128
_WILD = 0.02
_ROUNDS = 2
# Lattice pixels: what moves no corner by more is not worth another resampling and more spectra. At
# the highest frequency it costs a corner 1 % of what it shows.
_IN_PLACE = 0.1
_WORTH_MORE = 6.0  # chance gets there now and then; more rounds are for what may be real


@dataclass(frozen=True, kw_only=True, eq=False)
class Lock:
    """One hypothesis about a picture: where its lattice is and which codebook entry it has.

    Attributes:
        level: The level of the frame.
        affine: From the centred frame, or part of it, to the lattice, without the shift.
        shift: Shift in lattice pixels, (x, y).
        entry: The codebook entry.
        strength: Size of the synchronisation in standard deviations of chance.
        negative: Whether light and dark are exchanged.
        part: Left, top, width and height of the part of the frame that was looked at; None: all.
    """

    level: int
    affine: Affine
    shift: NDArray[np.float64]
    entry: int
    strength: float
    negative: bool = False
    part: Part | None = None


@dataclass(frozen=True, kw_only=True)
class Phases:
    """What the phases say under one geometry.

    Attributes:
        entry: The best codebook entry.
        negative: Whether it shows with all phases turned round, as in a negative.
        strength: In standard deviations of chance.
        shift: In lattice pixels, (x, y).
    """

    entry: int
    negative: bool
    strength: float
    shift: NDArray[np.float64]


def aligned(coefficients: Complex, layout: Layout) -> Phases:
    """Return the best codebook entry if there is no shift.

    Args:
        coefficients: Synchronisation coefficients, summed over tiles, shape (96,).
        layout: The key's layout.
    """
    values = limited(coefficients)
    sums = np.zeros(layout.codebook.shape[1], np.complex64)
    np.add.at(sums, layout.sync_group, values * layout.sync_phase.conj())
    scores = (layout.codebook.conj() @ sums).real
    entry = int(np.abs(scores).argmax())
    strength = float(scores[entry] / _deviation(values))
    return Phases(entry=entry, negative=strength < 0, strength=abs(strength), shift=np.zeros(2))


def shifted(coefficients: Complex, layout: Layout) -> Phases:
    """Return the best codebook entry and shift over all shifts.

    Within a group, phases are the same in every codebook entry. So the size of each group's sum
    tells promising shifts without knowing the entry, and only those are tried with all entries.
    """
    values = limited(coefficients)
    order, down, across = _shift_waves(layout)
    seen = (values * layout.sync_phase.conj())[order]
    sums = np.matmul(down * seen[:, None, :], across).reshape(len(order), -1)
    energy = (sums.real**2 + sums.imag**2).sum(axis=0)
    places = np.argpartition(energy, -_SHORT_LIST)[-_SHORT_LIST:]
    scores = (layout.codebook.conj() @ sums[:, places]).real
    entry, place = divmod(int(np.abs(scores).argmax()), _SHORT_LIST)
    row, column = divmod(int(places[place]), _GRID)
    strength = float(scores[entry, place] / _deviation(values))
    return Phases(
        entry=entry,
        negative=strength < 0,
        strength=abs(strength),
        shift=np.array([column, row], np.float64) * PERIOD / _GRID,
    )


def locked(
    spectrum: Spectrum, affines: NDArray[np.float64], layout: Layout, *, turned: bool = True
) -> list[Lock]:
    """Return what the phases say under each of these geometries, at level 0, one lock for each.

    The coefficients are read off one spectrum, so that no picture is resampled for it. A power
    spectrum does not tell a picture from the same turned by 180 degrees: both are tried, if it
    may have been ``turned``.
    """
    coefficients = spectrum.at((layout.sync / PERIOD) @ affines)
    locks: list[Lock] = []
    for affine, row in zip(affines, coefficients, strict=True):
        ways = [(1, shifted(row, layout))]
        if turned:
            ways.append((-1, shifted(row.conj(), layout)))
        half_turn, seen = max(ways, key=lambda way: way[1].strength)
        locks.append(
            Lock(
                level=0,
                affine=half_turn * affine,
                shift=seen.shift,
                entry=seen.entry,
                strength=seen.strength,
                negative=seen.negative,
            )
        )
    return locks


@lru_cache(maxsize=8)
def _shift_waves(layout: Layout) -> tuple[Ints, Complex, Complex]:
    """For each of 16 groups its six frequencies, and what each shift does to them along an axis.

    Returns:
        Indices (16, 6); factors of shifts down (16, 96, 6) and across (16, 6, 96).
    """
    groups = layout.codebook.shape[1]
    order = np.argsort(layout.sync_group, kind="stable").reshape(groups, -1)
    turns = -2j * np.pi / _GRID * np.arange(_GRID)
    x, y = layout.sync[order, 0], layout.sync[order, 1]
    across = np.exp(x[:, :, None] * turns).astype(np.complex64)
    down = np.exp(y[:, :, None] * turns).swapaxes(1, 2).astype(np.complex64)
    return order, np.ascontiguousarray(down), across


def refined(lock: Lock, tiles_of: Callable[[Affine], Tiles], layout: Layout) -> Lock:
    """Return ``lock`` with geometry and shift improved by Newton steps on the synchronisation.

    Each tile shows the shift at its own place; the affine map that lines all tiles up is found
    from their spectra without resampling the picture more than once a round.

    Args:
        lock: The hypothesis to improve.
        tiles_of: Cuts the residual of its level into tiles after an affine map.
        layout: The key's layout.
    """
    conjugate = layout.sync_reference(lock.entry).conj() * (-1 if lock.negative else 1)
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
        reach = np.abs(tiles.centres).max(axis=0) + PERIOD / 2
        in_place = (np.abs(strain) @ reach).max() < _IN_PLACE
        shift = parameters[:, 0]
        if not in_place:
            affine = (np.eye(2) + strain) @ affine
            tiles = tiles_of(affine)
        values = limited(tiles.at(layout.sync).sum(axis=0))
        turned = values * conjugate * np.exp(-1j * (angular @ shift))
        strength = float(turned.real.sum() / _deviation(values))
        if strength <= best.strength:
            break
        best = replace(lock, affine=affine, shift=shift, strength=strength)
        if strength < _WORTH_MORE or in_place:
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
