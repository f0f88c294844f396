"""``Idempotency-Key``: the same request again gets the same bytes, and adds no record."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.claim import Claim
from chopmark.service.json_body import again, read_body
from chopmark.service.problems import problem_response
from chopmark.tenancy.replays import KeptAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from chopmark.tenancy.replays import Replays, Unanswered

__all__ = ["Idempotency"]

_LOG = logging.getLogger(__name__)
_BOUNDARY = re.compile(rb'boundary="?([^";,]+)')
# What may end differently when tried again.
_PASSING: Final = frozenset({408, 409, 425, 429, 499})
_REPLAYED: Final = (b"idempotent-replayed", b"true")


class Idempotency:
    """ASGI middleware; stands behind ``Access``, since keys belong to tenants.

    Args:
        app: What answers for the first time.
        replays: The answers that are kept.
        erased: Tells of a record whether something that was asked for in it is erased.
        check: Called with the record of a kept answer before it leaves again; what it raises is
            the answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        replays: Replays,
        erased: Callable[[str], bool],
        check: Callable[[str], None],
    ) -> None:
        self.app = app
        self.replays = replays
        self.erased = erased
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
        tenant, key = caller.keys_are_of, sent[0]
        try:
            if len(sent) > 1:
                raise InvalidRequest("more than one Idempotency-Key was sent")
            mark = _fingerprint(scope, body)
            before = await in_thread(lambda: self._before(tenant, key, mark))
        except ChopmarkError as error:
            scope["state"]["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        if isinstance(before, KeptAnswer):
            await _replay(before, send)
            return
        claim = Claim(
            replays=self.replays, tenant=tenant, key=key, fingerprint=mark, earlier=before
        )
        scope["state"]["claim"] = claim
        recorder = _Recorder(claim, send)
        try:
            await self.app(scope, again(body, receive), recorder)
        finally:
            if not recorder.kept:
                # Shielded: also a cancelled request must let go of its key.
                await asyncio.shield(in_thread(lambda: self._let_go(tenant, key)))

    def _let_go(self, tenant: str, key: str) -> None:
        try:
            self.replays.drop(tenant, key)
        except ChopmarkError as error:
            _LOG.error("a key could not be let go", exc_info=error)

    def _before(self, tenant: str, key: str, mark: bytes) -> KeptAnswer | Unanswered | None:
        before = self.replays.begin(tenant, key, mark)
        if isinstance(before, KeptAnswer) and before.record_id is not None:
            if self.erased(before.record_id):
                self.replays.forget([before.record_id])
                return self.replays.begin(tenant, key, mark)  # which says that it was erased
            self.check(before.record_id)
        return before


class _Recorder:
    """Passes an answer on, and keeps it before its last byte leaves."""

    def __init__(self, claim: Claim, send: Send) -> None:
        self.kept = False
        self._claim = claim
        self._send = send
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._claim.again:
                message = {**message, "headers": [*message["headers"], _REPLAYED]}
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
        sent = self._start["headers"]
        answer = KeptAnswer(
            status=status,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in sent
                if name != _REPLAYED[0]
            ),
            body=bytes(self._body),
            # A stream's head says nothing of its record, and is sent before there is one.
            record_id=self._claim.record_id or Headers(raw=sent).get("x-record-id"),
        )
        claim = self._claim
        try:
            await in_thread(
                lambda: claim.replays.finish(claim.tenant, claim.key, claim.fingerprint, answer)
            )
        except ChopmarkError as error:
            # It is booked and on its way; what it was about to end in is kept already.
            _LOG.error("an answer could not be kept for its key", exc_info=error)
            return
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
    headers.append(_REPLAYED)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
