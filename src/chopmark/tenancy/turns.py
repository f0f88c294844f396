"""Whose turn it is: few run at once, some wait, and no tenant's waiting shuts out another's.

Turns go round the tenants, one each, not by arrival: a tenant that sends a hundred requests waits
for its own hundred, another's first one is next. When all places are taken, a tenant with fewer
waiting takes the last place of the tenant with the most.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chopmark.errors import Busy, RateLimited
from chopmark.kit.cancellation import Running, running_in, work_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Turns"]


class Turns:
    """A bounded queue, fair between tenants; used from one event loop.

    Args:
        slots: How many run at once.
        places: How many may wait.
    """

    def __init__(self, *, slots: int, places: int) -> None:
        self._slots = slots
        self._places = places
        self._running = 0
        # In the order of the next turn; a tenant is here while it waits for something.
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many run."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(line) for line in self._lines.values())

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it, until the work that was begun in it has really ended.

        A thread that somebody gave up on goes on. Its place is free when it ends, not before:
        otherwise each time-out would let one more of them run at once.

        Raises:
            Busy: All places are taken, and no tenant has more of them than this one.
            RateLimited: The place was given to a tenant with fewer waiting.
        """
        if self._running < self._slots and not self._lines:
            self._running += 1
        else:
            await self._wait(tenant)
        running, loop = Running(), asyncio.get_running_loop()

        def over() -> None:
            # From the last thread; a loop that is closed hands out no turns any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._free)

        try:
            with running_in(running), work_of(tenant):
                yield
        finally:
            if running.idle:
                self._free()
            else:
                running.when_none(over)

    def _free(self) -> None:
        self._running -= 1
        self._next()

    async def _wait(self, tenant: str) -> None:
        if self.waiting >= self._places:
            self._make_room(tenant)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                # The turn came at the moment in which its holder went away.
                self._running -= 1
                self._next()
            else:
                self._leave(tenant, mine)
            raise

    def _make_room(self, tenant: str) -> None:
        most = max(self._lines, key=lambda name: len(self._lines[name]), default=tenant)
        if most == tenant or len(self._lines[most]) <= len(self._lines.get(tenant, ())) + 1:
            raise Busy(f"{self.waiting} requests are waiting already", hint="try again in a moment")
        last = self._lines[most][-1]
        self._leave(most, last)
        last.set_exception(
            RateLimited(
                "too many requests of this tenant are waiting; this one's place was given away",
                hint="send fewer at once",
            )
        )

    def _leave(self, tenant: str, future: asyncio.Future[None]) -> None:
        line = self._lines.get(tenant)
        if line is not None and future in line:
            line.remove(future)
            if not line:
                del self._lines[tenant]

    def _next(self) -> None:
        while self._lines and self._running < self._slots:
            tenant, line = self._lines.popitem(last=False)
            future = line.popleft()
            if line:
                self._lines[tenant] = line  # to the end of the round
            if not future.done():
                self._running += 1
                future.set_result(None)
