"""Sends the lines of batches and jobs while a server runs, a few at a time.

Each line has an ``Idempotency-Key`` of its own. So a line whose answer was made and not yet written
down when its server died gets that very answer when another one takes it up: nothing is made twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError
from chopmark.pipeline.steps import in_thread
from chopmark.service.absent_caller import present_again
from chopmark.service.batch_input import body_of, read_lines
from chopmark.service.inner_request import InnerAnswer, send_inside
from chopmark.tenancy.files import error_line
from chopmark.tenancy.outbox import Message

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from chopmark.kit.types import JsonValue
    from chopmark.service.deployment import Deployment
    from chopmark.tenancy.batch_lines import Claimed
    from chopmark.tenancy.batch_rows import Batch
    from chopmark.tenancy.webhook_events import WebhookEvent

__all__ = ["LEASE_S", "BatchRunner"]

_LOG = logging.getLogger(__name__)
_LOOK_S: Final = 1.0
_SWEEP_S: Final = 600.0
#: For how long a line is this server's before another may take it, unless the claim is renewed.
LEASE_S = 20
#: A failure of ours is tried so often; what has to wait for its turn or its day waits.
_ATTEMPTS: Final = 3
_LONGEST_WAIT_S: Final = 900
_WAITS: Final = frozenset({408, 409, 425, 429, 499, 503})
_TOLD: Final[dict[tuple[str, str], WebhookEvent]] = {
    ("batch", "completed"): "batch.completed",
    ("batch", "failed"): "batch.failed",
    ("batch", "expired"): "batch.expired",
    ("batch", "cancelled"): "batch.cancelled",
    ("job", "completed"): "job.completed",
    ("job", "expired"): "job.expired",
    ("job", "cancelled"): "job.cancelled",
}


class BatchRunner:
    """:meth:`run` until :meth:`stop`; :meth:`wake` when there is something new.

    Args:
        app: The API that the lines are sent to.
        deployment: What it was made over.
    """

    def __init__(self, app: ASGIApp, deployment: Deployment) -> None:
        self._app, self._deployment, self._lease_s = app, deployment, LEASE_S
        self._slots = deployment.settings.batch_running
        self._owner = secrets.token_hex(8)
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._lines: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._renewed = self._swept = 0.0

    def wake(self) -> None:
        """Look at once; from the server's event loop."""
        self._news.set()

    async def run(self) -> None:
        """Send what there is, until the server ends. What fails is logged, and tried again."""
        while not self._gone.is_set():
            self._news.clear()
            try:
                await self._look()
            except ChopmarkError as error:
                _LOG.warning("batches will be looked at again: %s", error.message)
            except Exception:  # noqa: BLE001  what one look meets must not end all batches
                _LOG.exception("batches will be looked at again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_S)

    async def stop(self) -> None:
        """End; what is on its way is given up, and taken up again by the next server."""
        self._gone.set()
        self._news.set()
        if self._lines:
            await asyncio.wait(self._lines.values())

    async def _look(self) -> None:
        """Do what is due."""
        batches = self._deployment.batches
        await self._hold()
        await in_thread(lambda: batches.lines.settle(self._owner))
        for batch in await in_thread(batches.unvalidated):
            await in_thread(partial(self._validate, batch))
        while len(self._lines) < self._slots and not self._gone.is_set():
            claim = partial(batches.lines.claim, self._owner, lease_s=self._lease_s)
            line = await in_thread(partial(claim, mine=list(self._lines)))
            if line is None:
                break
            self._begin(line)
        await in_thread(self._tell)

    async def _hold(self) -> None:
        now = time.monotonic()
        if self._lines and now - self._renewed > self._lease_s / 4:
            self._renewed = now
            await in_thread(
                lambda: self._deployment.batches.lines.renew(self._owner, lease_s=self._lease_s)
            )
        if now - self._swept > _SWEEP_S:
            self._swept = now
            kept_s = self._deployment.settings.files_days * 24 * 3600
            while await in_thread(self._deployment.files.sweep):
                pass
            await in_thread(lambda: self._deployment.batches.sweep(older_s=kept_s))

    def _validate(self, batch: Batch) -> None:
        pieces = self._deployment.files.pieces(batch.input)
        lines = read_lines(pieces, batch.endpoint)
        self._deployment.batches.validated(batch.batch_id, lines.names, lines.problems)

    def _begin(self, line: Claimed) -> None:
        place = (line.batch_id, line.number)
        task = asyncio.create_task(self._line(line))
        self._lines[place] = task

        def over(_: asyncio.Task[None]) -> None:
            self._lines.pop(place, None)
            self._news.set()

        task.add_done_callback(over)

    async def _line(self, line: Claimed) -> None:
        try:
            await self._send(line)
        except ChopmarkError as error:
            _LOG.warning("a line of %s will be sent again: %s", line.batch_id, error.message)
            await self._give_back(line, wait_s=5)
        except Exception:  # noqa: BLE001  one line must not end the others
            _LOG.exception("a line of %s will be sent again", line.batch_id)
            await self._give_back(line, wait_s=30)

    async def _give_back(self, line: Claimed, *, wait_s: int, more: int = 0) -> None:
        # Where even that fails, the claim ends by itself.
        with contextlib.suppress(ChopmarkError):
            await in_thread(
                lambda: self._deployment.batches.lines.later(
                    line, wait_s=wait_s, attempts=line.attempts + more
                )
            )

    async def _send(self, line: Claimed) -> None:
        body = line.data if line.kind == "job" else body_of(line.data or b"")
        if body is None:
            gone = "what this line asked for is not there any more"
            await self._write(line, _failed(line, "request_gone", gone), [], well=False)
            return
        try:
            caller = await in_thread(
                lambda: present_again(
                    line.caller, self._deployment.identity, asked_at=line.asked_at
                )
            )
        except ChopmarkError as error:
            if error.status >= 500:
                raise
            await self._write(line, _failed(line, error.code, error.message), [], well=False)
            return
        key = f"{line.batch_id}:{line.number}"
        answer = await send_inside(
            self._app,
            caller=caller,
            path=line.endpoint,
            body=body,
            headers={"content-type": line.content_type, "idempotency-key": key},
            gone=self._gone,
        )
        wait_s = _wait_s(answer, line)
        if wait_s is not None:
            await self._give_back(line, wait_s=wait_s, more=int(answer.status in {500, 504}))
            return
        records = _records(answer)
        await self._write(line, _answered(line, answer), records, well=answer.status == 200)
        # It is written down: the kept answer would only take the room of others.
        await in_thread(lambda: self._deployment.replays.drop(caller.keys_are_of, key))

    async def _write(self, line: Claimed, answer: bytes, records: list[str], *, well: bool) -> None:
        lines = self._deployment.batches.lines
        await in_thread(lambda: lines.answered(line, answer, records=records, well=well))

    def _tell(self) -> None:
        """Put on its way who wants to know what is over; a second time changes nothing."""
        deployment = self._deployment
        for batch in deployment.batches.untold():
            kind = _TOLD.get((batch.kind, batch.status))
            if kind is not None:
                deployment.webhooks.outbox.post([_message(batch, kind)])
            deployment.batches.told(batch.batch_id)


def _message(batch: Batch, kind: WebhookEvent) -> Message:
    """Return what is told, in OpenAI's shape: which batch, and nothing of what is in it."""
    told = {
        "id": f"evt_{batch.batch_id.partition('_')[2]}",
        "object": "event",
        "created_at": batch.times.get(f"{batch.status}_at", batch.created),
        "type": kind,
        "data": {"id": batch.batch_id},
    }
    # Of no entry of the log: whoever is told from whatever entry on is told of it.
    return Message(
        name=f"msg_{batch.batch_id.partition('_')[2][:24]}",
        index=2**62,
        tenant=batch.tenant,
        type=kind,
        body=json.dumps(told, separators=(",", ":")),
    )


def _wait_s(answer: InnerAnswer, line: Claimed) -> int | None:
    """Return after how many seconds a line is sent again; None where its answer stands."""
    if answer.status in {500, 504}:
        return 5 if line.attempts + 1 < _ATTEMPTS else None
    if answer.status not in _WAITS or _code(answer) == "cooling_down":
        # Who must calm down is told so once: to ask for them again and again would be booked.
        return None
    told = answer.headers.get("retry-after", "1")
    return min(int(told) if told.isdigit() else 1, _LONGEST_WAIT_S)


def _code(answer: InnerAnswer) -> str:
    error = _json(answer).get("error")
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _json(answer: InnerAnswer) -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _records(answer: InnerAnswer) -> list[str]:
    """Return the records that an answer belongs to: one, or those of several pictures judged."""
    provenance = _json(answer).get("provenance")
    named = provenance.get("record_ids") if isinstance(provenance, dict) else None
    found = [answer.headers.get("x-record-id", "")]
    if isinstance(named, list):
        found += [str(one) for one in named]
    return [one for one in dict.fromkeys(found) if one]


def _answered(line: Claimed, answer: InnerAnswer) -> bytes:
    body: JsonValue = _json(answer)
    told: dict[str, JsonValue] = {
        "id": _name(line),
        "custom_id": line.custom_id,
        "response": {
            "status_code": answer.status,
            "request_id": answer.headers.get("x-request-id", ""),
            "body": body,
        },
        "error": None,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _failed(line: Claimed, code: str, message: str) -> bytes:
    return error_line(_name(line), line.custom_id, code, message)


def _name(line: Claimed) -> str:
    return f"{line.kind}_req_{line.batch_id.partition('_')[2][:16]}{line.number:06d}"
