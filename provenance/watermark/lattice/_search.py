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
from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._layout import HIGHEST, LOWEST, PERIOD, Ints, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._frame import Affine

__all__ = ["Guess", "guesses"]

# One step moves the outermost frequency by one point of a spectrum padded to 1024.
_STEP = 0.0044
_TURNS = 720  # of half a circle; a spectrum repeats after that
_SCALES = (0.69, 1.5)
_ASPECTS = 0.125  # greatest half logarithm of the ratio of the two scales
_PADDED = 1024
_PEAK = 6.0
# A payload frequency has about half the power of a synchronisation frequency, but they are many.
PAYLOAD_WEIGHT = 0.35
_FLIP = np.diag([-1.0, 1.0])
_SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Guess:
    """A geometry under which the spectrum shows the lattice.

    Attributes:
        level: The level of the frame.
        affine: From the frame to the lattice, up to a half turn.
        strength: How far the lattice stands out, in standard deviations of chance.
    """

    level: int
    affine: Affine
    strength: float


def guesses(plane: Plane, level: int, layout: Layout, *, most: int) -> list[Guess]:
    """Return the ``most`` best geometries for the residual of one level, best first."""
    power = _whitened_power(plane, _PADDED >> level)
    found = [*_similarities(power, level, layout, most), *_stretches(power, level, layout, most)]
    distinct: list[Guess] = []
    for guess in sorted(found, key=lambda guess: -guess.strength):
        if len(distinct) < most and not any(_alike(guess, other) for other in distinct):
            distinct.append(guess)
    return distinct


def _alike(one: Guess, other: Guess) -> bool:
    """Whether two geometries are so near that refinement makes them one; half turns count not."""
    apart = min(np.abs(one.affine - sign * other.affine).max() for sign in (1, -1))
    return bool(apart < 2.5 * _STEP)


def _whitened_power(plane: Plane, padded: int) -> Plane:
    """The power spectrum over its local mean; rows: y frequency from -1/2, columns: x from 0."""
    size = [max(padded, cv2.getOptimalDFTSize(side)) for side in plane.shape]
    size[1] += size[1] % 2
    size[0] += size[0] % 2
    spectrum = np.fft.fftshift(np.fft.rfft2(plane, size), axes=0)
    power = np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
    width = padded // 40 | 1
    usual = cv2.blur(power, (width, width), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.minimum(power / (usual + 1e-9), _PEAK), np.float32)


def _similarities(power: Plane, level: int, layout: Layout, most: int) -> Iterator[Guess]:
    steps = round(np.log(_SCALES[1] / _SCALES[0]) / _STEP)
    radii = _radius_steps(HIGHEST) + steps + 1
    shown = _log_polar(power, radii)
    transformed = np.fft.rfft2(shown)
    for mirror in (np.eye(2), _FLIP):
        template = np.zeros((_TURNS, radii), np.float32)
        for vectors, weight in ((layout.sync, 1.0), (layout.payload, PAYLOAD_WEIGHT)):
            np.add.at(template, _polar_steps(vectors @ mirror), weight)
        match = np.fft.irfft2(transformed * np.fft.rfft2(template).conj(), s=shown.shape)
        strengths = (match[:, :steps] - template.sum()) / np.linalg.norm(template)
        for turn, scale, strength in _peaks(strengths, most):
            angle = np.pi * turn / _TURNS
            size = _SCALES[0] * np.exp(_STEP * scale)
            cosine, sine = np.cos(angle), np.sin(angle)
            affine = mirror @ (size * np.array([[cosine, sine], [-sine, cosine]]))
            yield Guess(level=level, affine=affine, strength=strength)


