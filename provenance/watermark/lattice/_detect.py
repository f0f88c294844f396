"""Reading: from a luma plane to the payload and its p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._code import (
    CODE_BITS,
    PAYLOAD_BITS,
    Bits,
    correlations,
    decode,
    encode,
)
from chopmark.provenance.watermark.lattice._frame import LEVELS, Affine, Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import PERIOD, Layout, layout_of
from chopmark.provenance.watermark.lattice._original import bare_residual
from chopmark.provenance.watermark.lattice._search import Guess, guesses
from chopmark.provenance.watermark.lattice._soft_binding import agreement
from chopmark.provenance.watermark.lattice._statistic import (
    ALIGNED_TESTS,
    SEARCH_TESTS,
    likely_entries,
    log_p_value,
    payload_vector,
    score,
)
from chopmark.provenance.watermark.lattice._sync import Lock, aligned_lock, refined, shifted_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["PayloadReading", "read"]

LOG_P_DETECT = math.log(1e-9)
_SMALL = 512
_UNMOVED = 0.01
# A lock this strong ends the search for others; the best by chance was 6.3 on unmarked pictures.
_PLAIN_LOCK = 8.5
_GUESSES = 20
_FIRST = 3
_LIKELY = 4


@dataclass(frozen=True, kw_only=True)
class PayloadReading:
    """The outcome of the strongest payload test.

    Attributes:
        bits: The payload read, 64 bits.
        z: The statistic.
        log_p: Natural logarithm of the p-value.
        lock: The hypothesis under which it was read.
        content: How many of 8 content bits agree with the picture; None where the picture was
            cropped, turned or stretched, so that its content cannot be compared.
    """

    bits: Bits
    z: float
    log_p: float
    lock: Lock
    content: int | None


def _orientations() -> list[Affine]:
    """The 8 ways to turn by quarters and to flip."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turns = [np.linalg.matrix_power(turn, count) for count in range(4)]
    return turns + [each @ np.diag([-1.0, 1.0]) for each in turns]


def read(
    luma: Plane,
    secret: bytes,
    *,
    candidates: Bits | None = None,
    original: Plane | None = None,
) -> PayloadReading:
    """Return the strongest reading of a picture.

    Args:
        luma: Shape (H, W), range 0..255.
        secret: The key, 32 bytes.
        candidates: The only payloads that count, shape (N, 64), N > 0; None means all 2^64.
        original: The luma of the unmarked picture, where it is at hand.
    """
    layout = layout_of(secret)
    frames = _Frames(luma)
    best = None if original is None else _informed(luma, original, layout, candidates)
    if best is not None and best.log_p <= LOG_P_DETECT:
        return best
    for find in (_aligned, _searched):
        for lock in find(frames, layout):
            reading = _test(lock, frames, layout, candidates)
            if best is None or reading.log_p < best.log_p:
                best = reading
            if reading.log_p <= LOG_P_DETECT:
                return frames.compared(reading, secret)
    assert best is not None  # noqa: S101 - there are always aligned locks
    return best


class _Frames:
    """The residuals of one picture, made when they are first asked for."""

    def __init__(self, luma: Plane) -> None:
        self._luma = luma
        self._planes: dict[int, Plane] = {}
        self._tiles: dict[tuple[int, bytes], Tiles] = {}

    def __getitem__(self, level: int) -> Plane:
        if level not in self._planes:
            self._planes[level] = residual(canonical(self._luma, level))
        return self._planes[level]

    def tiles(self, level: int, affine: Affine) -> Tiles:
        """Return the tiles of a level after an affine map, made once."""
        name = level, affine.tobytes()
        if name not in self._tiles:
            self._tiles[name] = Tiles.of(self[level], affine)
        return self._tiles[name]

    def put(self, level: int, plane: Plane) -> None:
        """Use this residual at ``level`` in place of the picture's own."""
        self._planes[level] = plane

    def compared(self, reading: PayloadReading, secret: bytes) -> PayloadReading:
        """Return the reading with its content bits compared, where they can be."""
        lock = reading.lock
        quarter = np.rint(lock.affine)
        if np.abs(lock.affine - quarter).max() > _UNMOVED or np.abs(lock.shift).max() > 2:
            return reading
        frame = _turned(canonical(self._luma, lock.level), quarter)
        return replace(reading, content=agreement(frame, reading.bits, lock.entry, secret))

    def search_levels(self) -> tuple[int, ...]:
        """Level 2 shows only lattices that a small picture was given."""
        height, width = self._luma.shape
        return LEVELS if width * height < _SMALL**2 else LEVELS[:2]


