"""Pictures as they come over HTTP: uploads, ``data:`` URLs and OpenAI's alpha masks."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import TYPE_CHECKING

from chopmark.errors import ImageTooLarge, InvalidRequest

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["from_base64", "from_data_url", "mask_of"]

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)


def from_data_url(url: str, settings: Settings, *, param: str) -> bytes:
    """Return the bytes of a ``data:`` URL. No other URL is ever followed.

    A server that fetches what a caller names can be made to read what only it can reach (SSRF,
    OWASP API7:2023), so there is no switch for it.

    Raises:
        InvalidRequest: Another kind of URL, or no base64.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    match = _DATA_URL.match(url)
    if match is None:
        raise InvalidRequest(
            "a picture is taken as a data: URL with base64 only",
            hint="no address is fetched; send data:image/png;base64,...",
            param=param,
        )
    return from_base64(url[match.end() :], settings, param=param)


def from_base64(text: str, settings: Settings, *, param: str) -> bytes:
    """Return the bytes that base64 text stands for.

    Raises:
        InvalidRequest: Not base64.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    if len(text) > settings.max_image_bytes * 4 // 3 + 4:
        raise ImageTooLarge(
            f"the picture has more than {settings.max_image_bytes} bytes",
            hint="send a smaller one, or raise CHOPMARK_MAX_IMAGE_BYTES",
            param=param,
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("the picture is not valid base64", param=param) from None


def mask_of(data: bytes, settings: Settings) -> bytes:
    """Return a mask in the pipeline's form (white is repainted) from OpenAI's (alpha 0 is).

    A mask without an alpha channel is passed on as it is. What colour stands below the alpha means
    nothing, and nothing of it gets through.

    Raises:
        ChopmarkError: The bytes are no picture, or over a limit.
    """
    from PIL import Image, ImageOps

    from chopmark.safety import decode_image

    # Every check of foreign pictures is there; what passed it opens here.
    decode_image(data, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    with Image.open(io.BytesIO(data)) as picture:
        if not picture.has_transparency_data:
            return data
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    out = io.BytesIO()
    ImageOps.invert(upright.getchannel("A")).convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()
