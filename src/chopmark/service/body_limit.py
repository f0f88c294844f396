"""What a request may bring, by its route: size, time and room are checked before it is read.

Reading is lazy: nothing of a body is taken from the connection before a route, or what stands in
front of it, asks for it, and by then ``Access`` knows who asks and has counted the request.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, ImageTooLarge, InvalidRequest, RequestTooLarge
from chopmark.errors import RequestTimeout as LateRequest
from chopmark.kit.limits import TEXT_BODY
from chopmark.service.problems import problem_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from chopmark.service.body_budget import Bodies, HeldBody
    from chopmark.service.caller import Caller
    from chopmark.settings import Settings

__all__ = ["BodyBound", "BodyLimit", "body_bound"]

# Base64 makes a third more of a picture, as JSON carries it; the rest is room for other fields.
_IN_JSON: Final = 1.4
# As JSON writes a character at its longest (two `\uXXXX`), in a prompt and a negative prompt.
_BYTES_A_CHARACTER: Final = 24
_EDITS: Final = re.compile(r"/v1/images/edits|/studio")
_ONE_PICTURE: Final = re.compile(
    r"/v1/images/variations"
    r"|/verify(?:/restored|/proof)?"
    r"|/api/v1/(?:verify|seal|search/by-image|hashes/[^/]+(?:/entries(?:/remove)?)?)"
    r"|/console/(?:search/by-image|hashes/add)"
    r"|/api/v1/c2pa/(?:matches/byContent|manifests)"
    r"|/v1/content_provenance_checks"
)
_FILES: Final = re.compile(r"/v1/(?:files|uploads/[^/]+/parts)")
_JSON_PICTURES: Final = re.compile(
    r"/v1/moderations"
    r"|/v1/(?:chat/completions|responses)|/v1(?:beta)?/interactions"
    r"|/v1(?:beta1?)?/(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?models/[^/]+"
    r":(?:generateContent|streamGenerateContent|countTokens|predict)"
    r"|/beta/litellm_basic_guardrail_api"
)
_PROMPTS: Final = re.compile(r"/v1/images/.*|/studio|/api/v1/(?:policies/.*|seal)")


@dataclass(frozen=True, kw_only=True)
class BodyBound:
    """How large the body of a route may be.

    Attributes:
        most: Bytes.
        pictures: Whether the route takes any.
    """

    most: int
    pictures: bool

    def error(self) -> ChopmarkError:
        """Return what is answered to a larger one."""
        message = f"the request body is over {self.most} bytes"
        if self.pictures:
            return ImageTooLarge(
                message, hint="send a smaller picture, or raise CHOPMARK_MAX_IMAGE_BYTES"
            )
        return RequestTooLarge(message, hint="this route takes no picture; send less")


def body_bound(method: str, path: str, settings: Settings) -> BodyBound:
    """Return the bound of a route's body; a route that nobody knows takes no picture."""
    text = TEXT_BODY.most
    if method not in {"POST", "PUT", "PATCH"}:
        return BodyBound(most=text, pictures=False)
    if _PROMPTS.fullmatch(path):
        text += _BYTES_A_CHARACTER * settings.max_prompt_chars
    picture = settings.max_image_bytes
    if _EDITS.fullmatch(path):
        # The picture to change, its references and a mask.
        most = (2 + settings.max_references) * picture + text
    elif _JSON_PICTURES.fullmatch(path):
        most = int(_IN_JSON * picture) + text
    elif _ONE_PICTURE.fullmatch(path):
        most = picture + text
    elif _FILES.fullmatch(path):
        most = settings.max_file_bytes + text
    else:
        return BodyBound(most=text, pictures=False)
    return BodyBound(most=min(most, settings.max_body_bytes_held), pictures=True)


