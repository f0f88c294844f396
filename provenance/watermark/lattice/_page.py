"""A marked picture that is a part of another one: of a page, a screen, a collage.

What surrounds it is as loud as the mark's own ground, so a spectrum of the whole hides it. So the
page is looked at through windows. Who shows a picture in a page scales it, mirrors it perhaps, and
does not turn it: each window is tried for these only. Where the lattice locks, the part is grown
over all tiles that show the synchronisation. Payload signs are not looked at (see ``_statistic``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._frame import PAGE
from chopmark.provenance.watermark.lattice._layout import PERIOD
from chopmark.provenance.watermark.lattice._search import Guess, upright
from chopmark.provenance.watermark.lattice._spectrum import Spectrum
from chopmark.provenance.watermark.lattice._sync import Lock, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._frame import Part
    from chopmark.provenance.watermark.lattice._frames import Frames
    from chopmark.provenance.watermark.lattice._layout import Layout

__all__ = ["grown", "in_a_page"]

_SIDE, _STRIDE, _PADDED = 384, 214, 512
# The part of the page that a picture has, from a half to a sixteenth of its area.
_REACH = 2.05
_SCALES = tuple(np.exp(np.arange(np.log(0.69), np.log(_REACH), 0.0085)))
_EACH = 2
_TRIED = 8
_EMPTY = 0.05


def in_a_page(frames: Frames, layout: Layout) -> list[Lock]:
    """Return hypotheses for windows of the page, at level ``PAGE``."""
    plane = frames.evened(PAGE)
    found: list[tuple[Guess, Part, Spectrum]] = []
    for part in _windows(plane):
        left, top, width, height = part
        window = plane[top : top + height, left : left + width]
        if float(np.mean(window * window)) < _EMPTY:
            continue
        spectrum = Spectrum.of(window, _PADDED, reach=_REACH)
        guesses = upright(spectrum, layout, _SCALES, most=_EACH)
        found += [(guess, part, spectrum) for guess in guesses]
    found.sort(key=lambda each: -each[0].strength)
    locks: list[Lock] = []
    for guess, part, spectrum in found[:_TRIED]:
        (lock,) = locked(spectrum, guess.affine[None], layout, turned=False)
        locks.append(replace(lock, level=PAGE, part=part))
    return locks


def _windows(plane: Plane) -> Iterator[Part]:
    """Windows that overlap by half and reach to all edges."""
    height, width = plane.shape
    wide, high = min(_SIDE, width), min(_SIDE, height)
    for top in _starts(height, high):
        for left in _starts(width, wide):
            yield left, top, wide, high


def _starts(whole: int, part: int) -> list[int]:
    steps = max(1, -(-(whole - part) // _STRIDE) + 1) if whole > part else 1
    return [round(start) for start in np.linspace(0, whole - part, steps)]


def grown(lock: Lock, frames: Frames, layout: Layout) -> Lock:
    """Return the hypothesis for the rectangle that shows its synchronisation best."""
    plane = frames[lock.level]
    height, width = plane.shape
    assert lock.part is not None  # noqa: S101  of `in_a_page`
    whole = replace(lock, part=(0, 0, width, height))
    shift = _moved(lock, whole.part)
    tiles = frames.tiles(whole)
    turn = np.exp(-2j * np.pi / PERIOD * (layout.sync @ shift))
    conjugate = layout.sync_reference(lock.entry).conj() * turn * (-1 if lock.negative else 1)
    evidence = (tiles.at(layout.sync) * conjugate).real.sum(axis=1)
    columns = len(np.unique(np.rint(tiles.centres[:, 0])))
    first, last = _best_rectangle(evidence.reshape(-1, columns))
    # From corners in the lattice to pixels of the frame.
    grid = tiles.centres.reshape(-1, columns, 2)
    low = grid[first] - PERIOD / 2
    high = grid[last] + PERIOD / 2
    back = np.linalg.inv(lock.affine)
    middle = np.array([width, height]) / 2
    corners = np.stack([back @ low + middle, back @ high + middle])
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, None).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)), [width, height]).astype(int)
    part = int(left), int(top), int(right - left), int(bottom - top)
    return replace(whole, part=part, shift=_moved(lock, part))


def _moved(lock: Lock, part: Part | None) -> NDArray[np.float64]:
    """The shift of a lock as seen from the middle of another part."""
    assert part is not None and lock.part is not None  # noqa: S101, PT018
    apart = _middle(part) - _middle(lock.part)
    return np.asarray((lock.shift + lock.affine @ apart) % PERIOD)


def _middle(part: Part) -> NDArray[np.float64]:
    left, top, width, height = part
    return np.array([left + (width - 1) / 2, top + (height - 1) / 2])


def _best_rectangle(evidence: NDArray[np.floating]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last (row, column) of the rectangle with the greatest sum over root of its size."""
    rows, columns = evidence.shape
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = evidence.cumsum(axis=0).cumsum(axis=1)
    best, found = -np.inf, ((0, 0), (rows - 1, columns - 1))
    for top in range(rows):
        for bottom in range(top, rows):
            strip = sums[bottom + 1] - sums[top]
            for left in range(columns):
                width = np.arange(1, columns - left + 1)
                values = (strip[left + 1 :] - strip[left]) / np.sqrt(width * (bottom - top + 1))
                right = int(values.argmax())
                if values[right] > best:
                    best = float(values[right])
                    found = (top, left), (bottom, left + right)
    return found