def _turned(frame: Plane, orientation: Affine) -> Plane:
    """A frame turned by quarters and flipped, as ``orientation`` says."""
    if orientation[0, 0] == 0:
        frame, orientation = frame.T, orientation[:, ::-1]
    across, down = (int(step) for step in np.diag(orientation))
    return np.ascontiguousarray(frame[::down, ::across])


def _informed(
    luma: Plane, original: Plane, layout: Layout, candidates: Bits | None
) -> PayloadReading | None:
    """The reading of what a picture has beyond its original; None if the two do not match."""
    bare = bare_residual(luma, original)
    if bare is None:
        return None
    level, plane = bare
    frames = _Frames(luma)
    frames.put(level, plane)
    entry, strength = aligned_lock(Tiles.of(plane).at(layout.sync).sum(axis=0), layout)
    lock = Lock(level=level, affine=np.eye(2), shift=np.zeros(2), entry=entry, strength=strength)
    return _test(_refined(lock, frames, layout), frames, layout, candidates)


def _aligned(frames: _Frames, layout: Layout) -> Iterator[Lock]:
    """The best hypotheses without a search: turned by quarters, flipped, scaled as a whole."""
    locks: list[Lock] = []
    for level in LEVELS:
        tiles = frames.tiles(level, np.eye(2))
        for orientation in _orientations():
            # The lattice frequency k shows at O^T k.
            vectors = np.asarray(layout.sync @ orientation, np.intp)
            entry, strength = aligned_lock(tiles.at(vectors).sum(axis=0), layout)
            locks.append(
                Lock(
                    level=level,
                    affine=orientation,
                    shift=np.zeros(2),
                    entry=entry,
                    strength=strength,
                )
            )
        if max(lock.strength for lock in locks) > _PLAIN_LOCK:
            break
    locks.sort(key=lambda lock: -lock.strength)
    for lock in locks[:ALIGNED_TESTS]:
        yield _refined(lock, frames, layout)
    # What an attacker gains by averaging many marks, stamped strongly on a picture, looks like a
    # wrong entry more than the mark looks like its own. The payload itself is not misled by that.
    for entry in likely_entries(_vector(locks[0], frames, layout), layout, most=_LIKELY):
        yield replace(locks[0], entry=entry)


def _searched(frames: _Frames, layout: Layout) -> Iterator[Lock]:
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
    for lock in locks[:SEARCH_TESTS]:
        yield _refined(lock, frames, layout)


def _locked(found: list[Guess], frames: _Frames, layout: Layout) -> list[Lock]:
    """The coherent view of guesses, in order, until one locks plainly."""
    locks: list[Lock] = []
    for guess in found:
        coefficients = frames.tiles(guess.level, guess.affine).at(layout.sync).sum(axis=0)
        # A spectrum does not tell a picture from the same turned by 180 degrees.
        for half_turn, seen in ((1, coefficients), (-1, coefficients.conj())):
            entry, shift, strength = shifted_lock(seen, layout)
            lock = Lock(
                level=guess.level,
                affine=half_turn * guess.affine,
                shift=shift,
                entry=entry,
                strength=strength,
            )
            locks.append(lock)
            if strength > _PLAIN_LOCK:
                return locks
    return locks


def _refined(lock: Lock, frames: _Frames, layout: Layout) -> Lock:
    return refined(lock, lambda affine: frames.tiles(lock.level, affine), layout)


def _vector(lock: Lock, frames: _Frames, layout: Layout) -> NDArray[np.float32]:
    """The payload coefficients under one hypothesis; its codebook entry plays no part."""
    coefficients = frames.tiles(lock.level, lock.affine).at(layout.payload).sum(axis=0)
    angular = 2 * np.pi / PERIOD * layout.payload
    return payload_vector(coefficients * np.exp(-1j * (angular @ lock.shift)))


def _test(lock: Lock, frames: _Frames, layout: Layout, candidates: Bits | None) -> PayloadReading:
    vector = _vector(lock, frames, layout)
    signs = layout.signs[lock.entry]
    soft = np.bincount(layout.code_bit, vector * signs, minlength=CODE_BITS).astype(np.float32)
    if candidates is None:
        bits, words = decode(soft), 2.0**PAYLOAD_BITS
    else:
        bits, words = candidates[int(correlations(soft, candidates).argmax())], len(candidates)
    z = score(vector, layout.payload_values(lock.entry, encode(bits)))
    return PayloadReading(
        bits=bits, z=z, log_p=log_p_value(z, words=words), lock=lock, content=None
    )
