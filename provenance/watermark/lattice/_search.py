"""The search: how a picture was turned, flipped, stretched and cropped, from its spectrum alone.

A crop or a shift does not change where in the spectrum the lattice shows, only its phases. So the
96 synchronisation frequencies, known from the key, are looked for as bright points of the power
spectrum, first under every similarity (turn, flip, scale), then under every change of aspect:

* In log-polar coordinates a turn and a scale are shifts, and one correlation by FFT tests all of
  them (Reddy and Chatterji 1996, where two pictures are compared; here a picture and a key).
* Changes of aspect are tested one by one, on a grid.

What stands out goes to the coherent test of ``_sync``, which alone decides. Payload signs are not
looked at (see ``_statistic`` for why that matters).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._layout import HIGHEST, LOWEST, PERIOD, Ints, Layout
from chopmark.provenance.watermark.lattice._spectrum import (
    ASPECTS,
    PAYLOAD_WEIGHT,
    SCALES,
    Spectrum,
    places,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._frame import Affine
    from chopmark.provenance.watermark.lattice._layout import Complex

__all__ = ["Guess", "guesses", "upright"]

# At level 0, one step moves the outermost frequency by one point of a spectrum padded to 1024; a
# frame of half the side shows half as much, and is searched in steps of twice the size.
_STEP = 0.0044
_TURNS = 720  # of half a circle; a spectrum repeats after that
_FLIP = np.diag([-1.0, 1.0])
_SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
_MIRRORS = (np.eye(2), _FLIP)


@dataclass(frozen=True, kw_only=True, eq=False)
class Guess:
    """A geometry under which the spectrum shows the lattice.

    Attributes:
        affine: From the frame to the lattice, up to a half turn.
        strength: How far the lattice stands out, in standard deviations of chance.
    """

    affine: Affine
    strength: float


def guesses(spectrum: Spectrum, level: int, layout: Layout, *, most: int) -> list[Guess]:
    """Return the ``most`` best geometries for the spectrum of one level, best first."""
    found = [
        *_similarities(spectrum, level, layout, most),
        *_stretches(spectrum, level, layout, most),
    ]
    distinct: list[Guess] = []
    apart = 2.5 * _STEP * 2**level
    for guess in sorted(found, key=lambda guess: -guess.strength):
        if len(distinct) < most and not any(_alike(guess, other, apart) for other in distinct):
            distinct.append(guess)
    return distinct


def upright(
    spectrum: Spectrum, layout: Layout, scales: tuple[float, ...], *, most: int
) -> list[Guess]:
    """Return the ``most`` best of these scales for a picture that was not turned, best first.

    It may have been mirrored from left to right.
    """
    found: list[Guess] = []
    for mirrored, mirror in enumerate(_MIRRORS):
        places, weights, size = _upright_places(
            layout, scales, mirrored, spectrum.power.shape, spectrum.steps
        )
        strengths = ((spectrum.power.ravel().take(places) - 1) @ weights) / size
        inner = np.pad(strengths, 1, constant_values=-np.inf)
        summits = np.flatnonzero((strengths >= inner[:-2]) & (strengths >= inner[2:]))
        found += [
            Guess(affine=scales[one] * mirror, strength=float(strengths[one]))
            for one in summits[np.argsort(-strengths[summits])[:most]]
        ]
    return sorted(found, key=lambda guess: -guess.strength)[:most]


@lru_cache(maxsize=8)
def _upright_places(
    layout: Layout,
    scales: tuple[float, ...],
    mirrored: int,
    shape: tuple[int, int],
    steps: tuple[int, int],
) -> tuple[Ints, NDArray[np.float32], float]:
    """Where in a spectrum of this shape the lattice is at each scale, and what a place counts."""
    vectors = np.concatenate([layout.sync, layout.payload]) @ _MIRRORS[mirrored] / PERIOD
    frequencies = np.multiply.outer(np.asarray(scales), vectors)
    across, down, _ = places(frequencies, shape, steps)
    column, row = (across + 0.5).astype(np.intp), (down + 0.5).astype(np.intp)
    assert column.max() < shape[1] and row.max() < shape[0]  # noqa: S101, PT018
    sizes = [len(layout.sync), len(layout.payload)]
    weights = np.repeat(np.array([1, PAYLOAD_WEIGHT], np.float32), sizes)
    return row * shape[1] + column, weights, float(np.linalg.norm(weights))


def _alike(one: Guess, other: Guess, least: float) -> bool:
    """Whether two geometries are so near that refinement makes them one; half turns count not."""
    apart = min(np.abs(one.affine - sign * other.affine).max() for sign in (1, -1))
    return bool(apart < least)


def _similarities(spectrum: Spectrum, level: int, layout: Layout, most: int) -> Iterator[Guess]:
    grid = _Polar(turns=_TURNS >> level, step=_STEP * 2**level)
    shown = grid.of(spectrum)
    transformed = np.fft.rfft2(shown)
    for mirrored, mirror in enumerate(_MIRRORS):
        template, total, size = _template(layout, mirrored, grid)
        match = np.fft.irfft2(transformed * template, s=shown.shape)
        strengths = np.asarray((match[:, : grid.scales] - total) / size, np.float32)
        for turn, scale, strength in _peaks(strengths, most):
            angle = np.pi * turn / grid.turns
            factor = SCALES[0] * np.exp(grid.step * scale)
            cosine, sine = np.cos(angle), np.sin(angle)
            affine = mirror @ (factor * np.array([[cosine, sine], [-sine, cosine]]))
            yield Guess(affine=affine, strength=strength)


@dataclass(frozen=True)
class _Polar:
    """A grid over angle and logarithm of the frequency."""

    turns: int
    step: float

    @property
    def scales(self) -> int:
        return round(float(np.log(SCALES[1] / SCALES[0])) / self.step)

    @property
    def shape(self) -> tuple[int, int]:
        return self.turns, cv2.getOptimalDFTSize(int(self.radius(HIGHEST)) + self.scales + 1)

    def radius(self, frequency: NDArray[np.float64] | float) -> Ints:
        return np.rint(np.log(frequency / LOWEST) / self.step).astype(np.intp)

    def of(self, spectrum: Spectrum) -> Plane:
        angle = np.pi * np.arange(self.turns)[:, None] / self.turns
        radius = LOWEST * SCALES[0] * np.exp(self.step * np.arange(self.shape[1]))
        frequencies = np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=-1)
        across, down, _ = places(frequencies, spectrum.power.shape, spectrum.steps)
        return np.asarray(cv2.remap(spectrum.power, across, down, cv2.INTER_LINEAR), np.float32)

    def steps(self, vectors: NDArray[np.float64]) -> tuple[Ints, Ints]:
        turn = np.arctan2(vectors[:, 1], vectors[:, 0]) * self.turns / np.pi
        distance = np.hypot(vectors[:, 0], vectors[:, 1]) / PERIOD
        return np.rint(turn).astype(np.intp) % self.turns, self.radius(distance)


@lru_cache(maxsize=12)
def _template(layout: Layout, mirrored: int, grid: _Polar) -> tuple[Complex, float, float]:
    """What the lattice looks like there: its transform (conjugate), its sum and its norm."""
    template = np.zeros(grid.shape, np.float32)
    mirror = _MIRRORS[mirrored]
    for vectors, weight in ((layout.sync, 1.0), (layout.payload, PAYLOAD_WEIGHT)):
        np.add.at(template, grid.steps(vectors @ mirror), weight)
    conjugate = np.asarray(np.fft.rfft2(template).conj(), np.complex64)
    return conjugate, float(template.sum()), float(np.linalg.norm(template))


def _stretches(spectrum: Spectrum, level: int, layout: Layout, most: int) -> Iterator[Guess]:
    step = _STEP * 2**level
    steps = round(np.log(SCALES[1] / SCALES[0]) / step)
    aspects = round(ASPECTS / step)
    # A scale and an aspect make two stretches, of steps + aspect and steps - aspect; so a table of
    # places for each stretch of each axis serves all pairs.
    stretches = SCALES[0] * np.exp(step * np.arange(-aspects, steps + aspects))
    rows, columns = spectrum.power.shape
    points = spectrum.power.ravel()
    found: list[NDArray[np.float64]] = []
    for orientation in (np.eye(2), _FLIP, _SWAP, _SWAP @ _FLIP):
        # Under v = O D u the lattice frequency k shows at D O^T k; D is a stretch along the axes.
        x, y = (layout.sync @ orientation / PERIOD).T
        half = np.where(x < 0, -1, 1)
        across = np.rint(np.outer(stretches, half * x * spectrum.steps[0])).astype(np.int32)
        down = np.rint(np.outer(stretches, half * y * spectrum.steps[1])).astype(np.int32)
        across, down = np.minimum(across, columns - 1), (down + rows // 2) * columns
        match = np.empty((steps, 2 * aspects + 1), np.float32)
        for aspect in range(-aspects, aspects + 1):
            wide = across[aspects + aspect : aspects + aspect + steps]
            high = down[aspects - aspect : aspects - aspect + steps]
            match[:, aspects + aspect] = points.take(wide + high, mode="clip").sum(axis=1)
        for scale, place, _ in _peaks(match, most):
            aspect = place - aspects
            pair = stretches[aspects + scale + aspect], stretches[aspects + scale - aspect]
            found.append(orientation @ np.diag(pair))
    affines = np.stack(found)
    for affine, strength in zip(affines, spectrum.stands_out(affines, layout), strict=True):
        yield Guess(affine=affine, strength=float(strength))


def _peaks(strengths: Plane, most: int) -> Iterator[tuple[int, int, float]]:
    strengths = np.ascontiguousarray(strengths, np.float32)
    summits = strengths >= cv2.dilate(strengths, np.ones((5, 5), np.uint8))
    places = np.argwhere(summits)
    heights = strengths[summits]
    for index in np.argsort(-heights)[:most]:
        first, second = places[index]
        yield int(first), int(second), float(heights[index])
