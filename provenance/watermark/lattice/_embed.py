"""Striking: the pattern of a payload, shaped to hide in a picture, as strong as it needs to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._code import Bits, encode
from chopmark.provenance.watermark.lattice._frame import canonical, fold, level_for, residual
from chopmark.provenance.watermark.lattice._layout import PERIOD, Layout
from chopmark.provenance.watermark.lattice._statistic import payload_vector, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["strike"]

_SYNC_SHARE = 0.25
_TARGET = 28.0
_LEAST, _MOST = 0.4, 1.15


def strike(luma: Plane, layout: Layout, bits: Bits, entry: int) -> Plane:
    """Return what to add to ``luma`` so that it carries ``bits``, in grey levels, shape (H, W).

    Args:
        luma: Shape (H, W), range 0..255.
        layout: The key's layout.
        bits: The payload, 64 bits.
        entry: The codebook entry to use.
    """
    height, width = luma.shape
    frame = canonical(luma, level_for(width, height))
    values = layout.payload_values(entry, encode(bits))
    pattern = _pattern(frame.shape, layout, values, entry) * _visibility(frame)
    strength = _strength(frame, pattern, layout, values)
    if pattern.shape != luma.shape:
        pattern = cv2.resize(pattern, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(pattern * np.float32(strength), np.float32)


def _pattern(shape: tuple[int, ...], layout: Layout, values: NDArray[np.int8], entry: int) -> Plane:
    """The unshaped mark over a frame, standard deviation 1, origin in the frame's middle."""
    height, width = shape
    spectrum = np.zeros((PERIOD, PERIOD), np.complex128)
    middle = np.array([width - 1, height - 1]) / 2
    for vectors, phasors, share in (
        (layout.sync, layout.sync_reference(entry), _SYNC_SHARE),
        (layout.payload, (values[::2] + 1j * values[1::2]) / np.sqrt(2), 1 - _SYNC_SHARE),
    ):
        turn = np.exp(-2j * np.pi / PERIOD * (vectors @ middle))
        gain = np.sqrt(share / len(vectors))
        spectrum[vectors[:, 1] % PERIOD, vectors[:, 0] % PERIOD] = gain * phasors * turn
    tile = np.fft.ifft2(spectrum).real
    tile = (tile / tile.std()).astype(np.float32)
    repeats = -(-height // PERIOD), -(-width // PERIOD)
    return np.asarray(np.tile(tile, repeats)[:height, :width], np.float32)


def _visibility(frame: Plane) -> Plane:
    """How strong the mark may be at each place: its standard deviation there, in grey levels."""
    detail = frame - cv2.GaussianBlur(frame, (0, 0), 4)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 4))
    # Beside a lone edge the eye sees the flat side: take the quieter of here and around here.
    calm = cv2.erode(spread, np.ones((9, 9), np.uint8))
    spread = cv2.GaussianBlur(np.sqrt(calm * spread), (0, 0), 3)
    return np.asarray(0.85 * (1 + spread / 2.2) ** 0.6, np.float32)


def _strength(frame: Plane, pattern: Plane, layout: Layout, values: NDArray[np.int8]) -> float:
    """The factor at which the mark reaches the target after a JPEG of quality 50, in limits."""
    strength = 0.8
    for _ in range(3):
        z = _statistic_after_jpeg(frame + strength * pattern, layout, values)
        wanted, reached = (
            q / np.sqrt(1 - q * q)
            for q in (
                _TARGET / np.sqrt(values.size),
                min(max(z / np.sqrt(values.size), 0.05), 0.97),
            )
        )
        following = float(np.clip(strength * wanted / reached, _LEAST, _MOST))
        if abs(following / strength - 1) < 0.03:
            break
        strength = following
    return following


def _statistic_after_jpeg(frame: Plane, layout: Layout, values: NDArray[np.int8]) -> float:
    pixels = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    coefficients = fold(residual(decoded), layout.payload)
    return score(payload_vector(coefficients, layout.payload), values)
