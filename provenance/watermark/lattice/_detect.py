"""Reading: from a luma plane to the payload and its p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from chopmark.provenance.watermark.lattice._code import (
    CODE_BITS,
    PAYLOAD_BITS,
    Bits,
    correlations,
    decode,
    encode,
)
from chopmark.provenance.watermark.lattice._frame import LEVELS, Affine, canonical
from chopmark.provenance.watermark.lattice._frames import Frames, HeardFrames
from chopmark.provenance.watermark.lattice._layout import PERIOD, Layout, layout_of
from chopmark.provenance.watermark.lattice._original import bare_residual
from chopmark.provenance.watermark.lattice._page import grown, in_a_page
from chopmark.provenance.watermark.lattice._place import place_of
from chopmark.provenance.watermark.lattice._search import Guess, guesses
from chopmark.provenance.watermark.lattice._soft_binding import agreement
from chopmark.provenance.watermark.lattice._spectrum import Spectrum
from chopmark.provenance.watermark.lattice._statistic import (
    ALIGNED_TESTS,
    HEARD_TESTS,
    PART_TESTS,
    SEARCH_TESTS,
    likely_entries,
    log_p_value,
    payload_vector,
    score,
)
from chopmark.provenance.watermark.lattice._sync import (
    Lock,
    aligned,
    locked,
    refined,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._place import Box

__all__ = ["PayloadReading", "read"]

LOG_P_DETECT = math.log(1e-9)
_UNMOVED = 0.01
# A lock this strong ends the search for others; the best by chance was 6.3 on unmarked pictures.
_PLAIN_LOCK = 8.5
_GUESSES = 12
_PADDED = 1024
_LIKELY = 4
# Under these nothing can be read: a payload at p = 1e-9 has a synchronisation of about 6, among
# known ids 4.5. With a search, whose best by chance is 5.5, it has 7, since else its power would
# not have stood out.
_ALIGNED_LOCK = 3.2
Alternatives: TypeAlias = "tuple[Lock, ...]"
"""Hypotheses that are all tested before the best of them counts."""
_SEARCHED_LOCK = 5.7
_REFINED_LOCK = 5.2


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
        box: Where the mark is, if it is in a part of the picture only.
    """

    bits: Bits
    z: float
    log_p: float
    lock: Lock
    content: int | None = None
    box: Box | None = None


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
    frames = Frames(luma)
    best = None if original is None else _informed(luma, original, layout, candidates)
    if best is not None and best.log_p <= LOG_P_DETECT:
        return best
    listened = HeardFrames(luma)
    for find, seen in (
        (_aligned, frames),
        (_heard, listened),
        (_searched, listened),
        (_in_parts, frames),
    ):
        for locks in find(seen, layout):
            tests = [_test(lock, seen, layout, candidates) for lock in locks]
            reading = min(tests, key=lambda each: each.log_p)
            if best is None or reading.log_p < best.log_p:
                best = reading
            if reading.log_p <= LOG_P_DETECT:
                return _compared(reading, seen, layout, secret)
    if best is None:  # nothing looked like a mark: what has no test has the p-value of none
        best = _untested(frames, layout)
    return best


