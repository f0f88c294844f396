"""A request that this server sends to itself, for somebody who is not there: no socket, no key.

It goes the way of every other one, through the same middlewares and routes, so that a line of a
batch is judged, counted, logged and answered as it would be if its caller sent it now.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Scope

    from chopmark.service.caller import Caller

__all__ = ["InnerAnswer", "send_inside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerAnswer:
    """What was answered.

    Attributes:
        status: Of HTTP; 499 where it was given up.
        headers: By their names in small letters.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def send_inside(
    app: ASGIApp,
    *,
    caller: Caller,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    gone: asyncio.Event,
) -> InnerAnswer:
    """Send a POST to an application of ours, and return its answer.

    Args:
        app: The API.
        caller: Who asks.
        path: Of the route.
        body: What is sent.
        headers: Names in small letters.
        gone: Set when nobody wants the answer any more: then it ends as if a client had hung up.
    """
    given = False
    status, answered = 499, bytearray()
    answer_headers: dict[str, str] = {}

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            for name, value in message["headers"]:
                answer_headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        elif message["type"] == "http.response.body":
            answered.extend(message.get("body", b""))

    sent = {**headers, "content-length": str(len(body)), "host": "localhost"}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": None,
        "server": ("localhost", 80),
        "state": {"caller": caller},
    }
    await app(scope, receive, send)
    return InnerAnswer(status=status, headers=answer_headers, body=bytes(answered))
