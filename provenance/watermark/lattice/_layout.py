"""Where the mark sits in frequency, and every secret choice about it.

The mark is a pattern with a period of 128 pixels in the canonical frame, so its spectrum lives on a
lattice: frequency k / 128 for integer vectors k. Those between 0.035 and 0.22 cycles per pixel
are used, in one half-plane (the other is the mirror image): low enough for JPEG and for a threefold
reduction, high enough to stay clear of most of a picture's energy. The key chooses which of them
carry the synchronisation and which the payload, and all phases and signs.

All choices come from SHAKE-256 over the secret and a label. The synchronisation and the payload
signs have labels of their own and are therefore independent, on which the detection bound rests
(see ``_statistic``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from chopmark.provenance.watermark.lattice._code import CODE_BITS

__all__ = ["CODEBOOK", "HIGHEST", "LOWEST", "PERIOD", "Layout", "layout_of"]

PERIOD = 128
CODEBOOK = 256
LOWEST, HIGHEST = 0.035, 0.22  # cycles per canonical pixel
_GROUPS = 16
_SYNC = 6 * _GROUPS

Complex = NDArray[np.complex64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The lattice of one key.

    Attributes:
        sync: Lattice vectors of the synchronisation, shape (96, 2), as (x, y).
        payload: Lattice vectors of the payload, shape (P, 2).
        sync_phase: Their phases before the codebook, shape (96,), unit complex.
        sync_group: Which of 16 groups each belongs to, shape (96,).
        codebook: Phase of each group in each of the 256 entries, shape (256, 16), unit complex.
        code_bit: Which code bit each of the 2 P real dimensions carries, shape (2 P,).
        signs: The secret signs of the payload in each codebook entry, shape (256, 2 P), +1 or -1.
    """

    sync: Ints
    payload: Ints
    sync_phase: Complex
    sync_group: Ints
    codebook: Complex
    code_bit: Ints
    signs: NDArray[np.int8]

    @cached_property
    def by_code_bit(self) -> tuple[NDArray[np.float32], Ints]:
        """The dimensions that each code bit is repeated over.

        Returns:
            Signs, shape (256, 512, R), 0 where a bit has fewer than R dimensions, and the indices
            of the dimensions, shape (512, R), 2 P where there is none.
        """
        dimensions = len(self.code_bit)
        repeats = -(-dimensions // CODE_BITS)
        slots = np.full((CODE_BITS, repeats), dimensions, np.intp)
        order = np.argsort(self.code_bit, kind="stable")
        bits = self.code_bit[order]
        slots[bits, np.arange(dimensions) - np.searchsorted(bits, bits)] = order
        padded = np.concatenate([self.signs, np.zeros((len(self.signs), 1), np.int8)], axis=1)
        return padded[:, slots].astype(np.float32), slots

    def sync_reference(self, entry: int) -> Complex:
        """Return the 96 unit phasors of the synchronisation in a codebook entry."""
        return np.asarray(self.sync_phase * self.codebook[entry, self.sync_group])

    def payload_values(self, entry: int, code_word: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the +1 and -1 that the 2 P payload dimensions carry, shape (2 P,)."""
        return np.asarray(code_word[self.code_bit] * self.signs[entry])


@lru_cache(maxsize=8)
def layout_of(secret: bytes) -> Layout:
    """Return the layout that follows from a 32-byte secret (a few milliseconds, then cached)."""
    vectors = _half_plane()
    order = np.argsort(_words(secret, "frequencies", len(vectors)), kind="stable")
    sync, payload = vectors[order[:_SYNC]], vectors[order[_SYNC:]]
    dimensions = 2 * len(payload)
    slots = np.argsort(_words(secret, "interleaver", dimensions), kind="stable")
    bits = np.unpackbits(_bytes(secret, "payload signs", CODEBOOK * dimensions // 8))
    return Layout(
        sync=sync,
        payload=payload,
        sync_phase=_phasors(secret, "sync phases", _SYNC),
        sync_group=np.arange(_SYNC) % _GROUPS,
        codebook=_phasors(secret, "codebook", CODEBOOK * _GROUPS).reshape(CODEBOOK, _GROUPS),
        code_bit=slots % CODE_BITS,
        signs=(1 - 2 * bits.reshape(CODEBOOK, dimensions).astype(np.int8)),
    )


def _half_plane() -> Ints:
    side = np.arange(-PERIOD // 2, PERIOD // 2)
    x, y = (axis.ravel() for axis in np.meshgrid(side, side))
    radius = np.hypot(x, y) / PERIOD
    kept = (radius >= LOWEST) & (radius <= HIGHEST) & ((x > 0) | ((x == 0) & (y > 0)))
    return np.stack([x[kept], y[kept]], axis=1)


def _bytes(secret: bytes, label: str, count: int) -> NDArray[np.uint8]:
    stream = hashlib.shake_256(b"chopmark lattice 1\0" + label.encode() + b"\0" + secret)
    return np.frombuffer(stream.digest(count), np.uint8)


def _words(secret: bytes, label: str, count: int) -> NDArray[np.uint64]:
    return _bytes(secret, label, 8 * count).view("<u8")


def _phasors(secret: bytes, label: str, count: int) -> Complex:
    turns = _words(secret, label, count) / 2.0**64
    return np.asarray(np.exp(2j * np.pi * turns), np.complex64)