def _orientations() -> list[Affine]:
    """The 8 ways to turn by quarters and to flip."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turns = [np.linalg.matrix_power(turn, count) for count in range(4)]
    return turns + [each @ np.diag([-1.0, 1.0]) for each in turns]


def _compared(
    reading: PayloadReading, frames: Frames, layout: Layout, secret: bytes
) -> PayloadReading:
    """The reading with its content bits compared, where they can be, and else with its place."""
    lock = reading.lock
    quarter = np.rint(lock.affine)
    # Half of a right angle with its corners grown has entries near 1 as well, but four of them.
    square = (np.abs(quarter).sum(axis=0) == 1).all() and (np.abs(quarter).sum(axis=1) == 1).all()
    moved = np.abs(lock.affine - quarter).max() > _UNMOVED or np.abs(lock.shift).max() > 2
    if moved or not square or lock.part is not None:
        values = layout.payload_values(lock.entry, encode(reading.bits))
        return replace(reading, box=place_of(lock, values, frames, layout))
    frame = canonical(frames.luma, lock.level)
    frame = _turned(255 - frame if lock.negative else frame, quarter)
    return replace(reading, content=agreement(frame, reading.bits, lock.entry, secret))


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
    frames = Frames(luma)
    frames.put(level, plane)
    lock = _lock_of(level, np.eye(2), frames, layout)
    return _test(_refined(lock, frames, layout), frames, layout, candidates)


def _lock_of(level: int, orientation: Affine, frames: Frames, layout: Layout) -> Lock:
    """The best hypothesis for a picture that was turned by quarters or flipped."""
    lock = Lock(level=level, affine=np.eye(2), shift=np.zeros(2), entry=0, strength=0.0)
    # The lattice frequency k shows at O^T k.
    vectors = np.asarray(layout.sync @ orientation, np.intp)
    seen = aligned(frames.tiles(lock).at(vectors).sum(axis=0), layout)
    return replace(
        lock,
        affine=orientation,
        entry=seen.entry,
        strength=seen.strength,
        negative=seen.negative,
    )


def _aligned_locks(frames: Frames, layout: Layout) -> list[Lock]:
    """The hypotheses that need no search, best first."""
    locks: list[Lock] = []
    for level in LEVELS:
        locks += [_lock_of(level, each, frames, layout) for each in _orientations()]
        if max(lock.strength for lock in locks) > _PLAIN_LOCK:
            break
    return sorted(locks, key=lambda lock: -lock.strength)


def _aligned(frames: Frames, layout: Layout) -> Iterator[Alternatives]:
    """The best without a search: turned by quarters, flipped, negative, scaled as a whole."""
    locks = _aligned_locks(frames, layout)
    for lock in locks[:ALIGNED_TESTS]:
        if lock.strength > _ALIGNED_LOCK:
            yield (_refined(lock, frames, layout),)
    # What an attacker gains by averaging many marks, stamped strongly on a picture, looks like a
    # wrong entry more than the mark looks like its own. The payload itself is not misled by that.
    # It may be a negative's: a quarter of the code is the same in a word and in that of its
    # complement, which therefore fits worse, and both are compared before either counts.
    vector = _vector(locks[0], frames, layout)
    for entry in likely_entries(vector, layout, most=_LIKELY):
        upright = replace(locks[0], entry=entry, negative=False)
        yield upright, replace(upright, negative=True)


def _heard(frames: Frames, layout: Layout) -> Iterator[Alternatives]:
    """The best without a search, in what the network hears."""
    for lock in _aligned_locks(frames, layout)[:HEARD_TESTS]:
        if lock.strength > _ALIGNED_LOCK:
            yield (_refined(lock, frames, layout),)


def _searched(frames: Frames, layout: Layout) -> Iterator[Alternatives]:
    """The best hypotheses of the search over geometry."""
    found: list[tuple[float, Lock]] = []
    for level in frames.search_levels():
        spectrum = Spectrum.of(frames.evened(level), _PADDED >> level)
        best = guesses(spectrum, level, layout, most=_GUESSES)
        affines = np.stack([guess.affine for guess in best])
        for guess, lock in zip(best, locked(spectrum, affines, layout), strict=True):
            found.append((_worth(guess, lock), replace(lock, level=level)))
        if max(lock.strength for _, lock in found) > _PLAIN_LOCK:
            break
    for lock in _worth_testing(found, SEARCH_TESTS, frames, layout):
        yield (lock,)


def _in_parts(frames: Frames, layout: Layout) -> Iterator[Alternatives]:
    """The best hypotheses for a picture that is a part of this one."""
    found = [(lock.strength, lock) for lock in in_a_page(frames, layout)]
    for lock in _worth_testing(found, PART_TESTS, frames, layout):
        yield (_refined(grown(lock, frames, layout), frames, layout),)


def _worth(guess: Guess, lock: Lock) -> float:
    """What a hypothesis promises: its phases, and a little for power beyond chance.

    A little, because the blocks of a JPEG stand out at some geometries as no mark does.
    """
    return lock.strength + 0.25 * float(np.clip(guess.strength - 5, 0, 3))


def _worth_testing(
    found: list[tuple[float, Lock]], most: int, frames: Frames, layout: Layout
) -> Iterator[Lock]:
    """The most promising of these, refined, as far as something may come of them."""
    for worth, lock in sorted(found, key=lambda each: -each[0])[:most]:
        if worth > _SEARCHED_LOCK:
            better = _refined(lock, frames, layout)
            if better.strength > _REFINED_LOCK:
                yield better


def _untested(frames: Frames, layout: Layout) -> PayloadReading:
    lock = _lock_of(LEVELS[0], np.eye(2), frames, layout)
    return PayloadReading(bits=np.zeros(PAYLOAD_BITS, np.uint8), z=0.0, log_p=0.0, lock=lock)


def _refined(lock: Lock, frames: Frames, layout: Layout) -> Lock:
    return refined(lock, lambda affine: frames.tiles(lock, affine), layout)


def _vector(lock: Lock, frames: Frames, layout: Layout) -> NDArray[np.float32]:
    """The payload coefficients under one hypothesis; its codebook entry plays no part."""
    coefficients = frames.tiles(lock).at(layout.payload).sum(axis=0)
    angular = 2 * np.pi / PERIOD * layout.payload
    turned = coefficients * np.exp(-1j * (angular @ lock.shift))
    return payload_vector(-turned if lock.negative else turned)


def _test(lock: Lock, frames: Frames, layout: Layout, candidates: Bits | None) -> PayloadReading:
    vector = _vector(lock, frames, layout)
    signs = layout.signs[lock.entry]
    soft = np.bincount(layout.code_bit, vector * signs, minlength=CODE_BITS).astype(np.float32)
    if candidates is None:
        bits, words = decode(soft), 2.0**PAYLOAD_BITS
    else:
        bits, words = candidates[int(correlations(soft, candidates).argmax())], len(candidates)
    z = score(vector, layout.payload_values(lock.entry, encode(bits)))
    return PayloadReading(bits=bits, z=z, log_p=log_p_value(z, words=words), lock=lock)
