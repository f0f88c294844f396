"""Threads that are kept for the next piece of work, and that never keep a program from ending.

``concurrent.futures`` joins its threads when the program ends, so that one hung piece of work would
keep ``chopmark generate`` from ever exiting. Starting a thread for each piece of work costs the one
who starts it two switches of the interpreter lock, which was a seventh of a busy server's time.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DaemonThreads"]

#: Seconds after which an idle thread ends.
_KEPT_S: Final = 60.0
_MOST_IDLE: Final = 16


class DaemonThreads:
    """Runs pieces of work, each at once: there is no bound, and nothing waits for another.

    Args:
        name: Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle = 0
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work`` in an idle thread, or in a new one. It must not raise."""
        with self._lock:
            if self._idle:
                # Counted down here: as many tasks lie in the queue as threads were promised.
                self._idle -= 1
                self._tasks.put(work)
                return
        threading.Thread(target=self._loop, args=(work,), daemon=True, name=self._name).start()

    def _loop(self, work: Callable[[], None] | None) -> None:
        while work is not None:
            work()
            work = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if self._idle == _MOST_IDLE:
                return None
            self._idle += 1
        try:
            return self._tasks.get(timeout=_KEPT_S)
        except queue.Empty:
            with self._lock:
                if self._tasks.empty():
                    self._idle -= 1
                    return None
            return self._tasks.get()
