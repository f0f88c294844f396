"""The outermost layer: a request id, a log line and a count each; no exception escapes."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from chopmark.errors import ChopmarkError
from chopmark.kit.tracing import span
from chopmark.service.library_log import for_request, library_lines
from chopmark.service.logging import line_of, route_of
from chopmark.service.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from chopmark.service.logging import ServerLogger
    from chopmark.service.metrics import Metrics

__all__ = ["Envelope"]

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Envelope:
    """ASGI middleware. The id is always ours: what a caller sends as one is not trusted."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, logger: ServerLogger) -> None:
        self.app = app
        self.metrics = metrics
        self.logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] == "lifespan":
            with library_lines(self.logger):
                await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        with for_request(scope, request_id, self.logger):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        begun = time.perf_counter()
        status = 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                state["record_id"] = headers.get("x-record-id")
            await send(message)

        try:
            with span("chopmark.http", headers=_trace_of(scope)) as attributes:
                try:
                    await self.app(scope, receive, labelled)
                finally:
                    attributes |= {"route": route_of(scope), "status": str(status)}
                    attributes["request_id"] = request_id
        except Exception as error:  # noqa: BLE001  it is told in the log and in the answer
            state["error"] = error
            if status:
                # The connection is cut, since half an answer must not look whole. The server's
                # own log gets no message of the cause.
                raise ConnectionAbortedError("an answer was cut short") from None
            unknown = ChopmarkError(
                f"internal error: {type(error).__name__}",
                hint=f"the operator's log has the cause of {request_id}",
            )
            await problem_response(unknown, path=scope["path"])(scope, receive, labelled)
        finally:
            seconds = time.perf_counter() - begun
            self.metrics.answered(
                route=route_of(scope),
                method=scope["method"] if scope["method"] in _METHODS else "other",
                status=status,
                seconds=seconds,
            )
            self.logger.info("request", **line_of(scope, status=status, seconds=seconds))


def _trace_of(scope: Scope) -> dict[str, str]:
    """Return the headers of W3C Trace Context, by which a caller's trace goes on with ours."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in {b"traceparent", b"tracestate"}
    }
