"""ASGI middleware for a server of OpenAI's Images API: its answers are sealed on their way out.

>>> from starlette.applications import Starlette
>>> from chopmark import Pipeline, Settings
>>> from chopmark.middleware import GovernedImages
>>> app = Starlette()
>>> app.add_middleware(  # doctest: +SKIP
...     GovernedImages, pipeline=Pipeline.from_settings(Settings()), model="a model of mine"
... )

It is what ``remote:`` is from the other side: there Chopmark asks such a server, here it stands in
front of one. It fails closed: an answer that it cannot seal does not leave.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from chopmark.errors import ChopmarkError, GenerationFailed, InvalidRequest
from chopmark.middleware.sealing import check_prompts, seal
from chopmark.pipeline.released import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from chopmark.pipeline import Pipeline

__all__ = ["GovernedImages"]

_PATHS: Final = ("/images/generations", "/images/edits", "/images/variations")
_MOST_BYTES: Final = 256 * 2**20
_DATA: Final = "data:"


class GovernedImages:
    """Judges the prompt, lets the server make its pictures, and seals each of them.

    Args:
        app: The server.
        pipeline: Judges, marks, signs and books.
        model: What the manifest names; unset: the ``model`` of each request.
        tenant: Whose policy and log namespace apply.
    """

    def __init__(
        self,
        app: ASGIApp,
        pipeline: Pipeline,
        *,
        model: str | None = None,
        tenant: str = "default",
    ) -> None:
        self.app = app
        self.pipeline = pipeline
        self.model = model
        self.tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Govern a request for pictures; any other passes by."""
        asks = scope["type"] == "http" and scope["method"] == "POST"
        if not asks or not scope["path"].endswith(_PATHS):
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        try:
            fields = await _fields(scope, body)
            prompt = str(fields.get("prompt") or "")
            await check_prompts(self.pipeline, [prompt], tenant=self.tenant)
            status, headers, answer = await self._ask(scope, body)
            if status == 200:
                model = self.model or str(fields.get("model") or "unnamed")
                answer = await self._sealed(answer, prompt=prompt, model=model)
        except ChopmarkError as error:
            await _problem(error)(scope, receive, send)
            return
        kept = [
            (name, value)
            for name, value in headers
            if name.lower() not in (b"content-length", b"content-encoding", b"transfer-encoding")
        ]
        kept.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": answer})

    async def _ask(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, headers and whole body of the server's answer; nothing leaves yet."""
        given = False
        start: Message = {}
        pieces: list[bytes] = []

        async def receive() -> Message:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                pieces.append(message.get("body", b""))

        # A compressed answer could not be read here.
        headers = [one for one in scope["headers"] if one[0].lower() != b"accept-encoding"]
        await self.app({**scope, "headers": headers}, receive, send)
        if not start:
            raise GenerationFailed("the server behind gave no answer")
        return start["status"], list(start.get("headers", [])), b"".join(pieces)

    async def _sealed(self, answer: bytes, *, prompt: str, model: str) -> bytes:
        try:
            body = json.loads(answer)
            rows = [_picture(row) for row in body["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise GenerationFailed(
                "the answer of the server behind holds no pictures that can be sealed",
                hint="it must be JSON with b64_json, or data: URLs",
            ) from error
        made: list[dict[str, Any]] = []
        refused: Refused | None = None
        for row, data, name in rows:
            sealed = await seal(self.pipeline, data, prompt=prompt, model=model, tenant=self.tenant)
            if isinstance(sealed, Refused):
                refused = refused or sealed
                continue
            output = sealed.outputs[0]
            text = base64.b64encode(output.data).decode()
            url = f"data:{output.mime};base64,{text}"
            made.append(
                {
                    **row,
                    name: text if name == "b64_json" else url,
                    "provenance": {"record_id": sealed.record_id, **output.to_dict()},
                }
            )
        if refused is not None and not made:
            raise refused
        return json.dumps({**body, "data": made}).encode()


def _picture(row: dict[str, Any]) -> tuple[dict[str, Any], bytes, str]:
    """Return a row without its picture, the picture, and where it stood.

    Raises:
        ValueError: It is at an address, where nobody could seal it.
    """
    rest = {name: value for name, value in row.items() if name not in ("b64_json", "url")}
    text, name = row.get("b64_json"), "b64_json"
    if text is None:
        head, _, text = str(row.get("url", "")).partition(",")
        if not head.startswith(_DATA) or not head.endswith(";base64"):
            raise ValueError("a picture at an address")
        name = "url"
    try:
        return rest, base64.b64decode(text, validate=True), name
    except binascii.Error as error:
        raise ValueError("no base64") from error


async def _whole(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > _MOST_BYTES or not message.get("more_body", False):
            return b"" if size > _MOST_BYTES else b"".join(pieces)


async def _fields(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the fields of a request, be it JSON or a form.

    Raises:
        InvalidRequest: It cannot be read, or asks for a stream.
    """

    async def once() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request(scope, once)
    try:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form() as form:
                fields: Any = {name: one for name, one in form.items() if isinstance(one, str)}
        else:
            fields = json.loads(body)
    except Exception as error:
        raise InvalidRequest("the request cannot be read") from error
    if not isinstance(fields, dict):
        raise InvalidRequest("the request is no JSON object")
    if str(fields.get("stream")).lower() == "true":
        raise InvalidRequest(
            "pictures are sealed when they are finished",
            hint="leave stream away",
            param="stream",
        )
    return fields


def _problem(error: ChopmarkError) -> JSONResponse:
    refused = isinstance(error, Refused)
    body: dict[str, Any] = {
        "message": error.explain(),
        "type": "image_generation_user_error" if refused else "invalid_request_error",
        "param": error.param if isinstance(error, InvalidRequest) else None,
        "code": error.code,
    }
    if isinstance(error, Refused):
        body["decision_id"] = error.record_id
    headers = {"x-should-retry": "false"} if refused else None
    return JSONResponse({"error": body}, error.status, headers=headers)
