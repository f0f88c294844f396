"""Messages to addresses that a tenant named, without being made a tool of.

The name is resolved here and every address that it has must be public, unless the deployer allows
others; the connection goes to the very address that was checked. No redirects, no proxies, one
answer of which only the status is read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from chopmark.errors import InvalidRequest
from chopmark.kit.addresses import is_public_address

if TYPE_CHECKING:
    from chopmark.tenancy.webhooks import Delivery

__all__ = ["check_target", "send", "signature"]

_TIMEOUT_S: Final = 5.0
_MAX_URL: Final = 2048


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


def check_target(url: str, *, private: bool) -> None:
    """Let an address pass that messages may be sent to.

    Args:
        url: ``https://...``; plain http only where private addresses are allowed.
        private: Whether addresses of this machine and of private networks are allowed.

    Raises:
        InvalidRequest: It is none that is visited.
    """
    _resolve(_parse(url, private=private), private=private)


def _parse(url: str, *, private: bool) -> _Target:
    try:
        parts = urlsplit(url) if len(url) <= _MAX_URL else None
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    allowed = {"https", "http"} if private else {"https"}
    if (
        parts is None
        or parts.scheme not in allowed
        or not parts.hostname
        or parts.username is not None
        or parts.fragment
        or not url.isascii()
        or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url)
    ):
        raise InvalidRequest(
            "the address is no plain https address",
            hint="https://host/path, in ASCII, without a user name",
            param="url",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = 443 if parts.scheme == "https" else 80
    return _Target(parts.scheme, parts.hostname, port or usual, path)


def _resolve(target: _Target, *, private: bool) -> str:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InvalidRequest(f"{target.host} is not known", param="url") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not (private or all(map(is_public_address, addresses))):
        raise InvalidRequest(
            f"{target.host} is not a public address",
            hint="the deployer allows others with CHOPMARK_WEBHOOKS_PRIVATE",
            param="url",
        )
    return addresses[0]


def signature(secret: str, *, message_id: str, timestamp: int, body: str) -> str:
    """Return the ``webhook-signature`` of a message (Standard Webhooks 1.0.0, symmetric)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def send(delivery: Delivery, *, private: bool) -> int:
    """Send one message; return the status of the answer.

    Raises:
        InvalidRequest: The address is none that is visited (any more).
        OSError: Nobody answers in time.
    """
    target = _parse(delivery.url, private=private)
    address = _resolve(target, private=private)
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "chopmark-webhooks",
        "webhook-id": delivery.delivery_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(
            delivery.secret, message_id=delivery.delivery_id, timestamp=now, body=delivery.body
        ),
    }
    connection = _Pinned(target, address)
    try:
        connection.request("POST", target.path, body=delivery.body.encode(), headers=headers)
        with connection.getresponse() as answer:
            return answer.status
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error
    finally:
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """Connects to one address, and checks the certificate for the name."""

    def __init__(self, target: _Target, address: str) -> None:
        super().__init__(target.host, target.port, timeout=_TIMEOUT_S)
        self._target, self._address = target, address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self._target.port), self.timeout)
        if self._target.scheme == "http":
            self.sock = plain
            return
        try:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self._target.host)
        except BaseException:
            plain.close()
            raise
