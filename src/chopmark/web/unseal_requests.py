"""Seals that one investigator wants opened, until a second one agrees."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Actor

__all__ = ["UnsealRequest", "UnsealRequests"]

_SECONDS: Final = 3600.0
_MOST: Final = 1000


@dataclass(frozen=True, kw_only=True)
class UnsealRequest:
    """An investigator asks to open a sealed record; another one must agree.

    Attributes:
        record_id: Which.
        first: Who, as they were then.
        reason: Why; it is booked.
        until: When it ends, on the clock of :class:`UnsealRequests`.
        asked_at: Seconds since 1970.
    """

    record_id: str
    first: Actor
    reason: str
    until: float
    asked_at: float


class UnsealRequests:
    """What was asked for within the last hour, in memory: what nobody agrees to ends."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, UnsealRequest] = {}

    def ask(self, record_id: str, first: Actor, reason: str) -> None:
        """Keep a request; a newer one for the same record takes its place."""
        until = self._clock() + _SECONDS
        request = UnsealRequest(
            record_id=record_id, first=first, reason=reason, until=until, asked_at=time.time()
        )
        with self._lock:
            self._asked.pop(record_id, None)
            self._asked[record_id] = request
            if len(self._asked) > _MOST:
                self._asked.pop(next(iter(self._asked)))

    def of(self, record_id: str, actor: Actor) -> UnsealRequest | None:
        """Return the request for a record that this person may see."""
        with self._lock:
            request = self._asked.get(record_id)
        if request is None or request.until < self._clock():
            return None
        return request if request.first.tenant == actor.tenant else None

    def done(self, record_id: str) -> None:
        """Forget a request that was agreed to."""
        with self._lock:
            self._asked.pop(record_id, None)
