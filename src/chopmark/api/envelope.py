"""The outermost layer: every answer has a request id, and no exception gets past it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from chopmark.api.problems import problem_response
from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Envelope"]


class Envelope:
    """ASGI middleware. The id is always ours: what a caller sends as one is not trusted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def labelled(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self.app(scope, receive, labelled)
        except Exception as error:
            if started:
                raise  # the connection is cut: half an answer must not look whole
            unknown = ChopmarkError(
                f"internal error: {type(error).__name__}",
                hint=f"the operator's log has the cause of {request_id}",
            )
            await problem_response(unknown, path=scope["path"])(scope, receive, labelled)
