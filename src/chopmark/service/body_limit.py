"""A body larger than the limit is refused while it arrives, not after it filled the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, InvalidRequest
from chopmark.service.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit"]


# Base64 makes a third more of a picture, as JSON carries it; the rest is room for other fields.
_OVERHEAD: Final = 1.4


class BodyLimit:
    """ASGI middleware that counts the bytes of each request body.

    Args:
        app: What comes next.
        max_image_bytes: Largest picture; a body may have 1.4 times as many bytes.
    """

    def __init__(self, app: ASGIApp, *, max_image_bytes: int) -> None:
        self.app = app
        self.max_bytes = int(max_image_bytes * _OVERHEAD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # RFC 9112 section 6.1: what stands in front of us may have believed the other one, and
            # what follows on this connection may be a request that nobody sent.
            unclear = InvalidRequest("a body has a length or is chunked, not both")
            response = problem_response(unclear, path=scope["path"])
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        error = ImageTooLarge(
            f"the request body is over {self.max_bytes} bytes",
            hint="send a smaller picture, or raise CHOPMARK_MAX_IMAGE_BYTES",
        )
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self.max_bytes:
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        seen = 0
        over = answered = False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                over = True
                raise error
            return message

        async def sent(message: Message) -> None:
            nonlocal answered
            # Whatever the reader of the body made of our error, the answer is 413.
            if over and not answered:
                answered = True
                await problem_response(error, path=scope["path"])(scope, receive, send)
            elif not over:
                await send(message)

        try:
            await self.app(scope, counted, sent)
        except ImageTooLarge:
            if not over or answered:
                raise
            await problem_response(error, path=scope["path"])(scope, receive, send)
