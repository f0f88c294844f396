"""The perceptual fingerprint: PDQ, 256 bits that stay nearly the same when a picture is re-encoded.

Source: "PDQ & TMK + PDQF", Meta, 2019; the hash itself is `chopmark.kit.pdq`. Two random pictures
differ in about 128 bits; Meta's advice is to call 31 or fewer "the same picture".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import UnreadableImage

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "MATCH_DISTANCE",
    "MIN_QUALITY",
    "dihedral",
    "distance",
    "fingerprint",
    "pixel_digest",
]

MATCH_DISTANCE: Final = 31
"""At most this many differing bits make a match (PDQ paper, section "Usage")."""

_LARGEST: Final = 512
MIN_QUALITY: Final = 50
"""Below this the picture is too flat for its hash to mean anything (same section)."""


def fingerprint(image: Image.Image) -> tuple[str, int]:
    """Return the PDQ hash as 64 hex digits, and its quality, 0 (flat) to 100 (detailed).

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    import numpy as np

    from chopmark.kit.pdq import pdq_hash

    plain = flat(image)
    if min(plain.size) < 1:
        raise UnreadableImage("no fingerprint can be made: the picture has no pixels")
    if max(plain.size) > _LARGEST:
        # As the reference's own tools do; ten times as fast for a large picture.
        plain = plain.copy()
        plain.thumbnail((_LARGEST, _LARGEST))
    bits, quality = pdq_hash(np.asarray(plain))
    return np.packbits(bits).tobytes().hex(), quality


def dihedral(image: Image.Image) -> list[str]:
    """Return the PDQ hashes of the picture in its eight orientations, as it stands first.

    PDQ knows no mirror image and no quarter turn. ``pdqhash.compute_dihedral`` would derive the
    hashes of the other seven from the first in less time, but they are 10 to 24 bits off the true
    ones (measured), which leaves little of the 31 for what else was done to the picture.

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    from PIL import Image as Pillow

    plain = flat(image)
    turned = (plain.transpose(one) for one in Pillow.Transpose)
    return [fingerprint(one)[0] for one in (plain, *turned)]


def distance(one: str, other: str) -> int:
    """Return how many of the 256 bits of two hex hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def pixel_digest(image: Image.Image) -> str:
    """Return the SHA-256 of the size and the RGB pixels, hex: equal only for the very same pixels.

    Transparent pixels count by their colour; for what a viewer sees, see `fingerprint`.
    """
    import hashlib

    plain = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    head = f"{plain.mode} {plain.width} {plain.height} ".encode()
    return hashlib.sha256(head + plain.tobytes()).hexdigest()


def flat(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, transparency laid on white as a page would show it."""
    from PIL import Image as Pillow

    if image.mode == "RGB":
        return image
    if "A" not in image.getbands():
        return image.convert("RGB")
    sheet = Pillow.new("RGBA", image.size, (255, 255, 255, 255))
    sheet.alpha_composite(image.convert("RGBA"))
    return sheet.convert("RGB")