class BodyLimit:
    """ASGI middleware that bounds each request body in size and time, and all of them in memory.

    Args:
        app: What comes next.
        settings: How large a picture may be, and how slow a body.
        bodies: Where what is held is counted, over all applications of one server.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, bodies: Bodies) -> None:
        self.app = app
        self.settings = settings
        self.bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 408, 413 or 503."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bound = body_bound(scope["method"], scope["path"], self.settings)
        try:
            declared = _declared(scope)
            if declared is not None and declared > bound.most:
                raise bound.error()
        except ChopmarkError as error:
            await _answer(error, scope, receive, send)
            return
        reader = _Reader(self, scope, receive, bound, declared)
        answered = False

        async def sent(message: Message) -> None:
            nonlocal answered
            # Whatever the reader of the body made of our error, the answer is the error's.
            if reader.failed is None:
                await send(message)
            elif not answered:
                answered = True
                await _answer(reader.failed, scope, receive, send)

        try:
            await self.app(scope, reader, sent)
        except ChopmarkError as error:
            if error is not reader.failed or answered:
                raise
            await _answer(error, scope, receive, send)
        finally:
            reader.release()


class _Reader:
    """The ``receive`` of one request."""

    def __init__(
        self,
        limit: BodyLimit,
        scope: Scope,
        receive: Receive,
        bound: BodyBound,
        declared: int | None,
    ) -> None:
        self.failed: ChopmarkError | None = None
        self._limit = limit
        self._scope = scope
        self._receive = receive
        self._bound = bound
        self._declared = declared
        self._seen = 0
        self._end: float | None = None
        self._held: HeldBody | None = None
        self._over = False
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    async def __call__(self) -> Message:
        # After the body only one thing can come, and it may be long in coming: the client leaves.
        if self._over:
            return await self._receive()
        try:
            message = await self._next()
        except ChopmarkError as error:
            self.failed = error
            raise
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._over = True
            if self._held is not None:
                self._held.complete()
        return message

    async def _next(self) -> Message:
        settings = self._limit.settings
        if self._end is None:
            self._end = self._now() + settings.body_timeout_s
            if self._declared != 0:
                who, known = _who(self._scope)
                self._held = self._limit.bodies.begin(who, self._declared or 0, known=known)
        try:
            async with asyncio.timeout_at(min(self._end, self._now() + settings.body_idle_s)):
                message = await self._receive()
        except TimeoutError:
            raise LateRequest(
                f"the body did not arrive in time; {self._seen} bytes of it did",
                hint=f"{settings.body_timeout_s:g} s for all of it, "
                f"{settings.body_idle_s:g} s between two pieces",
            ) from None
        size = len(message.get("body", b""))
        self._seen += size
        if self._seen > self._bound.most:
            raise self._bound.error()
        if self._held is not None:
            self._held.grow(size)
        return message

    def release(self) -> None:
        if self._held is not None:
            self._held.release()


def _declared(scope: Scope) -> int | None:
    """Return the length of the body; ``None`` where it is chunked, 0 where there is none."""
    headers = dict(scope["headers"])
    length, chunked = headers.get(b"content-length"), b"transfer-encoding" in headers
    if chunked and length is not None:
        # RFC 9112 section 6.1: what stands in front of us may have believed the other one, and
        # what follows on this connection may be a request that nobody sent.
        raise InvalidRequest("a body has a length or is chunked, not both")
    if chunked:
        return None
    return int(length) if length is not None and length.isdigit() else 0


def _who(scope: Scope) -> tuple[str, bool]:
    """Return whose bodies are counted together, and whether they are anybody's we know."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    if caller is not None and not caller.unknown:
        return caller.counted_as, True
    client = scope.get("client")
    return f"from {client[0] if client else ''}", False


async def _answer(error: ChopmarkError, scope: Scope, receive: Receive, send: Send) -> None:
    scope.setdefault("state", {})["error"] = error
    response = problem_response(error, path=scope["path"])
    if isinstance(error, LateRequest) or error.status == 400:
        # What else comes on this connection is not to be taken for a request.
        response.headers["connection"] = "close"
    await response(scope, receive, send)
