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
from chopmark.provenance.watermark.lattice._frame import LEVELS, canonical, fold, residual
from chopmark.provenance.watermark.lattice._layout import PERIOD, Layout
from chopmark.provenance.watermark.lattice._statistic import log_p_value, payload_vector, score
from chopmark.provenance.watermark.lattice._sync import Lock, aligned_lock, refined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["Reading", "oriented", "read"]

LOG_P_DETECT = math.log(1e-9)


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
    planes = {level: residual(canonical(luma, level)) for level in LEVELS}
    locks = sorted(_aligned(planes, layout), key=lambda lock: -lock.strength)[:2]
    best: Reading | None = None
    for lock in locks:
        reading = _test(lock, planes, layout, candidates)
        if best is None or reading.log_p < best.log_p:
            best = reading
        if reading.log_p <= LOG_P_DETECT:
            return reading
    assert best is not None  # noqa: S101 - there are always aligned locks
    return best


def _aligned(planes: dict[int, Plane], layout: Layout) -> list[Lock]:
    locks = []
    for level, plane in planes.items():
        for orientation in range(8):
            coefficients = fold(oriented(plane, orientation), layout.sync)
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
    return locks


def _test(
    lock: Lock, planes: dict[int, Plane], layout: Layout, candidates: Sequence[Bits] | None
) -> Reading:
    plane = oriented(planes[lock.level], lock.orientation)
    lock = refined(lock, plane, layout)
    unmoved = np.array_equal(lock.affine, np.eye(2))
    coefficients = fold(plane, layout.payload, None if unmoved else lock.affine)
    angular = 2 * np.pi / PERIOD * layout.payload
    coefficients = (coefficients * np.exp(-1j * (angular @ lock.shift))).astype(np.complex64)
    vector = payload_vector(coefficients, layout.payload)
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
