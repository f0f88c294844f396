"""Room for something that is large: as much as is there is given out, in the order of asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chopmark.kit.cancellation import current_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Room"]


class Room:
    """An amount that several share; used from one event loop.

    In order, so that what is large is not passed by what is small for ever. It stands behind
    :class:`chopmark.tenancy.turns.Turns`, which is fair between tenants, so few wait here.

    Args:
        size: How much there is, in whatever is counted.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """How much is given out."""
        return self._taken

    @asynccontextmanager
    async def held(self, amount: int) -> AsyncIterator[None]:
        """Wait until there is room and hold it; more than there is gets all of it.

        As with turns, it is held until the threads that were begun in it have ended.
        """
        amount = min(amount, self._size)
        await self._take(amount)
        running, loop = current_running(), asyncio.get_running_loop()

        def over() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._give_back, amount)

        try:
            yield
        finally:
            if running is None or running.idle:
                self._give_back(amount)
            else:
                running.when_none(over)

    def _give_back(self, amount: int) -> None:
        self._taken -= amount
        self._next()

    async def _take(self, amount: int) -> None:
        if not self._line and self._taken + amount <= self._size:
            self._taken += amount
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((amount, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                # The room came at the moment in which its holder went away.
                self._taken -= amount
            elif (amount, mine) in self._line:
                self._line.remove((amount, mine))
            self._next()
            raise

    def _next(self) -> None:
        while self._line:
            amount, future = self._line[0]
            if future.cancelled():  # whoever waited for it has left, and does not know it yet
                self._line.popleft()
                continue
            if self._taken + amount > self._size:
                return
            self._line.popleft()
            self._taken += amount
            future.set_result(None)
