"""Small copies of pictures, to be shown inside a page; never stored."""

from __future__ import annotations

import base64
import io
from typing import Final

from PIL import Image, ImageOps

from chopmark.errors import ChopmarkError

__all__ = ["inline_copy"]

_SIDE: Final = 640


def inline_copy(data: bytes, *, max_bytes: int, max_pixels: int, side: int = _SIDE) -> str | None:
    """Return a ``data:`` URL of a picture, at most ``side`` pixels wide and high.

    It is encoded anew, so that nothing of the file but its pixels reaches the page. ``None`` where
    the bytes are no picture that we decode.
    """
    from chopmark.safety import decode_image

    try:
        picture = decode_image(data, max_bytes=max_bytes, max_pixels=max_pixels)
    except ChopmarkError:
        return None
    small: Image.Image = (
        ImageOps.contain(picture, (side, side)) if max(picture.size) > side else (picture)
    )
    out = io.BytesIO()
    small.convert("RGB").save(out, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
