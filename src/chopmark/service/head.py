"""HEAD wherever GET is (RFC 9110, section 9.3.2): the same answer without its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Head"]


class Head:
    """ASGI middleware that asks what comes next for GET, and lets only the headers through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, HEAD as GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: what is counted and logged outside is the method that was sent.
        inner = dict(scope, method="GET")
        try:
            await self.app(inner, receive, without_content)
        finally:
            for name in ("route", "endpoint", "path_params"):
                if name in inner:
                    scope[name] = inner[name]
