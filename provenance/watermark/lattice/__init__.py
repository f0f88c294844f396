"""The default method: a keyed Fourier-lattice spread spectrum in luma.

Read in this order: ``_layout`` (what the key decides), ``_code``, ``_frame`` (where the mark
lives), ``_listener``, ``_soft_binding``, ``_embed``, ``_spectrum``, ``_search``, ``_page`` and
``_sync`` (where it went), ``_detect``, ``_place`` (what part of a picture has it), ``_original``
(informed mode), ``_statistic`` (what a reading is worth, and why).
``docs/watermark.md`` tells it as one story.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chopmark.errors import InvalidRequest
from chopmark.provenance.watermark._pixels import add_to_luma, luma_of, opened
from chopmark.provenance.watermark._result import P_DETECT, MarkResult
from chopmark.provenance.watermark.lattice._code import PAYLOAD_BITS, Bits
from chopmark.provenance.watermark.lattice._detect import read
from chopmark.provenance.watermark.lattice._embed import strike
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.provenance.watermark._keys import MarkKey

__all__ = ["Lattice"]

_PAYLOAD_BYTES = PAYLOAD_BITS // 8
_LEAST_P = 1e-300  # a bound is never 0, though a float would be


class Lattice:
    """The lattice method, as a :class:`~chopmark.provenance.watermark.Watermarker`."""

    name = "lattice"
    blind = True

    def embed(self, image: Image.Image, payload: bytes, key: MarkKey) -> Image.Image:
        """Return a marked copy of ``image``; see :func:`~chopmark.provenance.embed_mark`."""
        bits = _bits(payload)
        source = opened(image)
        luma = luma_of(source)
        return add_to_luma(source, strike(luma, bits, key.secret))

    def take_back(
        self, image: Image.Image, payload: bytes, key: MarkKey, *, entry: int
    ) -> Image.Image:
        """Return ``image`` without the mark that was read in it; see `without_mark`.

        The codebook entry is the one that was read: a picture that was painted on since may have
        another by its content now, and with that nothing of the mark would go.
        """
        source = opened(image)
        mark = strike(luma_of(source), _bits(payload), key.secret, entry=entry)
        return add_to_luma(source, -mark)

    def detect(
        self,
        image: Image.Image,
        key: MarkKey,
        *,
        candidates: Sequence[bytes] | None = None,
        original: Image.Image | None = None,
    ) -> MarkResult:
        """Look for a mark of ``key``; see :func:`~chopmark.provenance.detect_mark`."""
        luma = luma_of(opened(image))
        if candidates is not None and not candidates:
            return MarkResult(detected=False, payload=None, p_value=1.0, method=self.name)
        choices = None if candidates is None else np.stack([_bits(each) for each in candidates])
        known = None if original is None else luma_of(opened(original))
        reading = read(luma, key.secret, candidates=choices, original=known)
        p_value = max(math.exp(reading.log_p), _LEAST_P)
        detected = p_value <= P_DETECT
        lock = reading.lock
        return MarkResult(
            detected=detected,
            payload=np.packbits(reading.bits).tobytes() if detected else None,
            p_value=p_value,
            method=self.name,
            details={
                "z": round(reading.z, 3),
                "log10_p": round(reading.log_p / math.log(10), 2),
                "tests": TESTS,
                "sync": round(lock.strength, 3),
                "level": lock.level,
                "affine": [[round(float(cell), 5) for cell in row] for row in lock.affine],
                "shift": [round(float(part), 2) for part in lock.shift],
                "codebook_entry": lock.entry,
                "negative": lock.negative,
                "content_bits_agreeing": reading.content,
                "box": None if reading.box is None else list(reading.box),
            },
        )


def _bits(payload: bytes) -> Bits:
    if len(payload) != _PAYLOAD_BYTES:
        raise InvalidRequest(
            f"lattice carries {_PAYLOAD_BYTES} bytes, not {len(payload)}",
            hint="an output id has 8 bytes",
        )
    return np.unpackbits(np.frombuffer(payload, np.uint8))
