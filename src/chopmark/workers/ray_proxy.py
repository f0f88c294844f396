"""What Ray's proxy answers when the site that worked on a request is gone: 503, with a time.

Ray itself leaves such a request without an answer, which its server turns into a bare 500. Its
proxies run this where ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` names :func:`middlewares`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["NAMED", "SiteGone", "middlewares"]

#: What the variable is set to on every machine.
NAMED: Final = "chopmark.workers.ray_proxy:middlewares"
#: Until another site may take the request up by its ``Idempotency-Key``.
_RETRY_AFTER_S: Final = 12
_BODY: Final[dict[str, Any]] = {
    "error": {
        "message": "the machine that worked on this request is gone",
        "hint": "send it again with the same Idempotency-Key: it leads to one record",
        "type": "server_error",
        "param": None,
        "code": "worker_lost",
    }
}


class SiteGone:
    """ASGI middleware: answers where nobody else does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        begun = scope["type"] != "http"

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        await self._app(scope, receive, noted)
        if begun:
            return
        body = json.dumps(_BODY).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(_RETRY_AFTER_S).encode()),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def middlewares() -> list[Middleware]:
    """Return what Ray's proxy is to put around its own application."""
    from starlette.middleware import Middleware

    return [Middleware(SiteGone)]
