"""Reading: from a luma plane to the payload and its p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._code import (
    CODE_BITS,
    PAYLOAD_BITS,
    Bits,
    decode,
    encode,
)
from chopmark.provenance.watermark.lattice._frame import LEVELS, Tiles, canonical, fold, residual
from chopmark.provenance.watermark.lattice._layout import PERIOD, Layout
from chopmark.provenance.watermark.lattice._search import Guess, guesses
from chopmark.provenance.watermark.lattice._statistic import (
    ALIGNED_TESTS,
    SEARCH_TESTS,
    log_p_value,
    payload_vector,
    score,
)
from chopmark.provenance.watermark.lattice._sync import Lock, aligned_lock, refined, shifted_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["Reading", "oriented", "read"]

LOG_P_DETECT = math.log(1e-9)
_SMALL = 512
# A lock this strong ends the search for others; the best by chance was 6.3 on unmarked pictures.
_PLAIN_LOCK = 8.5
_GUESSES = 12
_FIRST = 3
_REFINED = 6


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The outcome of the strongest payload test.

    Attributes:
        bits: The payload read, 64 bits.
        z: The statistic.
        log_p: Natural logarithm of the p-value.
        lock: The hypothesis under which it was read.
    """

    bits: Bits
    z: float
    log_p: float
    lock: Lock


def oriented(plane: Plane, orientation: int) -> Plane:
    """Return ``plane`` in one of its 8 orientations: bit 0 mirrors, bits 1 and 2 turn by 90."""
    turned = np.rot90(plane, orientation >> 1)
    return np.ascontiguousarray(turned[:, ::-1] if orientation & 1 else turned)


def read(luma: Plane, layout: Layout, *, candidates: Sequence[Bits] | None = None) -> Reading:
    """Return the strongest reading of a picture.

    Args:
        luma: Shape (H, W), range 0..255.
        layout: The key's layout.
        candidates: The only payloads that count; None means all 2^64.
    """
    frames = _Frames(luma)
    best: Reading | None = None
    for find in (_aligned, _searched):
        for lock in find(frames, layout):
            reading = _test(lock, frames, layout, candidates)
            if best is None or reading.log_p < best.log_p:
                best = reading
            if reading.log_p <= LOG_P_DETECT:
                return reading
    assert best is not None  # noqa: S101 - there are always aligned locks
    return best


class _Frames:
    """The residuals of one picture, made when they are first asked for."""

    def __init__(self, luma: Plane) -> None:
        self._luma = luma
        self._planes: dict[int, Plane] = {}

    def __getitem__(self, level: int) -> Plane:
        if level not in self._planes:
            self._planes[level] = residual(canonical(self._luma, level))
        return self._planes[level]

    def search_levels(self) -> tuple[int, ...]:
        """Level 2 shows only lattices that a small picture was given."""
        height, width = self._luma.shape
        return LEVELS if width * height < _SMALL**2 else LEVELS[:2]


def _aligned(frames: _Frames, layout: Layout) -> list[Lock]:
    """The best hypotheses without a search: turned by quarters, flipped, scaled as a whole."""
    locks = []
    for level in LEVELS:
        for orientation in range(8):
            coefficients = fold(oriented(frames[level], orientation), layout.sync)
            entry, strength = aligned_lock(coefficients, layout)
            locks.append(
                Lock(
                    level=level,
                    orientation=orientation,
                    affine=np.eye(2),
                    shift=np.zeros(2),
                    entry=entry,
                    strength=strength,
                )
            )
    locks.sort(key=lambda lock: -lock.strength)
    return [
        refined(lock, oriented(frames[lock.level], lock.orientation), layout)
        for lock in locks[:ALIGNED_TESTS]
    ]


def _searched(frames: _Frames, layout: Layout) -> list[Lock]:
    """The best hypotheses of the search over geometry."""
    locks: list[Lock] = []
    later: list[Guess] = []
    for level in frames.search_levels():
        found = guesses(frames[level], level, layout, most=_GUESSES)
        locks += _locked(found[:_FIRST], frames, layout)
        if locks and max(lock.strength for lock in locks) > _PLAIN_LOCK:
            break
        later += found[_FIRST:]
    else:
        locks += _locked(sorted(later, key=lambda guess: -guess.strength), frames, layout)
    locks.sort(key=lambda lock: -lock.strength)
    better = [refined(lock, frames[lock.level], layout) for lock in locks[:_REFINED]]
    return sorted(better, key=lambda lock: -lock.strength)[:SEARCH_TESTS]


def _locked(found: list[Guess], frames: _Frames, layout: Layout) -> list[Lock]:
    """The coherent view of guesses, in order, until one locks plainly."""
    locks: list[Lock] = []
    for guess in found:
        coefficients = fold(frames[guess.level], layout.sync, guess.affine)
        # A spectrum does not tell a picture from the same turned by 180 degrees.
        for half_turn, seen in ((1, coefficients), (-1, coefficients.conj())):
            entry, shift, strength = shifted_lock(seen, layout)
            lock = Lock(
                level=guess.level,
                orientation=0,
                affine=half_turn * guess.affine,
                shift=shift,
                entry=entry,
                strength=strength,
            )
            locks.append(lock)
            if strength > _PLAIN_LOCK:
                return locks
    return locks


def _test(
    lock: Lock, frames: _Frames, layout: Layout, candidates: Sequence[Bits] | None
) -> Reading:
    plane = oriented(frames[lock.level], lock.orientation)
    coefficients = Tiles.of(plane, lock.affine).at(layout.payload).sum(axis=0)
    angular = 2 * np.pi / PERIOD * layout.payload
    vector = payload_vector(coefficients * np.exp(-1j * (angular @ lock.shift)))
    signs = layout.signs[lock.entry]
    if candidates is None:
        soft = np.bincount(layout.code_bit, vector * signs, minlength=CODE_BITS)
        choices: Sequence[Bits] = [decode(soft.astype(np.float32))]
        words = 2.0**PAYLOAD_BITS
    else:
        choices, words = candidates, float(len(candidates))
    scores = [score(vector, layout.payload_values(lock.entry, encode(bits))) for bits in choices]
    best = int(np.argmax(scores))
    return Reading(
        bits=np.asarray(choices[best]),
        z=scores[best],
        log_p=log_p_value(scores[best], words=words),
        lock=lock,
    )
