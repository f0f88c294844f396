"""PDQ against a hash that Meta's reference implementation (pdqhash 0.2.8) gave, and turned."""

from __future__ import annotations

import numpy as np
import pytest

from chopmark.kit.pdq import DIHEDRAL, pdq_dihedral, pdq_hash

REFERENCE = "0fec7e10f0f587ef3f803c1361fcc7e00f068c7cb8d073c2b58fe93c0a70eb80"


def _picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[0:200, 0:300]
    planes = ((x * 3 + y) % 256, (x * x // 97 + y * 2) % 256, (y * y // 53 + x) % 256)
    return np.stack(planes, axis=-1).astype(np.uint8)


def _hex(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return np.packbits(bits).tobytes().hex()


def test_the_hash_is_the_references_bit_for_bit() -> None:
    bits, quality = pdq_hash(_picture())
    assert (_hex(bits), quality) == (REFERENCE, 100)


@pytest.mark.parametrize(
    "shape", [(200, 300, 3), (512, 512, 3), (301, 77, 3), (64, 64), (97, 45), (700, 1030, 3)]
)
def test_a_turned_picture_has_the_very_hash_of_that_name(shape: tuple[int, ...]) -> None:
    # Noise is the hardest: what lies half a pixel beside a sample point has nothing to do with it.
    picture = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    turned, _ = pdq_dihedral(picture)
    copies = (
        picture,
        picture[:, ::-1],
        picture[::-1],
        picture[::-1, ::-1],
        picture.swapaxes(0, 1),
        np.rot90(picture),
        np.rot90(picture, -1),
        picture[::-1, ::-1].swapaxes(0, 1),
    )
    for name, bits, copy in zip(DIHEDRAL, turned, copies, strict=True):
        assert _hex(bits) == _hex(pdq_hash(np.ascontiguousarray(copy))[0]), name


def test_a_flat_picture_has_no_quality() -> None:
    assert pdq_hash(np.full((64, 64), 128, np.uint8))[1] == 0
