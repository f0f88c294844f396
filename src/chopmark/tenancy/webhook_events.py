"""What webhooks are told of, and how a message says it."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, get_args

__all__ = ["COOP", "WEBHOOK_EVENTS", "Told", "WebhookEvent", "message_body"]

WebhookEvent = Literal[
    "review.queued",
    "decision.made",
    "appeal.opened",
    "appeal.decided",
    "output.withdrawn",
    "person.suspended",
    "person.reinstated",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "job.completed",
    "job.expired",
    "job.cancelled",
    "*",
]
WEBHOOK_EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)
Told = WebhookEvent | Literal["coop.item"]
"""What a message is of: an event, or an item for a Coop server, which no webhook can ask for."""
COOP: Final = "coop.item"


def message_body(type_: WebhookEvent, time_: str, data: dict[str, Any]) -> str:
    """Return a message's JSON (Standard Webhooks: ``type``, ``timestamp``, ``data``)."""
    return json.dumps({"type": type_, "timestamp": time_, "data": data}, separators=(",", ":"))
