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
from typing import TYPE_CHECKING, Final

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
_PASSES: Final = 2
_BEST: Final = 100


def pdq_hash(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Return a picture's hash and how much structure it stands on.

    Args:
        pixels: Shape (H, W) or (H, W, 3), RGB, 0..255.

    Returns:
        256 bits, most significant first, and a quality of 0 (flat) to 100; hashes with a quality
        under 50 are not worth comparing.
    """
    spectrum, quality = _spectrum(pixels)
    return _threshold(spectrum), quality


def pdq_dihedral(pixels: NDArray[np.uint8]) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the hashes of a picture's eight turned and mirrored copies (`DIHEDRAL`), and quality.

    A mirrored picture has the same cosine coefficients with every odd one negated, a transposed one
    has them transposed, so that nothing has to be computed eight times.
    """
    spectrum, quality = _spectrum(pixels)
    # Row and column k hold frequency k + 1.
    odd = np.where(np.arange(1, _BITS + 1) % 2, -1.0, 1.0)
    mirrored, flipped = spectrum * odd, spectrum * odd[:, None]
    turned = mirrored * odd[:, None]
    four = (spectrum, mirrored, flipped, turned)
    return [_threshold(s) for s in (*four, *(s.T for s in four))], quality


def _spectrum(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], int]:
    luma = (
        pixels.astype(np.float64)
        if pixels.ndim == 2
        else pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    )
    # The tent filter of the paper: a box filter along both axes, twice.
    for _ in range(_PASSES):
        for axis in (1, 0):
            luma = _box(luma, axis)
    rows, columns = (
        ((np.arange(_SIDE) + 0.5) * length / _SIDE).astype(int) for length in luma.shape
    )
    small = luma[rows][:, columns]
    cosines = _cosines()
    return cosines @ small @ cosines.T, _quality(small)


def _box(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the running mean along an axis; at the edges over what there is of the window."""
    length = values.shape[axis]
    window = -(-length // (2 * _SIDE))
    half = (window + 2) // 2
    sums = np.cumsum(values, axis=axis)
    sums = np.concatenate([np.zeros_like(sums.take([0], axis=axis)), sums], axis=axis)
    place = np.arange(length)
    last = np.minimum(place + half, length)
    first = np.maximum(place + half - window, 0)
    shape = (-1, 1) if axis == 0 else (1, -1)
    means: NDArray[np.float64] = (sums.take(last, axis=axis) - sums.take(first, axis=axis)) / (
        last - first
    ).reshape(shape)
    return means


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


def _threshold(spectrum: NDArray[np.float64]) -> NDArray[np.uint8]:
    # The reference takes the lower of the two middle values, and writes the last bit first.
    middle = np.partition(spectrum.ravel(), spectrum.size // 2 - 1)[spectrum.size // 2 - 1]
    bits: NDArray[np.uint8] = (spectrum.ravel() > middle).astype(np.uint8)[::-1]
    return bits
