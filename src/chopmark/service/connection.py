"""Connections to ``chopmark serve``: headers in time, and never more than there is room for.

What uvicorn (0.54) bounds is the size of unfinished headers and the silence between two requests.
It waits for ever for headers that never end, and reads on for ever what nobody asked for after an
answer (a body that was refused). Both have a time here, and when all places are taken, whoever has
kept the server waiting longest loses theirs: a thousand half-sent requests shut nobody out. How
many places one address may have is the proxy's affair: behind it all have the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from chopmark.errors import (
    Busy,
    ChopmarkError,
    ConfigurationError,
    HeadersTooLarge,
    InvalidRequest,
    RequestTimeout,
)
from chopmark.kit.limits import HEADERS, HEADERS_S
from chopmark.service.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from chopmark.settings import Settings

__all__ = ["BoundedConnection", "behind_proxies", "server_options"]

# What comes after an answer is read for so long, so that the client gets to read the answer: a
# connection that is closed on unread bytes takes the answer with it (RFC 9112, section 9.6).
_REST_S: Final = 5.0


def server_options(settings: Settings) -> dict[str, Any]:
    """Return the options of uvicorn's ``Config`` that bound connections and headers.

    Raises:
        ConfigurationError: ``Settings.trusted_proxies`` cannot be read.
    """
    proxies = _proxies(settings)

    class Connection(BoundedConnection):
        most = settings.max_connections

    return {
        # Not uvloop where some other package has brought it: this one is what was tried.
        "loop": "asyncio",
        "http": Connection,
        "h11_max_incomplete_event_size": HEADERS.most,
        "ws": "none",
        # By itself uvicorn believes whatever comes from loopback, which is every local program.
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies,
    }


def behind_proxies(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return an application that believes the trusted proxies, where another server runs it.

    Raises:
        ConfigurationError: ``Settings.trusted_proxies`` cannot be read.
    """
    proxies = _proxies(settings)
    # uvicorn's types are those of asgiref, which say the same.
    return ProxyHeadersMiddleware(app, proxies) if proxies else app  # type: ignore[arg-type,return-value]


def _proxies(settings: Settings) -> list[str]:
    """Return the addresses and networks that are believed.

    Raises:
        ConfigurationError: One is neither.
    """
    names = [name.strip() for name in settings.trusted_proxies.split(",") if name.strip()]
    for name in names:
        try:
            ipaddress.ip_network(name)
        except ValueError:
            raise ConfigurationError(
                f"setting trusted_proxies: {name!r} is no address and no network",
                hint="for example CHOPMARK_TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8",
            ) from None
    return names


class BoundedConnection(H11Protocol):
    """One connection.

    Attributes:
        most: Connections at once.
        waits_since: The loop's time since which the server waits for this client; ``None`` while
            it works for it.
    """

    most: int = 512
    headers_s: float = HEADERS_S.most
    rest_s: float = _REST_S

    waits_since: float | None = None
    _late: asyncio.TimerHandle | None = None
    _waits_for: str = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or another's."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._wait_for("")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """Answer what is no HTTP, or has too long a head."""
        error = sys.exception()
        if getattr(error, "error_status_hint", 400) == 431:
            self._refuse(
                HeadersTooLarge(
                    f"the headers are over {HEADERS.most} bytes", hint="send fewer or shorter ones"
                )
            )
        else:
            self._refuse(InvalidRequest("this is not an HTTP request"))

    def _watch(self) -> None:
        """Note what is waited for now: headers, a body, the rest of a refused one, or nothing."""
        theirs = self.conn.their_state
        if theirs is h11.IDLE:
            self._wait_for("headers", self.headers_s)
        elif theirs is h11.SEND_BODY:
            # While the body is read, `BodyLimit` has the time of it.
            answered = self.cycle is not None and self.cycle.response_complete
            self._wait_for("rest" if answered else "body", self.rest_s if answered else None)
        else:
            self._wait_for("")

    def _wait_for(self, what: str, seconds: float | None = None) -> None:
        if what == self._waits_for:
            return
        self._waits_for = what
        self.waits_since = self.loop.time() if what else None
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if seconds is not None:
            self._late = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self._waits_for == "headers":
            self._refuse(
                RequestTimeout(
                    f"the headers did not arrive within {self.headers_s:g} s",
                    hint="send them at once",
                )
            )
        else:
            self.transport.close()

    def _make_room(self) -> None:
        waiting = [
            one
            for one in self.connections
            if isinstance(one, BoundedConnection)
            and one is not self
            and one.waits_since is not None
            and not one.transport.is_closing()
        ]
        if waiting:
            longest = min(waiting, key=lambda one: one.waits_since or 0.0)
            longest.transport.close()
            self.connections.discard(longest)
        else:
            self._refuse(
                Busy(
                    f"{self.most} connections are open already",
                    hint="try again in a moment",
                    retry_after_s=5,
                )
            )

    def _refuse(self, error: ChopmarkError) -> None:
        """Answer in place of the application, and close."""
        self._wait_for("")
        if self.transport.is_closing():
            return
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = problem_response(error)
            head = h11.Response(
                status_code=answer.status_code,
                headers=[*answer.raw_headers, (b"connection", b"close")],
            )
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
