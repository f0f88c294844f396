"""``Idempotency-Key``: the same request again gets the same bytes, and adds no record."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.json_body import again, read_body
from chopmark.service.problems import problem_response
from chopmark.tenancy.replays import KeptAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from chopmark.service.caller import Caller
    from chopmark.tenancy.replays import Replays

__all__ = ["Idempotency"]

_BOUNDARY = re.compile(rb'boundary="?([^";,]+)')
# What may end differently when tried again.
_PASSING: Final = frozenset({408, 409, 425, 429, 499})


class Idempotency:
    """ASGI middleware; stands behind ``Access``, since keys belong to tenants.

    Args:
        app: What answers for the first time.
        replays: The answers that are kept.
        check: Called with the record of a kept answer before it leaves again; what it raises is
            the answer.
    """

    def __init__(self, app: ASGIApp, *, replays: Replays, check: Callable[[str], None]) -> None:
        self.app = app
        self.replays = replays
        self.check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay a kept answer, or run the request and keep its answer."""
        sent = Headers(scope=scope).getlist("idempotency-key") if scope["type"] == "http" else []
        caller = scope.get("state", {}).get("caller")
        if not sent or scope["method"] != "POST" or caller is None:
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return  # the client went away while it was sending
        tenant, key = _whose(caller), sent[0]
        try:
            if len(sent) > 1:
                raise InvalidRequest("more than one Idempotency-Key was sent")
            mark = _fingerprint(scope, body)
            before = await in_thread(lambda: self.replays.begin(tenant, key, mark))
            record_id = Headers(headers=dict(before.headers)).get("x-record-id") if before else None
            if record_id:
                await in_thread(lambda: self.check(record_id))
        except ChopmarkError as error:
            scope["state"]["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        if before is not None:
            await _replay(before, send)
            return
        recorder = _Recorder(self.replays, (tenant, key, mark), send)
        try:
            await self.app(scope, again(body, receive), recorder)
        finally:
            if not recorder.kept:
                # Shielded: also a cancelled request must let go of its key.
                await asyncio.shield(in_thread(lambda: self.replays.drop(tenant, key)))


def _whose(caller: Caller) -> str:
    """Return whose keys these are: another caller of the tenant may not be allowed the answer."""
    scopes = ",".join(sorted(caller.scopes))
    return f"{caller.tenant.name} {caller.key_id or caller.name} {scopes}"


class _Recorder:
    """Passes an answer on, and keeps it before its last byte leaves."""

    def __init__(self, replays: Replays, claimed: tuple[str, str, bytes], send: Send) -> None:
        self.kept = False
        self._replays = replays
        self._claimed = claimed
        self._send = send
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._keep()
        await self._send(message)

    async def _keep(self) -> None:
        status = self._start["status"]
        if status >= 500 or status in _PASSING:
            return
        answer = KeptAnswer(
            status=status,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in self._start["headers"]
            ),
            body=bytes(self._body),
        )
        await in_thread(lambda: self._replays.finish(*self._claimed, answer))
        self.kept = True


def _fingerprint(scope: Scope, body: bytes) -> bytes:
    kind = dict(scope["headers"]).get(b"content-type", b"")
    boundary = _BOUNDARY.search(kind) if kind.startswith(b"multipart/") else None
    if boundary is not None:
        # A client that tries again draws a new boundary for the same form.
        body = body.replace(boundary[1], b"boundary")
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope["raw_path"], scope["query_string"], body):
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()


async def _replay(answer: KeptAnswer, send: Send) -> None:
    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]
    headers.append((b"idempotent-replayed", b"true"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
