"""Pictures as they come in JSON: ``data:`` URLs, base64, files by id, https by opt-in."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from chopmark.errors import FileNotKept, ImageTooLarge, InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of

if TYPE_CHECKING:
    from fastapi import Request

    from chopmark.service.caller import Caller
    from chopmark.service.service import Service
    from chopmark.settings import Settings

__all__ = ["from_base64", "from_data_url", "from_file", "from_url"]

_DATA_URL: Final = re.compile(
    r"data:(?:image/[a-z0-9.+-]{1,40}|application/octet-stream)?"
    r"(?:;[a-z0-9-]{1,40}=[^;,]{0,80}){0,4};base64,",
    re.IGNORECASE,
)
_FETCH_S: Final = 10.0
# Files of batches hold requests and answers, and what is in them can be erased line by line.
_PURPOSES: Final = ("vision", "user_data")
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


async def from_file(file_id: str, http: Request, caller: Caller, *, param: str) -> bytes:
    """Return a picture that the caller's tenant handed over earlier (``/v1/files``).

    Args:
        file_id: Its name.
        http: The request, whose server keeps the files.
        caller: Who asks.
        param: The field that holds it.

    Raises:
        FileNotKept: There is none of this name, or not any more, or it is another tenant's.
        InvalidRequest: It was handed over for something else.
        ImageTooLarge: Over ``Settings.max_image_bytes``.
    """
    deployment = state_of(http.app, Deployment)
    most = deployment.settings.max_image_bytes

    def read() -> bytes:
        kept = deployment.files.get(caller.tenant.name, file_id, shown=True)
        if kept.purpose not in _PURPOSES:
            raise InvalidRequest(
                f"{param}: the file is of purpose {kept.purpose}",
                hint=f"pictures are files of purpose {' or '.join(_PURPOSES)}",
                param=param,
            )
        if kept.size > most:
            raise _too_large(param, most)
        return deployment.files.data(file_id)

    try:
        return await in_thread(read)
    except FileNotKept as error:
        error.message, error.param = f"{param}: {error.message}", param
        raise


def _too_large(param: str, most: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"{param}: the picture has more than {most} bytes",
        hint="send a smaller one, or raise CHOPMARK_MAX_IMAGE_BYTES",
        param=param,
    )


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
        raise _too_large(param, settings.max_image_bytes)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{param}: the picture is not valid base64", param=param) from None
