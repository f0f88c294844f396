"""Messages to addresses that a tenant named, without being made a tool of.

The name is resolved here and every address that it has must be public, unless the deployer allows
others; the connection goes to the very address that was checked. No redirects, no proxies, one
answer of which only the status is read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from chopmark.errors import InvalidRequest
from chopmark.kit.addresses import is_public_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.tenancy.outbox import Delivery

__all__ = ["check_target", "send", "signature", "signed_headers"]

_TIMEOUT_S: Final = 5.0
_LONGEST_S: Final = 15.0
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


def signed_headers(delivery: Delivery, timestamp: int) -> dict[str, str]:
    """Return the headers of a webhook's message (Standard Webhooks 1.0.0).

    While an earlier secret is still good there are two signatures, with a space between.
    """
    secrets = [one for one in (delivery.secret, delivery.earlier_secret) if one]
    return {
        "webhook-id": delivery.delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            signature(
                secret,
                message_id=delivery.delivery_id,
                timestamp=timestamp,
                body=delivery.body,
            )
            for secret in secrets
        ),
    }


def send(
    delivery: Delivery,
    *,
    private: bool,
    headers: Mapping[str, str] | None = None,
    longest_s: float = _LONGEST_S,
) -> int:
    """Send one message; return the status of the answer.

    Args:
        delivery: The message.
        private: As for :func:`check_target`.
        headers: Instead of those of a webhook.
        longest_s: Seconds for it all: an answer that drips in byte by byte is one too many.

    Raises:
        InvalidRequest: The address is none that is visited (any more).
        OSError: Nobody answers in time.
    """
    target = _parse(delivery.url, private=private)
    address = _resolve(target, private=private)
    if headers is None:
        headers = signed_headers(delivery, int(time.time()))
    usual = {"content-type": "application/json", "user-agent": "chopmark-webhooks"}
    connection = _Pinned(target, address)
    ends = threading.Timer(longest_s, connection.abort)
    ends.daemon = True
    ends.start()
    try:
        connection.request(
            "POST", target.path, body=delivery.body.encode(), headers={**usual, **headers}
        )
        with connection.getresponse() as answer:
            if not connection.aborted:  # one that was broken off in its headers reads as whole
                return answer.status
        raise TimeoutError(f"no answer within {longest_s:g} s")
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error
    finally:
        ends.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """Connects to one address, and checks the certificate for the name."""

    def __init__(self, target: _Target, address: str) -> None:
        super().__init__(target.host, target.port, timeout=_TIMEOUT_S)
        self._target, self._address = target, address
        self.aborted = False

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self._target.port), self.timeout)
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            # Kept before the handshake, so that one which never ends can be broken off as well.
            secured = context.wrap_socket(
                self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self.sock = secured
            secured.do_handshake()
        if self.aborted:
            raise TimeoutError("connected too late")

    def abort(self) -> None:
        """Break off, from another thread: whoever reads or writes is told that nobody is there."""
        self.aborted = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