def _log_polar(power: Plane, radii: int) -> Plane:
    rows, columns = power.shape
    angle = np.pi * np.arange(_TURNS)[:, None] / _TURNS
    radius = LOWEST * _SCALES[0] * np.exp(_STEP * np.arange(radii))
    x, y = np.cos(angle) * radius, np.sin(angle) * radius
    half = np.where(x < 0, -1, 1)
    across = (half * x * (2 * columns - 2)).astype(np.float32)
    down = (half * y * rows + rows // 2).astype(np.float32)
    return np.asarray(cv2.remap(power, across, down, cv2.INTER_LINEAR), np.float32)


def _polar_steps(vectors: NDArray[np.float64]) -> tuple[Ints, Ints]:
    turn = np.arctan2(vectors[:, 1], vectors[:, 0]) * _TURNS / np.pi
    radius = np.hypot(vectors[:, 0], vectors[:, 1]) / PERIOD
    return np.rint(turn).astype(np.intp) % _TURNS, _radius_steps(radius)


def _radius_steps(radius: NDArray[np.float64] | float) -> Ints:
    return np.rint(np.log(radius / LOWEST) / _STEP).astype(np.intp)


def _stretches(power: Plane, level: int, layout: Layout, most: int) -> Iterator[Guess]:
    rows, columns = power.shape
    steps = round(np.log(_SCALES[1] / _SCALES[0]) / _STEP)
    aspects = round(_ASPECTS / _STEP)
    # A scale and an aspect make two stretches, of steps + aspect and steps - aspect; so a table of
    # places for each stretch of each axis serves all pairs.
    stretches = _SCALES[0] * np.exp(_STEP * np.arange(-aspects, steps + aspects))
    points = power.ravel()
    for orientation in (np.eye(2), _FLIP, _SWAP, _SWAP @ _FLIP):
        # Under v = O D u the lattice frequency k shows at D O^T k; D is a stretch along the axes.
        x, y = (layout.sync @ orientation / PERIOD).T
        half = np.where(x < 0, -1, 1)
        across = np.rint(np.outer(stretches, half * x * (2 * columns - 2))).astype(np.intp)
        down = np.rint(np.outer(stretches, half * y * rows)).astype(np.intp) + rows // 2
        across, down = np.minimum(across, columns - 1), down % rows * columns
        match = np.empty((steps, 2 * aspects + 1), np.float32)
        for aspect in range(-aspects, aspects + 1):
            wide = across[aspects + aspect : aspects + aspect + steps]
            high = down[aspects - aspect : aspects - aspect + steps]
            match[:, aspects + aspect] = points[wide + high].sum(axis=1)
        for scale, place, _ in _peaks(match, 4 * most):
            aspect = place - aspects
            affine = orientation @ np.diag(
                [stretches[aspects + scale + aspect], stretches[aspects + scale - aspect]]
            )
            yield Guess(level=level, affine=affine, strength=_strength(power, affine, layout))


def _strength(power: Plane, affine: Affine, layout: Layout) -> float:
    """How far the whole lattice stands out under one geometry."""
    rows, columns = power.shape
    total = expected = spread = 0.0
    for vectors, weight in ((layout.sync, 1.0), (layout.payload, PAYLOAD_WEIGHT)):
        x, y = (vectors @ affine / PERIOD).T
        half = np.where(x < 0, -1, 1)
        across = np.rint(half * x * (2 * columns - 2)).astype(np.intp)
        down = np.rint(half * y * rows).astype(np.intp) + rows // 2
        inside = (across < columns) & (down >= 0) & (down < rows)
        total += weight * float(power[down[inside], across[inside]].sum())
        expected += weight * len(vectors)
        spread += weight**2 * len(vectors)
    return (total - expected) / float(np.sqrt(spread))


def _peaks(strengths: Plane, most: int) -> Iterator[tuple[int, int, float]]:
    strengths = np.ascontiguousarray(strengths, np.float32)
    summits = strengths >= cv2.dilate(strengths, np.ones((5, 5), np.uint8))
    places = np.argwhere(summits)
    heights = strengths[summits]
    for index in np.argsort(-heights)[:most]:
        first, second = places[index]
        yield int(first), int(second), float(heights[index])
