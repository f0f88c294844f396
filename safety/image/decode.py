"""Decode a picture from bytes that nobody has vouched for."""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, OverMemory, UnreadableImage, UnsupportedImage
from chopmark.kit.picture_structure import declared_size

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "decode_image", "sniff"]

_SMALLER: Final = "send a smaller one, or try again when there is less to do"
MAX_BYTES: Final[int] = 25 * 1024 * 1024
MAX_PIXELS: Final[int] = 4096 * 4096
_HANDLED: Final[tuple[str, ...]] = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes announce, in Pillow's names; ``None`` if unknown."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in {b"avif", b"avis"}:
        return "AVIF"
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return "GIF"
    if data[:2] == b"BM" and len(data) >= 26:
        return "BMP"
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return "TIFF"
    return None


def decode_image(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Image:
    """Return the picture in RGB, turned upright as its EXIF says.

    The format is told from the bytes, not from a name; size is checked before pixels are decoded.
    Transparent pixels are laid on white. Metadata does not survive.

    Args:
        data: The file.
        max_bytes: Longest file that is looked at.
        max_pixels: Most pixels (width times height) that are decoded.

    Raises:
        UnreadableImage: Empty, truncated, damaged, or no picture at all.
        ImageTooLarge: Over one of the limits.
        ImageTooComplex: More chunks, segments, boxes or frames than is looked at.
        UnsupportedImage: A format that is not handled, or more than one frame.
    """
    from PIL import Image, ImageOps

    if not data:
        raise UnreadableImage("the picture is empty", hint="zero bytes were given")
    if len(data) > max_bytes:
        raise ImageTooLarge(
            f"the file has {len(data)} bytes, the limit is {max_bytes}",
            hint="save it smaller or as JPEG, WebP or AVIF",
        )
    kind = sniff(data)
    if kind is None:
        raise UnsupportedImage(
            "the bytes are of no picture format that is handled",
            hint="PNG, JPEG, WebP, AVIF, GIF (one frame), BMP and TIFF are",
        )
    declared = declared_size(data)
    if declared is not None and declared.pixels > max_pixels:
        raise _too_many_pixels(declared.width, declared.height, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_HANDLED) as picture:
                width, height = picture.size
                if width * height > max_pixels:
                    raise _too_many_pixels(width, height, max_pixels)
                frames = getattr(picture, "n_frames", 1)
                if frames != 1:
                    raise UnsupportedImage(
                        f"the picture has {frames} frames", hint="one still picture is asked for"
                    )
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                return _flat(picture)
    except (ImageTooLarge, UnsupportedImage):
        raise
    except MemoryError as error:  # ours is short; the file may be sound
        raise OverMemory("the picture needs more memory than there is", hint=_SMALLER) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageTooLarge(
            "the picture unpacks to far more pixels than its file suggests",
            hint="scale it down first",
        ) from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        OverflowError,
        ZeroDivisionError,
        NotImplementedError,
        struct.error,
        UserWarning,
    ) as error:
        raise UnreadableImage(
            f"the {kind} file is damaged or cut off: {error}", hint="send the whole, intact file"
        ) from error


def _too_many_pixels(width: int, height: int, most: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"the picture is {width}x{height} pixels, the limit is {most} in all",
        hint="scale it down first",
    )


def _flat(picture: Image) -> Image:
    """Return an RGB copy without alpha and without metadata."""
    from PIL import Image

    if picture.mode in {"I;16", "I;16B", "I;16L", "I"}:
        # 16-bit grey: Pillow clips at 255 when it converts, so scale first.
        picture = picture.convert("I").point(lambda value: value / 257).convert("L")
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        ground = Image.new("RGBA", above.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, above)
    plain = Image.new("RGB", picture.size)
    plain.paste(picture if picture.mode == "RGB" else picture.convert("RGB"))
    return plain
