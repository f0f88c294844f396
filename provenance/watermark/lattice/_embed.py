"""Striking: the pattern of a payload, shaped to hide in a picture, as strong as it needs to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from chopmark.provenance.watermark.lattice._code import Bits, encode
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, level_for, residual
from chopmark.provenance.watermark.lattice._layout import PERIOD, Complex, Layout, layout_of
from chopmark.provenance.watermark.lattice._soft_binding import entry_for
from chopmark.provenance.watermark.lattice._statistic import payload_vector, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["pattern_tile", "strike"]

_SYNC_SHARE = 0.2
# What the closed loop asks for, after a JPEG of quality 30: of the whole frame, and of the better
# two of the quarters that a crop to half the side may leave (all four would be asked in vain where
# one is sky). A reading needs 11.9 (p <= 1e-9), and the decoder, the rest of an attack and an
# unlucky key want their share.
_WHOLE, _QUARTER = 23.0, 18.0
_LEAST_DB, _MOST_DB = 40.4, 47.0
_TURNS = 4


def strike(luma: Plane, bits: Bits, secret: bytes, *, entry: int | None = None) -> Plane:
    """Return what to add to ``luma`` so that it carries ``bits``, in grey levels, shape (H, W).

    Args:
        luma: Shape (H, W), range 0..255.
        bits: The payload, 64 bits.
        secret: The key, 32 bytes.
        entry: Of the codebook, 0..255; None for the one of this picture and these bits.
    """
    layout = layout_of(secret)
    height, width = luma.shape
    frame = canonical(luma, level_for(width, height))
    if entry is None:
        entry = entry_for(frame, bits, secret)
    mark = _shaped(frame, layout, layout.payload_values(entry, encode(bits)), entry)
    if mark.shape != luma.shape:
        mark = np.asarray(cv2.resize(mark, (width, height), interpolation=cv2.INTER_CUBIC))
    return mark


def pattern_tile(
    layout: Layout, values: NDArray[np.int8], entry: int, middle: NDArray[np.float64] | None = None
) -> Plane:
    """Return one period of the unshaped mark, standard deviation 1, shape (128, 128).

    Args:
        layout: The key's layout.
        values: What the payload dimensions carry, +1 and -1.
        entry: Of the codebook.
        middle: Where the lattice has its origin, (x, y); None for the first pixel.
    """
    spectrum = np.zeros((PERIOD, PERIOD), np.complex128)
    for vectors, phasors, share in (
        (layout.sync, layout.sync_reference(entry), _SYNC_SHARE),
        (layout.payload, (values[::2] + 1j * values[1::2]) / np.sqrt(2), 1 - _SYNC_SHARE),
    ):
        turn = 1.0 if middle is None else np.exp(-2j * np.pi / PERIOD * (vectors @ middle))
        gain = np.sqrt(share / len(vectors))
        spectrum[vectors[:, 1] % PERIOD, vectors[:, 0] % PERIOD] = gain * phasors * turn
    tile = np.fft.ifft2(spectrum).real
    return np.asarray(tile / tile.std(), np.float32)


def _pattern(shape: tuple[int, ...], layout: Layout, values: NDArray[np.int8], entry: int) -> Plane:
    """The unshaped mark over a frame, standard deviation 1, origin in the frame's middle."""
    height, width = shape
    tile = pattern_tile(layout, values, entry, np.array([width - 1, height - 1]) / 2)
    repeats = -(-height // PERIOD), -(-width // PERIOD)
    return np.asarray(np.tile(tile, repeats)[:height, :width], np.float32)


def _shaped(frame: Plane, layout: Layout, values: NDArray[np.int8], entry: int) -> Plane:
    """The mark in grey levels: no stronger than it must be, nowhere stronger than it may be."""
    variance = _local_variance(frame)
    # Two laws: the first spreads the mark as readers need it, rather evenly; the second is what
    # eyes bear.
    wanted = np.sqrt(np.sqrt(0.58 + 0.02 * variance))  # a fourth of the time of ** 0.25
    bearable = _bearable(frame, variance)
    pattern = _pattern(frame.shape, layout, values, entry)
    gain = 1.0
    for _ in range(_TURNS):
        mark = pattern * np.minimum(gain * wanted, bearable)
        need = float(np.clip(_need(frame + mark, layout, values), 0.6, 1.7))
        gain = _within_limits(gain * need, wanted, bearable)
        if 0.97 < need < 1.03:
            break
    return np.asarray(pattern * np.minimum(gain * wanted, bearable), np.float32)


def _bearable(frame: Plane, variance: Plane) -> Plane:
    """How strong the mark may be at each place, standard deviation in grey levels.

    0.77 on flat ground of middle grey (50 dB; 0.87 mottled gradients visibly at twice the size), up
    to 1.25 on light ground, because eyes see ratios of light (Weber). At white, which cuts off one
    half of the mark, the other half may be stronger, and at black, which screens hardly show. Grain
    of a few grey levels hides more than its share; the edges of drawings, to which lossy files give
    most of their bits, hide up to 5.
    """
    light = cv2.pow(np.clip(cv2.GaussianBlur(frame, (0, 0), 4) / 120, 1, 2), 1.4)
    grain = 0.03 * variance + 0.07 * variance / (1 + variance / 60)
    grain += 0.05 * variance * variance / (variance + 100)
    cut = 0.6 * np.clip((frame - 252) / 3, 0, 1) + 0.5 * np.clip(1 - frame / 12, 0, 1)
    return np.asarray(np.minimum(np.sqrt(0.6 * light + grain) * (1 + cut), 5.0), np.float32)


def _within_limits(gain: float, wanted: Plane, bearable: Plane) -> float:
    level = _level(gain, wanted, bearable)
    gain *= 10 ** ((level - float(np.clip(level, _LEAST_DB, _MOST_DB))) / 20)
    # Where the mark is as strong as eyes bear, a smaller gain changes nothing: once is not enough.
    while (level := _level(gain, wanted, bearable)) < _LEAST_DB - 0.05:
        gain *= 10 ** ((level - _LEAST_DB) / 20)
    return gain


def _level(gain: float, wanted: Plane, bearable: Plane) -> float:
    """The peak signal-to-noise ratio of a mark, in dB."""
    mark = cv2.min(gain * wanted, bearable)
    return float(10 * np.log10(255**2 * mark.size / cv2.norm(mark, cv2.NORM_L2SQR)))


def _local_variance(frame: Plane) -> Plane:
    mean = cv2.GaussianBlur(frame, (0, 0), 1.5)
    square = cv2.GaussianBlur(frame * frame, (0, 0), 1.5)
    return np.asarray(np.maximum(square - mean * mean, 0), np.float32)


def _need(frame: Plane, layout: Layout, values: NDArray[np.int8]) -> float:
    """By what factor a mark must grow to be read as surely as wanted after a JPEG; about."""
    pixels = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 30])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32)
    tiles = Tiles.of(residual(decoded))
    coefficients = tiles.at(layout.payload)
    whole = _odds(coefficients, values)
    quarters = [
        _odds(coefficients[(tiles.centres * side > 0).all(axis=1)], values)
        for side in np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    ]
    dimensions = values.size
    return max(
        _odds_of(_WHOLE, dimensions) / whole,
        _odds_of(_QUARTER, dimensions) / float(np.sort(quarters)[2]),
    )


def _odds(coefficients: Complex, values: NDArray[np.int8]) -> float:
    z = score(payload_vector(coefficients.sum(axis=0)), values)
    return _odds_of(max(z, 2.0), values.size)


def _odds_of(z: float, dimensions: int) -> float:
    """Size of the mark over that of everything else, from z (which cannot pass sqrt(m))."""
    share = min(z / np.sqrt(dimensions), 0.97)
    return float(share / np.sqrt(1 - share * share))
