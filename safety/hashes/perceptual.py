"""Hashes of pictures: SHA-256 of the pixels, PDQ with its dihedral copies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.pdq import pdq_dihedral

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["PDQ_MATCH", "PDQ_QUALITY", "PictureHashes", "hash_picture", "pdq", "pixel_sha256"]

#: Meta's PDQ paper: distance up to 31 of 256 is a match, quality under 50 is not to be used.
PDQ_MATCH: Final[int] = 31
PDQ_QUALITY: Final[int] = 50
_LARGEST: Final[int] = 512


@dataclass(frozen=True, kw_only=True)
class PictureHashes:
    """Every hash of one picture.

    Attributes:
        sha256: Of the decoded RGB bytes with width and height in front.
        pdq: Shape (8, 32) uint8: the picture, its three rotations and four reflections.
        quality: PDQ's own measure of how much is in the picture, 0..100.
    """

    sha256: str
    pdq: NDArray[np.uint8]
    quality: int


def pixel_sha256(image: Image) -> str:
    r"""Return the SHA-256 (hex) of the decoded RGB bytes, row by row, after ``WxH\\n``."""
    plain = image if image.mode == "RGB" else image.convert("RGB")
    digest = hashlib.sha256(f"{plain.width}x{plain.height}\n".encode())
    digest.update(plain.tobytes())
    return digest.hexdigest()


def pdq(image: Image) -> tuple[NDArray[np.uint8], int]:
    """Return the eight dihedral PDQ hashes, shape (8, 32) uint8, and the quality 0..100.

    A large picture is first scaled to 512 pixels, as the reference does: ten times as fast.
    """
    plain = image if image.mode == "RGB" else image.convert("RGB")
    if max(plain.size) > _LARGEST:
        plain = plain.copy()
        plain.thumbnail((_LARGEST, _LARGEST))
    vectors, quality = pdq_dihedral(np.asarray(plain))
    return np.packbits(np.asarray(vectors, dtype=np.uint8), axis=1), quality


def hash_picture(image: Image) -> PictureHashes:
    """Return every hash of a picture."""
    vectors, quality = pdq(image)
    return PictureHashes(sha256=pixel_sha256(image), pdq=vectors, quality=quality)
