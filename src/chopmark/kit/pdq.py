"""PDQ: the 256-bit perceptual hash that trust-and-safety teams exchange, in numpy.

Source: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", Meta, 2019. The
reference implementation has no wheel on the index, so that installing it would need a compiler;
``tests/unit/kit/test_pdq.py`` holds hashes that the reference gave.

>>> import numpy as np
>>> picture = np.random.default_rng(1).integers(0, 256, (96, 128, 3)).astype(np.uint8)
>>> bits, quality = pdq_hash(picture)
>>> bits.shape, quality
((256,), 100)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIHEDRAL", "pdq_dihedral", "pdq_hash"]

#: Names of the eight hashes of :func:`pdq_dihedral`, in order; turns are clockwise.
DIHEDRAL: Final = (
    "original", "mirrored", "upside-down mirrored", "turned 180",
    "transposed", "turned 270", "turned 90", "anti-transposed",
)  # fmt: skip
_SIDE: Final = 64
_BITS: Final = 16
_BEST: Final = 100


def pdq_hash(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Return a picture's hash and how much structure it stands on.

    Args:
        pixels: Shape (H, W) or (H, W, 3), RGB, 0..255.

    Returns:
        256 bits, most significant first, and a quality of 0 (flat) to 100; hashes with a quality
        under 50 are not worth comparing.
    """
    luma = _luma(pixels)
    small = _filtered(luma, *map(_taps, luma.shape))
    return _hashes(small[None])[0], _quality(small)


def pdq_dihedral(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Return the hashes that a picture has when it is turned and mirrored, and its quality.

    These are the very bits that :func:`pdq_hash` gives for the turned pixels, for a quarter of the
    work of eight calls. The reference derives them from the spectrum instead, by negating odd
    coefficients. Those are some 16 bits off, in fine texture over 100 (docs/benchmarks.md), since
    the sample points do not lie in mirror symmetry: of every eight pixels in a row of 512 the fifth
    is taken, and of the mirrored row thus the fourth.

    Args:
        pixels: As for :func:`pdq_hash`.

    Returns:
        Bits, shape (8, 256), in the order of `DIHEDRAL`, and the quality of the upright picture.
    """
    luma = _luma(pixels)
    # The filter is separable, and mirrored pixels under it are the pixels under a mirrored filter:
    # both filters on both axes give the four mirrored pictures at once, as quarters of 128 x 128.
    both = _filtered(luma, *map(_both_ways, luma.shape))
    four = both.reshape(2, _SIDE, 2, _SIDE).swapaxes(1, 2).reshape(4, _SIDE, _SIDE)
    # (upright, mirrored, flipped, turned), and the same four transposed: that swaps the axes and
    # their filters with them, and so is exact.
    return _hashes(np.concatenate([four, four.swapaxes(1, 2)])), _quality(four[0])


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    if pixels.ndim == 2:
        return pixels.astype(np.float64)
    # ITU-R BT.601, as the reference has it.
    luma: NDArray[np.float64] = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    return luma


class _Taps(NamedTuple):
    """For each sample of an axis: which pixels go into it, and with which weights; (n, taps)."""

    places: NDArray[np.int64]
    weights: NDArray[np.float64]


@functools.lru_cache(maxsize=1024)
def _taps(length: int) -> _Taps:
    """Return what the reference's filter makes of an axis of so many pixels: 64 samples.

    The paper's tent filter is a box filter twice, and of its result only 64 points are looked at,
    so that each is a weighted sum of some seven pixels (of 512). The box is ``length / 128`` wide,
    rounded up, and where that is even it cannot lie in the middle; at the edges it is a mean over
    what there is of it.
    """
    window = -(-length // (2 * _SIDE))
    half = (window + 2) // 2
    place = np.arange(length)
    first = np.maximum(place + half - window, 0)
    last = np.minimum(place + half, length)
    samples = ((np.arange(_SIDE) + 0.5) * length / _SIDE).astype(int)
    dense = np.zeros((_SIDE, length))
    for row, sample in zip(dense, samples, strict=True):
        for inner in range(first[sample], last[sample]):
            mean = 1 / (last[inner] - first[inner])
            row[first[inner] : last[inner]] += mean / (last[sample] - first[sample])
    # Each row has one run of weights; shorter runs, at the edges, are filled up with zeros.
    begins = (dense > 0).argmax(axis=1)
    run = begins[:, None] + np.arange((dense > 0).sum(axis=1).max())
    places = np.minimum(run, length - 1)
    return _Taps(places, np.where(run < length, np.take_along_axis(dense, places, axis=1), 0.0))


def _both_ways(length: int) -> _Taps:
    """Return the samples of an axis, and then those of the same axis read backwards."""
    places, weights = _taps(length)
    return _Taps(np.concatenate([places, length - 1 - places]), np.concatenate([weights, weights]))


def _filtered(luma: NDArray[np.float64], rows: _Taps, columns: _Taps) -> NDArray[np.float64]:
    """Return the samples of a picture, (rows, columns)."""
    # Tap by tap over whole rows, which keeps BLAS and its threads out of a few milliseconds.
    down = np.zeros((len(rows.places), luma.shape[1]))
    for place, weight in zip(rows.places.T, rows.weights.T, strict=True):
        down += weight[:, None] * luma[place]
    across = np.zeros((len(rows.places), len(columns.places)))
    for place, weight in zip(columns.places.T, columns.weights.T, strict=True):
        across += weight * down[:, place]
    return across


def _quality(small: NDArray[np.float64]) -> int:
    """Return the paper's measure: the sum of steps between neighbours, in percent of the range."""
    steps = sum(
        int(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum()) for axis in (0, 1)
    )
    return min(_BEST, steps // 90)


@functools.cache
def _cosines() -> NDArray[np.float64]:
    """Return the 16 lowest cosines but the constant one, shape (16, 64)."""
    frequency = np.arange(1, _BITS + 1)[:, None]
    place = 2 * np.arange(_SIDE)[None, :] + 1
    cosines: NDArray[np.float64] = np.sqrt(2 / _SIDE) * np.cos(
        np.pi / 2 / _SIDE * frequency * place
    )
    return cosines


def _hashes(small: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return which cosine coefficients lie over their median: (n, 64, 64) to (n, 256) bits."""
    cosines = _cosines()
    spectra = (cosines @ small @ cosines.T).reshape(len(small), -1)
    # The reference takes the lower of the two middle values, and writes the last bit first.
    middle = spectra.shape[1] // 2 - 1
    bits: NDArray[np.uint8] = (
        spectra > np.partition(spectra, middle, axis=1)[:, middle : middle + 1]
    ).astype(np.uint8)[:, ::-1]
    return bits
