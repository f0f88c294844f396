"""The choice of the codebook entry: bound to the picture's content and to its payload.

If every picture carried the same phases, an attacker could average many marked pictures, get the
synchronisation clean, and subtract it or stamp it on other pictures (Yang et al., NeurIPS 2024).
So the entry, on which all phases and payload signs depend, changes from picture to picture:

    entry = content byte XOR payload byte

The content byte is the signs of 8 keyed projections of the coarse picture, chosen to survive
compression and noise. The payload byte is a keyed hash. A reader who has the entry and the payload
therefore knows the content byte of the picture that was marked, and can compare it with that of
the picture at hand: a mark carried over to another picture agrees in each bit by chance only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._code import Bits

__all__ = ["agreement", "entry_for"]

_SIDE = 16
_HIGHEST = 6  # of u + v among the coefficients of a 16 x 16 cosine transform


def entry_for(frame: Plane, bits: Bits, secret: bytes) -> int:
    """Return the codebook entry (0..255) for a picture's frame and the 64 bits of a payload."""
    return _content_byte(frame, secret) ^ _payload_byte(bits, secret)


def agreement(frame: Plane, bits: Bits, entry: int, secret: bytes) -> int:
    """Return how many of 8 content bits agree with what the mark says; 4 by chance."""
    differing = entry_for(frame, bits, secret) ^ entry
    return 8 - differing.bit_count()


def _content_byte(frame: Plane, secret: bytes) -> int:
    small = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    across, down = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE))
    order = across + down
    kept = (order >= 1) & (order <= _HIGHEST)
    # Pictures are stronger at low frequencies; the factor lets all of them have a say.
    coefficients = (cv2.dct(small) * order)[kept]
    stream = _hash(b"content", secret, 8 * coefficients.size)
    signs = 1.0 - 2.0 * (np.frombuffer(stream, np.uint8).reshape(8, -1) & 1)
    return int(np.packbits(signs @ coefficients > 0)[0])


def _payload_byte(bits: Bits, secret: bytes) -> int:
    return _hash(b"payload", np.packbits(bits).tobytes() + secret, 1)[0]


def _hash(label: bytes, message: bytes, count: int) -> bytes:
    return hashlib.shake_256(b"chopmark lattice 1 " + label + b"\0" + message).digest(count)
