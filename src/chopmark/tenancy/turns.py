"""Whose turn it is: few run at once, some wait, and no tenant's waiting shuts out another's.

Turns go round the tenants, one each, not by arrival: a tenant that sends a hundred requests waits
for its own hundred, another's first one is next. When all places are taken, a tenant with fewer
waiting takes the last place of the tenant with the most.

Whoever is refused is told when to come again, by the pace of late: the time that a turn took, times
how many stand before, over how many run at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from chopmark.errors import Busy, RateLimited
from chopmark.kit.cancellation import Running, running_in, work_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Turns"]

# Before anything was measured.
_FIRST_GUESS_S: Final = 1.0
# Weight of the newest turn in the mean: about the last ten count.
_NEWEST: Final = 0.2
# The official OpenAI client (3.54) waits as long as `Retry-After` says up to 120 s and gives up
# beyond; older ones wait their own few seconds beyond 60.
_LONGEST_RETRY_S: Final = 60.0
# Those who were refused together come again spread over so much more of their time.
_SPREAD: Final = 0.25


class Turns:
    """A bounded queue, fair between tenants; used from one event loop.

    Args:
        slots: How many run at once.
        places: How many may wait.
        longest_s: Seconds after which whoever waits is sent away; also who would have to, at the
            pace of late, is. No bound by default.
        clock: Returns seconds that only grow.
        dice: Returns a number from 0 to 1, for the spread.
    """

    def __init__(
        self,
        *,
        slots: int,
        places: int,
        longest_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._slots = slots
        self._places = places
        self._longest_s = longest_s
        self._clock = clock
        self._dice = dice
        self._running = 0
        self._turn_s: float | None = None
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

    def wait_s(self, tenant: str) -> float:
        """Return how many seconds one more request of a tenant would wait, at the pace of late."""
        mine = len(self._lines.get(tenant, ())) + 1
        # Turns go round: of every other tenant no more come before than of this one.
        before = mine + sum(
            min(len(line), mine) for name, line in self._lines.items() if name != tenant
        )
        turn_s = _FIRST_GUESS_S if self._turn_s is None else self._turn_s
        return before * turn_s / self._slots

    def retry_s(self, tenant: str) -> float:
        """Return after how many seconds a tenant that was refused may come again, spread a bit."""
        seconds = min(self.wait_s(tenant), _LONGEST_RETRY_S / (1 + _SPREAD))
        return max(1.0, seconds * (1 + _SPREAD * self._dice()))

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it, until the work that was begun in it has really ended.

        A thread that somebody gave up on goes on. Its place is free when it ends, not before:
        otherwise each time-out would let one more of them run at once.

        Raises:
            Busy: All places are taken, and no tenant has more of them than this one; or the turn
                did not come, or would not, within ``longest_s``.
            RateLimited: The place was given to a tenant with fewer waiting.
        """
        if self._running < self._slots and not self._lines:
            self._running += 1
        else:
            await self._wait(tenant)
        running, loop, begun = Running(), asyncio.get_running_loop(), self._clock()

        def over() -> None:
            # From the last thread; a loop that is closed hands out no turns any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._free, begun)

        try:
            with running_in(running), work_of(tenant):
                yield
        finally:
            if running.idle:
                self._free(begun)
            else:
                running.when_none(over)

    def _free(self, begun: float) -> None:
        self._measure(self._clock() - begun)
        self._running -= 1
        self._next()

    def _measure(self, seconds: float) -> None:
        mean = self._turn_s
        self._turn_s = seconds if mean is None else mean + _NEWEST * (seconds - mean)

    async def _wait(self, tenant: str) -> None:
        if self.waiting >= self._places:
            self._make_room(tenant)
        if self.wait_s(tenant) > self._longest_s:
            raise self._busy(tenant, f"a turn would not come within {self._longest_s:g} s")
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(mine)
        limit = None if math.isinf(self._longest_s) else self._longest_s
        try:
            async with asyncio.timeout(limit):
                await mine
        except (asyncio.CancelledError, TimeoutError) as error:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                # The turn came at the moment in which its holder went away.
                self._running -= 1
                self._next()
            else:
                self._leave(tenant, mine)
            if isinstance(error, TimeoutError):
                late = f"no turn came within {self._longest_s:g} s"
                raise self._busy(tenant, late) from None
            raise

    def _busy(self, tenant: str, message: str) -> Busy:
        seconds = self.retry_s(tenant)
        return Busy(message, hint=f"try again in {math.ceil(seconds)} s", retry_after_s=seconds)

    def _make_room(self, tenant: str) -> None:
        most = max(self._lines, key=lambda name: len(self._lines[name]), default=tenant)
        if most == tenant or len(self._lines[most]) <= len(self._lines.get(tenant, ())) + 1:
            raise self._busy(tenant, f"{self.waiting} requests are waiting already")
        last = self._lines[most][-1]
        self._leave(most, last)
        if last.cancelled():  # it has left, and does not know it yet
            return
        last.set_exception(
            RateLimited(
                "too many requests of this tenant are waiting; this one's place was given away",
                hint="send fewer at once",
                retry_after_s=self.retry_s(most),
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
