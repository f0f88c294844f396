"""Redis, and what counts on when it is lost: no limit opens wide, and nothing else is lost.

What is counted towards a window is known here as well, and is where the other keeper begins.
Documents (waits of people, wrong passwords) are written to both, since they are few. When Redis
comes back, or comes back empty, it is given them again before it is asked anything.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from chopmark.errors import DatabaseUnavailable
from chopmark.tenancy.redis_state import StateEmptiedError, StateLostError
from chopmark.tenancy.shared_state import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.tenancy.redis_state import RedisState
    from chopmark.tenancy.shared_state import Change, SharedState, Taken, Window

__all__ = ["SurvivingState"]

_LOG: Final = logging.getLogger(__name__)
#: A server that was lost is not asked again for so long: each question may cost a time-out.
_RETRY_S: Final = 2.0
_MOST_SEEN: Final = 10_000
T = TypeVar("T")


class SurvivingState:
    """Counts in Redis while it is there, and in another keeper while it is not.

    Args:
        first: Redis.
        second: A database that servers share, or this server's memory, with the same clock.
        ticks: Seconds that only grow, for when to ask again.
    """

    at_once = False

    def __init__(
        self,
        first: RedisState,
        second: SharedState,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = first.clock
        self._first, self._second, self._ticks = first, second, ticks
        self._guard, self._returning = threading.Lock(), threading.Lock()
        self._seen: dict[str, Window] = {}
        self._behind: dict[tuple[str, str], Document | None] = {}
        self._why, self._ask_at = "", 0.0
        if not first.begun():
            self._return()

    def take(self, name: str, limit: int, *, seen: Window | None = None) -> Taken:
        """Count one request; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        mine = self._seen.get(name, seen)
        taken = self._asked(
            lambda: self._first.take(name, limit, seen=mine),
            lambda: self._second.take(name, limit, seen=mine),
        )
        with self._guard:
            self._seen[name] = taken.window
            if len(self._seen) > _MOST_SEEN:
                now = self.clock()
                self._seen = {n: window for n, window in self._seen.items() if window.live(now)}
        return taken

    def read(self, kind: str, name: str) -> bytes | None:
        """Return a document; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        return self._asked(
            lambda: self._first.read(kind, name), lambda: self._second.read(kind, name)
        )

    def change(self, kind: str, name: str, change: Change, *, keep_s: float) -> bytes | None:
        """Change a document in both; see :class:`chopmark.tenancy.shared_state.SharedState`."""

        def both() -> bytes | None:
            body = self._first.change(kind, name, change, keep_s=keep_s)
            with contextlib.suppress(DatabaseUnavailable):
                self._second.change(kind, name, lambda _: body, keep_s=keep_s)
            return body

        def alone() -> bytes | None:
            body = self._second.change(kind, name, change, keep_s=keep_s)
            ends = self.clock() + keep_s
            with self._guard:
                self._behind[kind, name] = (
                    None if body is None else Document(kind, name, body, ends)
                )
            return body

        return self._asked(both, alone)

    def documents(self) -> Iterator[Document]:
        """Return all documents; see :class:`chopmark.tenancy.shared_state.SharedState`."""
        return self._second.documents()

    def trouble(self) -> str:
        """Say that Redis is lost, and why."""
        return self._why and f"Redis is lost, and counts are kept elsewhere: {self._why}"

    def close(self) -> None:
        """Close both."""
        self._first.close()
        self._second.close()

    def _asked(self, first: Callable[[], T], second: Callable[[], T]) -> T:
        if self._why and not self._is_back():
            return second()
        try:
            try:
                return first()
            except StateEmptiedError:
                with self._returning:
                    self._return()
                return first()
        except (StateLostError, StateEmptiedError) as error:
            self._lose(str(error))
            return second()

    def _lose(self, why: str) -> None:
        with self._guard:
            told, self._why = self._why, why
            self._ask_at = self._ticks() + _RETRY_S
        if not told:
            _LOG.warning("the shared state in Redis is lost, and counted elsewhere: %s", why)

    def _is_back(self) -> bool:
        """Ask once in a while, in one thread; the others go on with the second keeper."""
        if self._ticks() < self._ask_at or not self._returning.acquire(blocking=False):
            return False
        try:
            self._return()
        except StateLostError as error:
            self._lose(str(error))
            return False
        finally:
            self._returning.release()
        _LOG.warning("the shared state in Redis is back")
        return True

    def _return(self) -> None:
        """Give Redis what it missed: what was changed here meanwhile, and all where it is empty."""
        if not self._first.begun():
            with contextlib.suppress(DatabaseUnavailable):
                self._first.refill(self._second.documents(), over=False)
        with self._guard:
            behind = dict(self._behind)
        self._first.refill((one for one in behind.values() if one is not None), over=True)
        self._first.begin()
        for (kind, name), one in behind.items():
            if one is None:
                self._first.change(kind, name, lambda _: None, keep_s=1)
        with self._guard:
            for key, one in behind.items():
                if self._behind.get(key) is one:
                    self._behind.pop(key, None)
            self._why = ""
