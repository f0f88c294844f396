"""Pictures as they come in JSON: ``data:`` URLs and base64."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from chopmark.errors import ImageTooLarge, InvalidRequest

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["from_base64", "from_data_url"]

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
