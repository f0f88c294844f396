"""JSON from strangers, looked at before it is parsed: how deep, how much, and whether it is text.

A parser makes objects of what it reads, some 60 bytes of every two, and recurses into what is
nested. The checks here are searches over the bytes, so they cost less than the parser would.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit.limits import JSON_DEPTH, JSON_VALUES
from chopmark.pipeline.steps import in_thread
from chopmark.service.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["JsonBody", "again", "check_json", "read_body"]

_JSON: Final = re.compile(rb"application/(?:[\w.-]{1,60}\+)?json\b", re.IGNORECASE)
# From here on the checks take milliseconds, in which the event loop had better serve others.
_LARGE: Final = 1 << 20
# A whole text of JSON (RFC 8259, section 7). Possessive: what was passed is never tried again.
_TEXTS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STRUCTURE: Final = (b",", b":", b"[", b"{")
# Escapes that make characters: not NUL, and of D800..DFFF only a high half before a low one.
_SOUND: Final = re.compile(
    rb"(?:[^\\]++"
    rb"|\\[^u]"
    rb"|\\u(?!0000|[dD][89a-fA-F])"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+",
    re.DOTALL,
)


def check_json(body: bytes) -> None:
    """Let JSON pass that is worth parsing. Whether it is JSON at all, the parser says.

    Raises:
        InvalidRequest: Not UTF-8, too deep, too many values, half a surrogate pair, or NUL.
    """
    # No text of JSON has a NUL byte in it; UTF-16 and UTF-32 have, which a parser would guess.
    if b"\0" in body or not _is_utf8(body):
        raise InvalidRequest("the body is not JSON in UTF-8")
    if b"\\u" in body:
        sound = _SOUND.match(body)
        if sound is None or sound.end() != len(body):
            raise InvalidRequest("a text in the body has half a surrogate pair, or NUL, in it")
    # Most bodies have so little structure that what stands within texts may be counted with it.
    if _count(body) <= JSON_VALUES.most and _opened(body) <= JSON_DEPTH.most:
        return
    # Each text has a comma, a colon or a bracket beside it. A quote that seems to be escaped may
    # end a text (`"\\"`), but never both of its quotes do.
    if body.count(b'"') - body.count(b'\\"') > 2 * (JSON_VALUES.most + 1):
        raise InvalidRequest(f"the body has more than {JSON_VALUES.most} values")
    structure = _TEXTS.sub(b"", body)
    if _count(structure) > JSON_VALUES.most:
        raise InvalidRequest(f"the body has more than {JSON_VALUES.most} values")
    depth = 0
    for bracket in re.findall(rb"[][{}]", structure):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH.most:
            raise InvalidRequest(f"the body is nested more than {JSON_DEPTH.most} deep")


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _count(body: bytes) -> int:
    return sum(body.count(one) for one in _STRUCTURE)


def _opened(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


class JsonBody:
    """ASGI middleware; stands behind ``Access``, so that nobody's body is read for nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose body can be parsed, or answer 400."""
        kind = dict(scope["headers"]).get(b"content-type", b"") if scope["type"] == "http" else b""
        if _JSON.match(kind) is None:
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return  # the client went away while it was sending
        try:
            if len(body) > _LARGE:
                await in_thread(lambda: check_json(body))
            else:
                check_json(body)
        except ChopmarkError as error:
            scope.setdefault("state", {})["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        await self.app(scope, again(body, receive), send)


async def read_body(receive: Receive) -> bytes | None:
    """Return a whole body, or ``None`` where the client went away before its end."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once more, and then what else comes."""
    given = False

    async def once() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return once
