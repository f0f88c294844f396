"""Fetch one file from an address that a stranger named, without being made a tool of.

The name is resolved here, every address it has must be a public one, and the connection goes to the
very address that was checked: between check and use a name cannot come to mean another machine.
HTTPS on port 443 only, no redirects, no proxies, bounded in bytes and time.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from chopmark.errors import ImageTooLarge, InvalidRequest
from chopmark.kit.addresses import is_public_address

__all__ = ["Fetched", "check_address", "fetch_file", "fetch_public", "linked_manifest"]

_CHUNK: Final = 65_536
_MAX_LINK: Final = 8_192
_LINK: Final = re.compile(r"<([^<>]{1,4096})>([^<>]{0,1024})")
_REL: Final = re.compile(
    r';\s{0,8}rel\s{0,8}=\s{0,8}(?:"([^"]{0,256})"|([^\s;,"]{1,256}))', re.IGNORECASE
)
_MAX_URL: Final = 4_096


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What an address gave.

    Attributes:
        data: The body.
        manifest: Where its C2PA manifest is, as the answer's ``Link`` header says
            (``rel="c2pa-manifest"``, C2PA 2.4, 11.4); it is named and not visited.
    """

    data: bytes = field(repr=False)
    manifest: str | None = None


def fetch_public(url: str, *, max_bytes: int, timeout_s: float = 10.0) -> bytes:
    """Return the body at a public HTTPS address; see :func:`fetch_file`."""
    return fetch_file(url, max_bytes=max_bytes, timeout_s=timeout_s).data


def fetch_file(url: str, *, max_bytes: int, timeout_s: float = 10.0) -> Fetched:
    """Return the file at a public HTTPS address, and where its manifest is said to be.

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
            manifest = linked_manifest(answer.getheader("link") or "", url)
            return Fetched(data=_body(answer, max_bytes, deadline), manifest=manifest)
    except (OSError, http.client.HTTPException) as error:
        raise InvalidRequest(f"{host} does not answer: {type(error).__name__}") from error
    finally:
        connection.close()


def linked_manifest(header: str, base: str) -> str | None:
    """Return the address that a ``Link`` header (RFC 8288) gives a manifest, if it gives one.

    Args:
        header: The header's value.
        base: The address that was asked, which a relative one is relative to.
    """
    for found in _LINK.finditer(header[:_MAX_LINK]):
        relations = _REL.search(found[2])
        named = (relations[1] or relations[2] or "") if relations else ""
        if "c2pa-manifest" in named.lower().split():
            try:
                return urljoin(base, str(found[1]).strip())
            except ValueError:
                return None
    return None


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
