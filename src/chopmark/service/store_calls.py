"""Questions to the stores of keys, people and counts, off the event loop and each within its time.

A database that hangs holds up those who need it, and nobody else. It is asked a few things at once;
whoever waits for a place waits on the loop, not in a thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from chopmark.errors import DatabaseUnavailable
from chopmark.pipeline.steps import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StoreCalls"]

_AT_ONCE: Final = 16
_LONGEST_S: Final = 10.0
T = TypeVar("T")


class StoreCalls:
    """A few threads for the stores of one server; used from one event loop.

    Args:
        at_once: So many questions run at once.
        longest_s: Seconds after which nobody waits for an answer any more.
    """

    def __init__(self, *, at_once: int = _AT_ONCE, longest_s: float = _LONGEST_S) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._longest_s = longest_s

    async def ask(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return what it returns.

        The place is free again when the thread has ended, not when its asker gave up: otherwise a
        database that hangs would be asked by more and more of them.

        Raises:
            DatabaseUnavailable: It did not answer in time.
        """
        try:
            async with asyncio.timeout(self._longest_s):
                await self._places.acquire()
                running = asyncio.ensure_future(in_thread(work))
                running.add_done_callback(self._ended)
                return await asyncio.shield(running)
        except TimeoutError:
            raise DatabaseUnavailable(
                f"the database of keys and people has not answered for {self._longest_s:g} s",
                hint="try again; the operator looks at CHOPMARK_DATABASE",
            ) from None

    def _ended(self, running: asyncio.Future[T]) -> None:
        self._places.release()
        if not running.cancelled():
            running.exception()  # whoever gave up does not ask for it any more
