"""Servers of others, small: on loopback, over real sockets, with answers that a test writes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Asked", "Loopback", "Reply"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that came in; names of headers are in small letters, ``path`` has the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; a ``body`` in pieces is sent piece by piece, with ``length`` promised before."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


class Loopback:
    """A running server; subclasses say in ``reply`` what it answers, or ``answer`` does.

    Attributes:
        url: Where it is, without a slash at the end.
        asked: What was asked, in order.
        closing: Set when it closes. A server that hangs waits for this, and no test for the hang.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Reply] | None = None,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._answer = answer
        self._server = _Quiet(("127.0.0.1", port), _handler_for(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def reply(self, asked: Asked) -> Reply:
        """Answer one request."""
        assert self._answer is not None
        return self._answer(asked)

    def hang(self) -> Reply:
        """Answer nothing as long as the server lives."""
        self.closing.wait()
        return Reply(503)

    def close(self) -> None:
        """Stop listening; nobody who comes later is answered. Idempotent."""
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests are about."""


def _handler_for(server: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = Asked(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers["content-length"] or 0)),
            )
            server.asked.append(asked)
            reply = server.reply(asked)
            pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
            length = len(reply.body) if isinstance(reply.body, bytes) else reply.length
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(length))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)

        do_GET = do_POST = _answer  # noqa: N815  the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
