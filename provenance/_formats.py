"""Which formats are signed, how much of a file is looked at, and its first checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, UnreadableImage
from chopmark.kit.picture_structure import declared_size
from chopmark.kit.pictures import KINDS, read_picture, sniff

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.types import ImageFormat

__all__ = [
    "MIME",
    "Limits",
    "check_bytes",
    "check_size",
    "mime_of",
    "open_image",
    "own_format",
    "sniff",
]

MIME: Final[dict[ImageFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
}


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


def own_format(data: bytes) -> ImageFormat | None:
    """Return the format of a file where it is one that we write, told from its first bytes."""
    kind = sniff(data)
    return next((one for one in MIME if one == kind), None)


def mime_of(kind: str) -> str:
    """Return the media type of a kind that `sniff` told."""
    return KINDS[kind].mime


def check_bytes(data: bytes, limits: Limits) -> str:
    """Return the kind of the file, after the checks that cost nothing.

    Raises:
        ImageTooLarge: More bytes than the limit.
        ImageTooComplex: More chunks, segments, boxes or frames than is looked at.
        UnreadableImage: Empty, or of no kind that we know.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"the file has {len(data)} bytes, the limit is {limits.max_bytes}",
            hint="raise the limit in the settings, or send a smaller picture",
        )
    if not data:
        raise UnreadableImage(
            "the file is empty", hint="fetch it once more: it may never have arrived"
        )
    kind = sniff(data)
    if kind is None:
        raise UnreadableImage(
            "the bytes are of no picture format that we read",
            hint="PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and HEIC are known by their first bytes",
        )
    declared_size(data)
    return kind


def check_size(data: bytes, limits: Limits) -> str:
    """Return the kind of the file, after `check_bytes` and a look at the size that it declares.

    Raises:
        ImageTooLarge: More bytes than the limit, or more pixels by what its head declares.
        ImageTooComplex: As `check_bytes`.
        UnreadableImage: Likewise.
    """
    kind = check_bytes(data, limits)
    declared = declared_size(data)
    if declared is not None and declared.pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"the picture has {declared.width} x {declared.height} pixels, the limit is "
            f"{limits.max_pixels}",
            hint="raise the limit in the settings, or send a smaller picture",
        )
    return kind


def open_image(data: bytes, limits: Limits) -> Image.Image:
    """Decode the first frame, upright and as RGB or RGBA, its values as in the file.

    Raises:
        ImageTooLarge: More pixels than the limit; nothing was decompressed.
        UnreadableImage: The picture cannot be decoded.
        UnsupportedImage: No decoder here for this format.
    """
    return next(read_picture(data, max_pixels=limits.max_pixels, most_frames=1).plain())
