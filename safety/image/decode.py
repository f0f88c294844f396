"""Decode a picture that is to be judged or worked with, from bytes that nobody has vouched for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, UnreadableImage, UnsupportedImage
from chopmark.kit.pictures import KINDS, MOST_FRAMES, PictureFile, read_picture, sniff

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "Views", "decode_image", "decode_views"]

MAX_BYTES: Final[int] = 25 * 1024 * 1024
MAX_PIXELS: Final[int] = 4096 * 4096
# Of a file that breaks off, this share of the rows must be there.
_ENOUGH: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What people can see of one file, each as an RGB picture.

    Attributes:
        pictures: The first is the picture on white in full size. Then come the same on black and
            without its alpha, further frames, and the previews that a camera leaves in a file.
        missed: What of it could not be looked at, in words; empty where all was. What was not
            looked at is not to be let through.
    """

    pictures: tuple[Image, ...] = field(repr=False)
    missed: str = ""


def decode_image(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, still: bool = True
) -> Image:
    """Return the picture in RGB and sRGB, turned upright as its EXIF says.

    The format is told from the bytes, not from a name; size is checked before pixels are decoded.
    Transparent pixels are laid on white, colour profiles applied. Metadata does not survive.

    Args:
        data: The file.
        max_bytes: Longest file that is looked at.
        max_pixels: Most pixels (width times height) that are decoded.
        still: Refuse animations and files of several pages; else their first frame comes back.

    Raises:
        UnreadableImage: Empty, damaged, more than a quarter of it missing, or no picture at all.
        ImageTooLarge: Over one of the limits.
        ImageTooComplex: More chunks, segments, boxes or frames than is looked at.
        UnsupportedImage: A format that is not handled, or more than one frame; a camera's JPEG may
            hold previews.
    """
    file = _opened(data, max_bytes, max_pixels, still=still, most_frames=1)
    return next(file.views())


def decode_views(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, still: bool = False
) -> Views:
    """Return whatever people can see of a file.

    Args:
        data: The file.
        max_bytes: As for `decode_image`.
        max_pixels: Likewise.
        still: Refuse animations and files of several pages.

    Raises:
        InvalidRequest: As for `decode_image`.
    """
    file = _opened(data, max_bytes, max_pixels, still=still)
    missed = [*file.missed, file.colours_missed]
    return Views(pictures=tuple(file.views()), missed="; ".join(filter(None, missed)))


def _opened(
    data: bytes, max_bytes: int, max_pixels: int, *, still: bool, most_frames: int = MOST_FRAMES
) -> PictureFile:
    if len(data) > max_bytes:
        raise ImageTooLarge(
            f"the file has {len(data)} bytes, the limit is {max_bytes}",
            hint="save it smaller or as JPEG, WebP or AVIF",
        )
    if still and sniff(data) != "jpeg":
        most_frames = 1  # of several none is wanted: they are refused below
    file = read_picture(data, max_pixels=max_pixels, most_frames=most_frames)
    if still and file.in_file > 1 and file.kind != "jpeg":
        raise UnsupportedImage(
            f"the picture has {file.in_file} frames", hint="one still picture is asked for"
        )
    if file.share < _ENOUGH:
        name = KINDS[file.kind].words.split(" ", 1)[1]
        raise UnreadableImage(
            f"the {name} is cut off: {file.share:.0%} of it is there",
            hint="send the whole, intact file",
        )
    return file
