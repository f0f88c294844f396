"""Write a changed picture as its file was: mode, depth, alpha, profile, EXIF and size in print.

What is released by the pipeline is encoded bare (`chopmark.provenance.encode`); this is for a
picture of somebody's own, of which only the pixels are to change.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import UnsupportedImage
from chopmark.kit.pictures import eight_bit, in_srgb
from chopmark.provenance.encode import QUALITY, checked_format

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.pictures import PictureFile
    from chopmark.kit.types import ImageFormat

__all__ = ["encode_like", "picture_to_change"]

_MODES: Final[dict[str, frozenset[str]]] = {
    "png": frozenset({"1", "L", "LA", "P", "I;16", "RGB", "RGBA"}),
    "jpeg": frozenset({"L", "RGB", "CMYK", "YCbCr"}),
    "webp": frozenset({"RGB", "RGBA"}),
    "avif": frozenset({"RGB", "RGBA"}),
}


def picture_to_change(file: PictureFile) -> Image.Image:
    """Return the one picture of a file, in the file's own mode.

    Colours that only a PNG's ``gAMA`` and ``cHRM`` tell are brought into sRGB.

    Raises:
        UnsupportedImage: Several frames, or a part of its pixels is missing.
    """
    if file.in_file > 1 and file.kind != "jpeg":
        raise UnsupportedImage(
            f"the picture has {file.in_file} frames; only still pictures are marked",
            hint="save one frame as a picture of its own",
        )
    if file.share < 1:
        raise UnsupportedImage(
            "a part of the picture's pixels is missing", hint="mark the whole, intact file"
        )
    picture = file.frames[0]
    told_by_numbers = file.colour.gamma is not None or file.colour.primaries is not None
    return in_srgb(picture, file.colour)[0] if told_by_numbers else picture


def encode_like(image: Image.Image, fmt: ImageFormat, file: PictureFile) -> bytes:
    """Return a changed picture as a file with all that the old one said beside its pixels.

    Args:
        image: The picture, in the mode of the old one; where the format has no such mode it becomes
            grey, RGB or RGBA of 8 bits, in sRGB where it had a profile. JPEG has no transparency:
            it is laid on white.
        fmt: Of the new file.
        file: The old one, opened without being turned upright.

    Raises:
        UnsupportedImage: The format cannot hold a picture of this size, or is not built in here.
    """
    checked_format(image, fmt)
    profile = file.colour.profile
    if image.mode not in _MODES[fmt]:
        image, profile = _in_another_mode(image, fmt, file)
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if file.exif:
        options["exif"] = b"Exif\0\0" + file.exif
    if file.dpi is not None and fmt in {"png", "jpeg"}:
        options["dpi"] = file.dpi
    if fmt != "png":
        options["quality"] = QUALITY[fmt]
    out = io.BytesIO()
    try:
        image.save(out, fmt.upper(), **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnsupportedImage(f"the picture cannot be encoded as {fmt}: {error}") from error
    return out.getvalue()


def _in_another_mode(
    image: Image.Image, fmt: ImageFormat, file: PictureFile
) -> tuple[Image.Image, bytes | None]:
    from chopmark.kit.fingerprint import flat

    if image.mode == "I;16" and fmt == "jpeg":
        return eight_bit(image).convert("L"), file.colour.profile
    if image.mode == "RGBA" and fmt == "jpeg":
        return flat(image), file.colour.profile
    shown, _ = in_srgb(eight_bit(image), file.colour)
    return (flat(shown) if fmt == "jpeg" else shown), None
