"""What a file is, told from its first bytes and never from its name.

Sources: PNG (W3C 3rd ed., section 5.2), JPEG (ITU-T T.81, B.1.1.3), WebP (RFC 9649, section 2.4),
AVIF and HEIF (ISO/IEC 14496-12, section 4.3, the ``ftyp`` box).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, OverMemory, UnreadableImage, UnsupportedImage
from chopmark.kit.picture_structure import declared_size

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.types import ImageFormat

__all__ = ["MIME", "Limits", "check_size", "mime_of", "open_image", "own_format", "sniff"]

MIME: Final[dict[ImageFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
}

# Formats that we read but do not sign.
_OTHER: Final = {"gif": "image/gif", "tiff": "image/tiff", "heic": "image/heic"}
_ALL: Final[dict[str, str]] = {**{str(kind): mime for kind, mime in MIME.items()}, **_OTHER}
_BRANDS: Final = {
    b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"mif1": "heic",
}  # fmt: skip
_HEAD: Final = 64
_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of a stranger's file we are ready to look at.

    Attributes:
        max_bytes: Size of the file.
        max_pixels: Width times height, checked before anything is decompressed.
        max_manifest_bytes: Size of the manifest store after decompression.
        max_manifests: Manifests of one store that are reported; the rest are counted only.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 64_000_000
    max_manifest_bytes: int = 32 << 20
    max_manifests: int = 64


def sniff(data: bytes) -> str | None:
    """Return ``png``, ``jpeg``, ``webp``, ``avif``, ``gif``, ``tiff``, ``heic`` or None."""
    head = data[:_HEAD]
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        # The major brand may be the generic `mif1`; a compatible brand then tells AVIF from HEIC.
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, _HEAD, 4))]
        found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return "avif" if "avif" in found else (found[0] if found else None)
    return None


def own_format(data: bytes) -> ImageFormat | None:
    """Return the format of a file where it is one that we write, told from its first bytes."""
    kind = sniff(data)
    return next((one for one in MIME if one == kind), None)


def mime_of(kind: str) -> str:
    """Return the media type of a kind that `sniff` told."""
    return _ALL[kind]


def check_size(data: bytes, limits: Limits) -> str:
    """Return the kind of the file, after the checks that cost nothing.

    Raises:
        ImageTooLarge: More bytes than the limit, or more pixels by what its head declares.
        ImageTooComplex: More chunks, segments, boxes or frames than is looked at.
        UnreadableImage: Empty, or of no kind that we know.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"the file has {len(data)} bytes, the limit is {limits.max_bytes}",
            hint="raise the limit in the settings, or send a smaller picture",
        )
    kind = sniff(data)
    if kind is None:
        raise UnreadableImage(
            "the bytes are of no picture format that we read",
            hint="PNG, JPEG, WebP, AVIF, GIF, TIFF and HEIC are told from their first bytes",
        )
    declared = declared_size(data)
    if declared is not None:
        _check_pixels((declared.width, declared.height), limits)
    return kind


def open_image(data: bytes, limits: Limits) -> Image.Image:
    """Decode the first frame, upright and as RGB or RGBA.

    Raises:
        ImageTooLarge: More pixels than the limit; nothing was decompressed.
        UnreadableImage: The picture cannot be decoded.
        UnsupportedImage: No decoder here for this format.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's own bomb check warns; ours below is an error with a code.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data))
            _check_pixels(image.size, limits)
            image.load()
            # In place, and not converted to what it is already: each copy of the largest picture
            # that is taken costs 192 MB.
            ImageOps.exif_transpose(image, in_place=True)
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            mode = "RGBA" if has_alpha else "RGB"
            return image if image.mode == mode else image.convert(mode)
    except ImageTooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"the picture is over Pillow's own limit: {error}") from error
    except UnidentifiedImageError as error:
        if sniff(data) == "heic":
            raise UnsupportedImage("HEIC pixels cannot be decoded here") from error
        raise UnreadableImage("the picture cannot be decoded") from error
    except MemoryError as error:  # ours is short; the file may be sound
        raise OverMemory(
            "the picture needs more memory than there is",
            hint="send a smaller one, or try again when there is less to do",
        ) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ValueError, ...
        raise UnreadableImage(
            f"the picture cannot be decoded ({type(error).__name__})",
            hint="the file may be truncated",
        ) from error


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"the picture has {width} x {height} pixels, the limit is {limits.max_pixels}",
            hint="raise the limit in the settings, or send a smaller picture",
        )
