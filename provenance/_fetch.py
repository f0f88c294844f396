"""Fetch one file from an address that a stranger named, without being made a tool of.

The name is resolved here, every address it has must be a public one, and the connection goes to the
very address that was checked: between check and use a name cannot come to mean another machine.
HTTPS on port 443 only, no redirects, no proxies, bounded in bytes and time.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from chopmark.errors import ImageTooLarge, InvalidRequest
from chopmark.kit.addresses import is_public_address

__all__ = ["check_address", "fetch_public"]

_CHUNK: Final = 65_536
_MAX_URL: Final = 4_096


def fetch_public(url: str, *, max_bytes: int, timeout_s: float = 10.0) -> bytes:
    """Return the body at a public HTTPS address.

    Raises:
        InvalidRequest: The address is not one that is visited, or does not answer 200 in time.
        ImageTooLarge: More bytes than the limit.
    """
    host, target = check_address(url)
    deadline = time.monotonic() + timeout_s
    connection = _Pinned(host, _public_address(host), timeout=timeout_s)
    try:
        connection.request("GET", target, headers={"accept": "*/*", "user-agent": "chopmark"})
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise InvalidRequest(
                    f"{host} answered {answer.status}", hint="redirects are not followed"
                )
            return _body(answer, max_bytes, deadline)
    except (OSError, http.client.HTTPException) as error:
        raise InvalidRequest(f"{host} does not answer: {type(error).__name__}") from error
    finally:
        connection.close()


def check_address(url: str) -> tuple[str, str]:
    """Return host and request target of an address that may be visited, name unresolved.

    Raises:
        InvalidRequest: Not HTTPS, another port than 443, a user name in it, or no host.
    """
    try:
        parts = urlsplit(url) if len(url) <= _MAX_URL else None
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    if (
        parts is None
        or parts.scheme != "https"
        or not parts.hostname
        or parts.username is not None
        or port not in {None, 443}
        or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url)
    ):
        raise InvalidRequest(
            "the reference is no plain https address", hint="https, port 443, no user name"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        target.encode("ascii")
        host = parts.hostname.encode("idna").decode()
    except UnicodeError as error:
        raise InvalidRequest("the reference is not percent-encoded") from error
    return host, target


def _public_address(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidRequest(f"{host} is not known") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not all(map(is_public_address, addresses)):
        raise InvalidRequest(f"{host} is not a public address")
    if not addresses:
        raise InvalidRequest(f"{host} is not known")
    return addresses[0]


def _body(answer: http.client.HTTPResponse, max_bytes: int, deadline: float) -> bytes:
    out = bytearray()
    while chunk := answer.read(_CHUNK):
        out += chunk
        if len(out) > max_bytes:
            raise ImageTooLarge(f"the reference has more than the {max_bytes} bytes announced")
        if time.monotonic() > deadline:
            raise InvalidRequest("the reference does not arrive in time")
    return bytes(out)


class _Pinned(http.client.HTTPSConnection):
    """Connects to one address, and checks the certificate for the name."""

    def __init__(self, host: str, address: str, *, timeout: float) -> None:
        super().__init__(host, 443, timeout=timeout, context=ssl.create_default_context())
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), self.timeout)
        try:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
