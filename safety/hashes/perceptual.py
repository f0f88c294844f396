"""Hashes of pictures: SHA-256 of the pixels, PDQ and pHash, each with its dihedral copies.

PDQ holds out against noise and recompression, pHash against small crops and rotations; a border
defeats both, so an even border is also taken off and the rest hashed (image-safety facts, 2026-11).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.kit.fingerprint import dihedral, small_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.kit.fingerprint import Picture

__all__ = [
    "PHASH_MATCH",
    "PictureHashes",
    "hash_picture",
    "pdq",
    "phash",
    "pixel_sha256",
    "trimmed",
]

#: Of 64 bits; unrelated pictures differ in 32 with a deviation of 4.
PHASH_MATCH: Final[int] = 10


@dataclass(frozen=True, kw_only=True)
class PictureHashes:
    """Every hash of one picture.

    Attributes:
        sha256: Of the decoded RGB bytes with width and height in front.
        pdq: Shape (8, 32) uint8: the picture, its three rotations and four reflections; (16, 32)
            when an even border was found: the same of what is inside it.
        phash: Shape (8,) or (16,) uint64, the same.
        quality: PDQ's own measure of how much is in the picture, 0..100, the larger of the two.
    """

    sha256: str
    pdq: NDArray[np.uint8]
    phash: NDArray[np.uint64]
    quality: int


def pixel_sha256(picture: Picture) -> str:
    r"""Return the SHA-256 (hex) of the decoded RGB bytes, row by row, after ``WxH\\n``.

    Args:
        picture: Of any mode, or RGB pixels of shape (H, W, 3).
    """
    if not isinstance(picture, np.ndarray):
        picture = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    height, width = picture.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}\n".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def pdq(picture: Picture) -> tuple[NDArray[np.uint8], int]:
    """Return the PDQ of a picture's eight orientations, shape (8, 32) uint8, and the quality."""
    turned, quality = dihedral(picture)
    return np.frombuffer(bytes.fromhex("".join(turned)), np.uint8).reshape(8, 32), quality


def _cosines(size: int) -> NDArray[np.float64]:
    """Return the first eight rows of the DCT-II matrix."""
    k, n = np.mgrid[0:8, 0:size]
    rows: NDArray[np.float64] = np.cos(np.pi * (2 * n + 1) * k / (2 * size))
    return rows


_COSINES: Final = _cosines(32)


def phash(picture: Picture) -> NDArray[np.uint64]:
    """Return the 64-bit pHash of a picture and of its seven other orientations, shape (8,).

    The picture is made grey and 32 pixels square; bits say which of its 64 lowest DCT coefficients
    are above their median (Zauner, "Implementation and benchmarking of perceptual image hash
    functions", 2010).
    """
    from PIL import Image as Pictures

    whole = Pictures.fromarray(small_copy(picture)).convert("L")
    small = whole.resize((32, 32), Pictures.Resampling.LANCZOS)
    grey = np.asarray(small, dtype=np.float64)
    hashes = []
    for turned in (grey, grey[:, ::-1]):
        for quarter in range(4):
            low = _COSINES @ np.rot90(turned, quarter) @ _COSINES.T
            bits = low.ravel() > np.median(low.ravel()[1:])
            hashes.append(np.packbits(bits).view(np.uint64)[0])
    return np.asarray(hashes, np.uint64)


def trimmed(plain: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return RGB pixels (H, W, 3) without an even border, or ``None`` if there is none.

    A side is cut while its rows differ little from the corner's colour; never more than a quarter,
    and nothing when what is left is the same picture.
    """
    height, width = plain.shape[:2]
    if min(height, width) < 32:
        return None
    corner = plain[0, 0].astype(np.int16)

    def like_corner(part: NDArray[np.uint8]) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = np.abs(part.astype(np.int16) - corner).max(axis=-1) <= 12
        return near

    # Most pictures have no border, and their four edges say so at once.
    edges = (plain[0], plain[-1], plain[:, 0], plain[:, -1])
    if not any(like_corner(edge).mean() >= 0.98 for edge in edges):
        return None
    even = like_corner(plain)
    rows, columns = even.mean(axis=1) >= 0.98, even.mean(axis=0) >= 0.98
    top, bottom = _run(rows), _run(rows[::-1])
    left, right = _run(columns), _run(columns[::-1])
    if not any((top, bottom, left, right)):
        return None
    return plain[top : height - bottom, left : width - right]


def _run(even: NDArray[np.bool_]) -> int:
    stops = np.flatnonzero(~even)
    length = int(stops[0]) if len(stops) else 0
    return length if 0 < length <= len(even) // 4 else 0


def hash_picture(picture: Picture) -> PictureHashes:
    """Return every hash of a picture, or of RGB pixels of shape (H, W, 3)."""
    if not isinstance(picture, np.ndarray):
        picture = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    # One small copy for all hashes: what it returns is taken as it is by whoever asks again.
    small = small_copy(picture)
    vectors, quality = pdq(small)
    grey = phash(small)
    inner = trimmed(picture)
    if inner is not None:
        small = small_copy(np.ascontiguousarray(inner))
        more, inside = pdq(small)
        vectors, quality = np.concatenate([vectors, more]), max(quality, inside)
        grey = np.concatenate([grey, phash(small)])
    return PictureHashes(sha256=pixel_sha256(picture), pdq=vectors, phash=grey, quality=quality)
