"""Pictures as they come in JSON: ``data:`` URLs, base64, and https addresses by opt-in."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, InvalidRequest

if TYPE_CHECKING:
    from fastapi import Request

    from chopmark.service.caller import Caller
    from chopmark.service.service import Service
    from chopmark.settings import Settings

__all__ = ["from_base64", "from_data_url", "from_url"]

_DATA_URL: Final = re.compile(
    r"data:(?:image/[a-z0-9.+-]{1,40}|application/octet-stream)?"
    r"(?:;[a-z0-9-]{1,40}=[^;,]{0,80}){0,4};base64,",
    re.IGNORECASE,
)
_FETCH_S: Final = 10.0
_WHITE: Final = {ord(one): None for one in " \t\r\n"}


async def from_url(
    url: str, http: Request, caller: Caller, service: Service, *, param: str
) -> bytes:
    """Return the picture that a URL stands for: its own content, or what is at an https address.

    A server that fetches what a caller names can be made to read what only it can reach (SSRF,
    OWASP API7:2023). So that is off unless ``Settings.fetch_images`` is set, and then goes to
    public addresses only, which are checked after the name was resolved.

    Args:
        url: What was sent.
        http: The request, whose end is watched.
        caller: Who asks.
        service: With its settings, and turns at looking at pictures.
        param: The field that holds it.

    Raises:
        InvalidRequest: Another kind of URL, no base64, or nothing that can be fetched.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    settings = service.pipeline.settings
    if not settings.fetch_images or url[:6].lower() != "https:":
        return from_data_url(url, settings, param=param)
    from chopmark.provenance import fetch_public

    try:
        return await service.look(
            http,
            caller,
            None,
            lambda: fetch_public(url, max_bytes=settings.max_image_bytes, timeout_s=_FETCH_S),
        )
    except InvalidRequest as error:
        error.message, error.param = f"{param}: {error.message}", param
        raise


def from_data_url(url: str, settings: Settings, *, param: str) -> bytes:
    """Return the bytes of a ``data:`` URL.

    Raises:
        InvalidRequest: Another kind of URL, or no base64.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    match = _DATA_URL.match(url)
    if match is None:
        raise InvalidRequest(
            f"{param}: only data: URLs with base64 are taken",
            hint="send data:image/png;base64,...; https addresses by CHOPMARK_FETCH_IMAGES",
            param=param,
        )
    return from_base64(url[match.end() :], settings, param=param)


def from_base64(text: str, settings: Settings, *, param: str) -> bytes:
    """Return the bytes that base64 text stands for; line ends in it are passed over.

    Raises:
        InvalidRequest: Not base64.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    text = text.translate(_WHITE)
    if len(text) > settings.max_image_bytes * 4 // 3 + 4:
        raise ImageTooLarge(
            f"{param}: the picture has more than {settings.max_image_bytes} bytes",
            hint="send a smaller one, or raise CHOPMARK_MAX_IMAGE_BYTES",
            param=param,
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{param}: the picture is not valid base64", param=param) from None
