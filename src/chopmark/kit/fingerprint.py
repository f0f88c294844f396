"""The perceptual fingerprint: PDQ, 256 bits that stay nearly the same when a picture is re-encoded.

What hash lists, the manifest store and the watermark's search all ask of a picture; the hash of
pixels itself is `chopmark.kit.pdq`. Source: "PDQ & TMK + PDQF", Meta, 2019. Two random pictures
differ in about 128 bits; Meta's advice is to call 31 or fewer "the same picture".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import UnreadableImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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
    from chopmark.kit.pdq import pdq_hash

    bits, quality = pdq_hash(_small(image))
    return _hex(bits), quality


def dihedral(image: Image.Image) -> tuple[list[str], int]:
    """Return the fingerprints of the picture's eight orientations, as it stands first, and quality.

    PDQ knows no mirror image and no quarter turn: whoever looks for a turned picture asks for each
    of these. Their order is `chopmark.kit.pdq.DIHEDRAL`.

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    from chopmark.kit.pdq import pdq_dihedral

    turned, quality = pdq_dihedral(_small(image))
    return [_hex(bits) for bits in turned], quality


def _small(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels that are hashed, (H, W, 3), at most 512 a side.

    The reference's own tools scale a picture down like this; it is ten times as fast for a large
    one. Turning the small picture, and not the large one, is what makes eight hashes cheap.
    """
    import numpy as np

    plain = flat(image)
    if min(plain.size) < 1:
        raise UnreadableImage("no fingerprint can be made: the picture has no pixels")
    if max(plain.size) > _LARGEST:
        plain = plain.copy()
        plain.thumbnail((_LARGEST, _LARGEST))
    return np.asarray(plain)


def _hex(bits: NDArray[np.uint8]) -> str:
    import numpy as np

    return np.packbits(bits).tobytes().hex()


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
