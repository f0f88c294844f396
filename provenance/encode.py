"""Pixels into a file, before anything is written about them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import UnsupportedImage
from chopmark.provenance._formats import MIME
from chopmark.provenance._png import png_bytes
from chopmark.provenance.xmp import reserve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from chopmark.kit.types import ImageFormat

__all__ = [
    "QUALITY",
    "EncodedImage",
    "checked_format",
    "encode_image",
    "encode_with_pixels",
]

_LOSSLESS: Final = frozenset({"png"})

QUALITY: Final[dict[str, int]] = {"jpeg": 92, "webp": 90, "avif": 80}
"""Of lossy formats, unless somebody asks for another."""
# JPEG knows no more in one direction (ITU-T T.81, B.2.2); WebP 16383 (RFC 9649, section 1).
_MAX_SIDE: Final[dict[str, int]] = {"jpeg": 65_535, "webp": 16_383}


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """A file, and what whoever opens it will see.

    Attributes:
        data: The file.
        picture: What it shows: the encoder's own where the format is lossless, else decoded again.
        pixels: Of that, shape (H, W), (H, W, 3) or (H, W, 4).
    """

    data: bytes = field(repr=False)
    picture: Image.Image
    pixels: NDArray[np.uint8] = field(repr=False)


def encode_with_pixels(
    image: Image.Image, fmt: ImageFormat, *, quality: int | None = None
) -> EncodedImage:
    """Encode a picture as `encode_image` does, and return the pixels that the file has.

    Raises:
        UnsupportedImage: As there.
    """
    import numpy as np
    from PIL import Image as Pillow

    prepared = _prepare(image, checked_format(image, fmt))
    data = _encoded(prepared, fmt, image.info.get("icc_profile"), quality)
    if fmt not in _LOSSLESS:
        with Pillow.open(io.BytesIO(data)) as reopened:
            reopened.load()
            prepared = reopened
    return EncodedImage(data=data, picture=prepared, pixels=np.asarray(prepared))


def encode_image(image: Image.Image, fmt: ImageFormat, *, quality: int | None = None) -> bytes:
    """Encode a picture with no metadata but its colour profile.

    Args:
        image: RGB, RGBA or grey; others are converted. JPEG has no transparency, so it is laid
            on white there.
        fmt: ``png``, ``jpeg``, ``webp`` or ``avif``.
        quality: 1 to 100 for the lossy ones; None is their default here (92, 90, 80). PNG is
            lossless and ignores it.

    Raises:
        UnsupportedImage: The format cannot hold a picture of this size, or is not built in here.
    """
    prepared = _prepare(image, checked_format(image, fmt))
    return _encoded(prepared, fmt, image.info.get("icc_profile"), quality)


def checked_format(image: Image.Image, fmt: ImageFormat) -> ImageFormat:
    """Return the format, if it can hold a picture of this size.

    Raises:
        UnsupportedImage: It cannot, or is none of ours.
    """
    if fmt not in MIME:
        raise UnsupportedImage(f"{fmt!r} is not an output format", hint=", ".join(MIME))
    if max(image.size) > _MAX_SIDE.get(fmt, max(image.size)):
        raise UnsupportedImage(
            f"{fmt} cannot hold {image.width} x {image.height} pixels", hint="use png"
        )
    return fmt


def _encoded(
    image: Image.Image, fmt: ImageFormat, profile: bytes | None, quality: int | None
) -> bytes:
    options: dict[str, Any] = {}
    if profile:
        options["icc_profile"] = profile
    if fmt == "png":
        return png_bytes(image, profile)
    options["quality"] = QUALITY[fmt] if quality is None else max(1, min(100, quality))
    if fmt == "avif":
        # An AVIF file cannot take an XMP packet in afterwards without moving every offset in it,
        # so room is left now, as the XMP specification (part 3, section 1.1.2) provides for.
        options |= {"speed": 8, "xmp": reserve()}
    out = io.BytesIO()
    try:
        image.save(out, fmt.upper(), **options)
    except (OSError, ValueError, KeyError) as error:
        raise UnsupportedImage(f"the picture cannot be encoded as {fmt}: {error}") from error
    return out.getvalue()


def _prepare(image: Image.Image, fmt: ImageFormat) -> Image.Image:
    from chopmark.kit.fingerprint import flat

    if fmt == "jpeg":
        plain = flat(image) if image.mode != "L" else image
    elif image.mode in {"RGB", "RGBA", "L"}:
        plain = image
    else:
        plain = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    if plain.info:
        # Pillow would write text chunks, EXIF and XMP of the source back out.
        plain = plain.copy()
        plain.info = {}
    return plain
