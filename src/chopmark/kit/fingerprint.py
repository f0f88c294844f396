"""The perceptual fingerprint: PDQ, 256 bits that stay nearly the same when a picture is re-encoded.

What hash lists, the manifest store and the watermark's search all ask of a picture; the hash of
pixels itself is `chopmark.kit.pdq`. Source: "PDQ & TMK + PDQF", Meta, 2019. Two random pictures
differ in about 128 bits; Meta's advice is to call 31 or fewer "the same picture".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from chopmark.errors import UnreadableImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "MATCH_DISTANCE",
    "MIN_QUALITY",
    "Picture",
    "dihedral",
    "distance",
    "fingerprint",
    "flat",
    "pixel_digest",
    "small_copy",
]

Picture: TypeAlias = "Image.Image | NDArray[np.uint8]"
"""A picture, or its pixels where they are at hand already: 8 bits, (H, W) grey, (H, W, 3) RGB or
(H, W, 4) RGBA. Taking them out of an image costs about a millisecond a megapixel, each time."""

MATCH_DISTANCE: Final = 31
"""At most this many differing bits make a match (PDQ paper, section "Usage")."""

_LARGEST: Final = 512
MIN_QUALITY: Final = 50
"""Below this the picture is too flat for its hash to mean anything (same section)."""


def fingerprint(picture: Picture) -> tuple[str, int]:
    """Return the PDQ hash as 64 hex digits, and its quality, 0 (flat) to 100 (detailed).

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    from chopmark.kit.pdq import pdq_hash

    bits, quality = pdq_hash(small_copy(picture))
    return _hex(bits), quality


def dihedral(picture: Picture) -> tuple[list[str], int]:
    """Return the fingerprints of the picture's eight orientations, as it stands first, and quality.

    PDQ knows no mirror image and no quarter turn: whoever looks for a turned picture asks for each
    of these. Their order is `chopmark.kit.pdq.DIHEDRAL`.

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    from chopmark.kit.pdq import pdq_dihedral

    turned, quality = pdq_dihedral(small_copy(picture))
    return [_hex(bits) for bits in turned], quality


def small_copy(picture: Picture) -> NDArray[np.uint8]:
    """Return the pixels that are hashed, (H, W, 3) RGB, at most 512 a side.

    The reference's own tools scale a picture down before they hash it. Each pixel here is the mean
    of those that it stands for. A picture that is small enough comes back as it is, so that what
    this returned can be handed on. Turning the small picture, and not the large one, is what makes
    eight hashes cheap.

    Raises:
        UnreadableImage: The picture has no pixels.
    """
    import cv2
    import numpy as np

    pixels = _rgb(picture)
    height, width = pixels.shape[:2]
    if min(height, width) < 1:
        raise UnreadableImage("no fingerprint can be made: the picture has no pixels")
    factor = _LARGEST / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rgb(picture: Picture) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image as Pillow

    if isinstance(picture, np.ndarray):
        if picture.ndim == 3 and picture.shape[2] == 3:
            return picture
        picture = Pillow.fromarray(picture)
    return np.asarray(flat(picture))


def _hex(bits: NDArray[np.uint8]) -> str:
    import numpy as np

    return np.packbits(bits).tobytes().hex()


def distance(one: str, other: str) -> int:
    """Return how many of the 256 bits of two hex hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def pixel_digest(picture: Picture) -> str:
    """Return the SHA-256 of the size and the RGB pixels, hex: equal only for the very same pixels.

    Transparent pixels count by their colour; for what a viewer sees, see `fingerprint`.
    """
    import hashlib

    import numpy as np

    if isinstance(picture, np.ndarray):
        pixels = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    else:
        plain = picture if picture.mode in {"RGB", "RGBA"} else picture.convert("RGB")
        pixels = np.asarray(plain)
    height, width, bands = pixels.shape
    digest = hashlib.sha256(f"{'RGBA' if bands == 4 else 'RGB'} {width} {height} ".encode())
    # The pixels themselves, not a copy as bytes.
    digest.update(np.ascontiguousarray(pixels).data if pixels.size else b"")
    return digest.hexdigest()


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
