"""PDQ against hashes that Meta's reference implementation (pdqhash 0.2.8) gave."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from chopmark.kit.pdq import DIHEDRAL, pdq_dihedral, pdq_hash

REFERENCE = "0fec7e10f0f587ef3f803c1361fcc7e00f068c7cb8d073c2b58fe93c0a70eb80"
DIHEDRAL_REFERENCE = {
    REFERENCE,
    "0fec81fff0f578103f80c3ec61fc381f0f067383b8d08c3db58f16c30a70947f",
    "316c9caa6e3d93c7cce72237d99364629b394c8db3469999924c4d331498cbb7",
    "316d63156e3d6c38cce7ddc8d9939b9dbb39b372b3466666924cb2cc14983408",
    "5ab92b45a520d2ba6ad5694634a992b55a539928ed852697e0dabc695f253ed5",
    "5abdd4baa5a02d456ad596b934a96d4a5a5326d6ed85d968e0da43965f25c12a",
    "643936403b68396d99b2889d8cc6cec8ee6ce627e6137333c719e79941cd615d",
    "6439c9bf3b68c69299b277628cc63137ee6c19d8e613ccccc719986641cd9ea2",
}


def _picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[0:200, 0:300]
    planes = ((x * 3 + y) % 256, (x * x // 97 + y * 2) % 256, (y * y // 53 + x) % 256)
    return np.stack(planes, axis=-1).astype(np.uint8)


def _hex(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return np.packbits(bits).tobytes().hex()


def test_the_hash_is_the_references_bit_for_bit() -> None:
    bits, quality = pdq_hash(_picture())
    assert (_hex(bits), quality) == (REFERENCE, 100)


def test_the_eight_hashes_are_the_references() -> None:
    hashes, _ = pdq_dihedral(_picture())
    assert {_hex(bits) for bits in hashes} == DIHEDRAL_REFERENCE


@pytest.mark.parametrize("number", range(8))
def test_a_turned_picture_has_the_hash_of_that_name(number: int) -> None:
    # Smooth, since a turned copy is sampled half a pixel elsewhere.
    coarse = np.random.default_rng(5).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((300, 200), Image.Resampling.BICUBIC))
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
    expected, _ = pdq_dihedral(picture)
    found, _ = pdq_hash(np.ascontiguousarray(copies[number]))
    distances = [int((found != bits).sum()) for bits in expected]
    assert distances[number] == min(distances) <= 31, DIHEDRAL[number]


def test_a_flat_picture_has_no_quality() -> None:
    assert pdq_hash(np.full((64, 64), 128, np.uint8))[1] == 0
