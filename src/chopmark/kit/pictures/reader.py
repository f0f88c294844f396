"""Open a stranger's picture."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from chopmark.errors import UnreadableImage, UnsupportedImage
from chopmark.kit.picture_structure import declared_size
from chopmark.kit.pictures import _heic
from chopmark.kit.pictures._opening import Opening, check_pixels
from chopmark.kit.pictures.kinds import KINDS
from chopmark.kit.pictures.sniffing import sniff

if TYPE_CHECKING:
    from chopmark.kit.pictures.picture_file import PictureFile

__all__ = ["MOST_FRAMES", "load_decoders", "read_picture"]

MOST_FRAMES: Final = 16
"""Frames of one file that are looked at, the first ones; that there are more is said."""


def load_decoders() -> None:
    """Load every decoder now, before a process that parses strangers' files is confined."""
    from PIL import Image, ImageCms

    Image.init()
    ImageCms.createProfile("sRGB")
    _heic.preload()


def read_picture(
    data: bytes, *, max_pixels: int, most_frames: int = MOST_FRAMES, upright: bool = True
) -> PictureFile:
    """Return what a file shows.

    Args:
        data: The file; its size is the caller's to bound.
        max_pixels: Most pixels (width times height) of a frame.
        most_frames: Frames that are decoded.
        upright: Turn frames as their EXIF says.

    Raises:
        UnsupportedImage: No picture, or one of a kind whose pixels are not read here.
        ImageTooLarge: More pixels than the limit; nothing was decoded.
        ImageTooComplex: More chunks, segments, boxes or frames than is looked at.
        UnreadableImage: Damaged so that nothing of it can be decoded.
        OverMemory: It needs more memory than there is.
    """
    if not data:
        raise UnreadableImage("the picture is empty", hint="zero bytes were given")
    kind = sniff(data)
    if kind is None:
        raise UnsupportedImage(
            "the bytes are not a picture of a format that is handled",
            hint="PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and HEIC are",
        )
    declared = declared_size(data)
    if declared is not None:
        check_pixels(declared.width, declared.height, max_pixels)
    about = KINDS[kind]
    if not about.decoded or (kind == "heic" and not _heic.available()):
        raise UnsupportedImage(about.unseen, hint=about.advice)
    opening = Opening(data, kind, max_pixels, most_frames, upright=upright)
    with warnings.catch_warnings():
        # Pillow's own check of bombs warns; ours is an error with a code.
        warnings.simplefilter("ignore")
        return opening.file()
