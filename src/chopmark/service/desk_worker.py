"""What follows from the log while a server runs: records go to queues, others are told.

One thread follows the entries, in whatever process they were booked. What it has seen is written
down with what comes of it, in one transaction, so that a crash neither loses nor repeats a message.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit import Actor, AuditLog
from chopmark.errors import ChopmarkError
from chopmark.service.coop import CoopServer, is_sent, item_of
from chopmark.service.deliveries import Deliveries
from chopmark.service.outbound import send
from chopmark.service.review_rules import rules_of
from chopmark.tenancy.outbox import Message
from chopmark.tenancy.webhook_events import COOP, message_body
from chopmark.tenancy.webhooks import Webhooks

if TYPE_CHECKING:
    from chopmark.audit import Record
    from chopmark.pipeline import Pipeline
    from chopmark.tenancy.outbox import Delivery
    from chopmark.tenancy.webhook_events import WebhookEvent

__all__ = ["DeskWorker"]

_LOG = logging.getLogger(__name__)
_EVERY_S: Final = 0.5
_BATCH: Final = 1000
_LEAVE_S: Final = 5.0
_NOT_SENT: Final = 204
_TOLD: Final[dict[str, WebhookEvent]] = {
    "review.queued": "review.queued",
    "review.decided": "decision.made",
    "appeal.opened": "appeal.opened",
    "appeal.decided": "appeal.decided",
    "output.withdrawn": "output.withdrawn",
    "person.suspended": "person.suspended",
    "person.reinstated": "person.reinstated",
}
_ENDS: Final = frozenset({"request.completed", "request.refused", "moderation.completed"})


class DeskWorker:
    """Follows the log; :meth:`start` begins, :meth:`stop` ends. Both may be called again.

    Args:
        pipeline: Whose log.
        hooks: Whom to tell.
        coop: The Coop server that is sent what waits in queues; None sends it nowhere.
    """

    def __init__(
        self, pipeline: Pipeline, hooks: Webhooks, *, coop: CoopServer | None = None
    ) -> None:
        self._pipeline, self._hooks, self._coop = pipeline, hooks, coop
        self._stop, self._wake = threading.Event(), threading.Event()
        self._deliveries = Deliveries(hooks, self._send, arrived=self._wake.set)
        self._thread: threading.Thread | None = None
        self._said = ""
        self._first: int | None = None

    def start(self) -> None:
        """Begin to follow, from where a server stopped; the first one ever begins at the end."""
        if self._thread is None:
            self._stop.clear()
            self._deliveries.start()
            # Before anybody is served: what ends before the first look is not history.
            self._first = self._size()
            coop = self._coop
            self._hooks.keep_coop(
                coop.items_url if coop else None,
                tenant=coop.tenant if coop else None,
                since=self._first or 0,
            )
            self._thread = threading.Thread(target=self._run, name="chopmark-desk", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; what is on its way is sent when a server runs again."""
        thread, self._thread = self._thread, None
        self._stop.set()
        self._wake.set()
        if thread is not None:
            thread.join()
            self._deliveries.stop(_LEAVE_S)

    def _size(self) -> int | None:
        """Return how many entries there are; None where that cannot be told now."""
        parts = self._pipeline.parts
        try:
            return parts.request_log.size if parts.exists("request_log") else 0
        except ChopmarkError:
            return None

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self.step()
                self._said = ""
            except ChopmarkError as error:
                if error.message != self._said:  # once for each reason, not twice a second
                    self._said = error.message
                    _LOG.warning("the desk's follower will try again: %s", error.message)
            except Exception:  # noqa: BLE001  the thread outlives whatever one look meets
                _LOG.exception("the desk's follower will try again")

    def step(self) -> None:
        """Follow the log to its end, and send what is due."""
        if not self._pipeline.parts.exists("request_log"):
            return  # nothing was booked yet, and looking must not make a log
        log = self._pipeline.parts.request_log
        if not isinstance(log, AuditLog):
            return  # a plugin's: it has no desk
        size = log.size
        if self._hooks.outbox.upto() != size:
            self._follow(log, size)
        self._deliveries.pump()

    def _send(self, delivery: Delivery) -> int:
        settings = self._pipeline.settings
        if delivery.type != COOP:
            return send(delivery, private=settings.webhooks_private)
        log, entry = self._pipeline.parts.log, json.loads(delivery.body)["entry"]
        queued = log.get(entry)
        if self._coop is None or not is_sent(self._coop, log, queued):
            return _NOT_SENT  # it was sealed since
        return send(
            replace(delivery, body=item_of(self._coop, log, queued, site=settings.public_url)),
            private=settings.webhooks_private,
            headers={"x-api-key": settings.coop_api_key.get_secret_value()},
        )

    def _follow(self, log: AuditLog, size: int) -> None:
        seen: list[Record] = []

        def read(begin: int) -> tuple[int, list[Message]]:
            seen[:] = log.following(begin, limit=_BATCH)
            told = [record for record in seen if record.kind in _TOLD]
            end = seen[-1].index + 1 if seen else begin
            messages = [_message(log, record) for record in told]
            return end, messages + self._items(log, told)

        self._hooks.outbox.follow(read, size=size if self._first is None else self._first)
        ended = [record.record_id for record in seen if record.kind in _ENDS]
        if ended:
            self._route(log, min(log.records(name)[0].index for name in ended))

    def _items(self, log: AuditLog, told: list[Record]) -> list[Message]:
        """Return what the Coop server is sent of these entries."""
        coop = self._coop
        if coop is None:
            return []
        return [
            Message(
                name=f"item_{record.leaf_hash[:24]}",
                index=record.index,
                tenant=record.tenant,
                type=COOP,
                body=json.dumps({"entry": record.index}),
            )
            for record in told
            if record.kind == "review.queued" and is_sent(coop, log, record)
        ]

    def _route(self, log: AuditLog, since: int) -> None:
        rules = rules_of(self._pipeline.settings)
        router = Actor(name="routing rules", roles=frozenset({"writer"}), tenant=None)
        log.desk(router, purpose="routing").review.route(rules, since=since)


def _message(log: AuditLog, record: Record) -> Message:
    type_ = _TOLD[record.kind]
    data: dict[str, Any] = {
        "entry": record.index,
        "tenant": record.tenant,
        "time": record.time,
        **record.public,
    }
    content = log.content(record.index) if record.kind.startswith("person.") else None
    if record.kind.startswith("person."):
        subject = content.subject if content is not None else None
        data["person"] = subject
    else:
        data["record_id"] = record.record_id
    return Message(
        name=f"msg_{record.leaf_hash[:24]}",
        index=record.index,
        tenant=record.tenant,
        type=type_,
        body=message_body(type_, record.time, data),
    )
