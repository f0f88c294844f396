"""Work that nobody waits for: done in one thread, after the answer has gone out.

What fails there is counted and warned of, since no caller hears of it; what still waits when the
program ends is done first.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Literal

from chopmark.kit.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    _Work = tuple[Callable[[], None], contextvars.Context]

__all__ = ["Afterwards", "AfterwardsWarning", "Outcome"]

_LOG = logging.getLogger(__name__)
Outcome = Literal["done", "failed", "lost"]


class AfterwardsWarning(UserWarning):
    """Something that should have been done after an answer was not; the answer is not touched."""


class Afterwards:
    """One thread and the line before it; the thread begins with the first work.

    Args:
        what: What is done here, for the warnings.
        most: How much may wait; what comes when the line is full is lost, and counted.
    """

    def __init__(self, what: str, *, most: int = 32) -> None:
        self.counts: Counter[Outcome] = Counter()
        self._what = what
        self._line: queue.Queue[_Work] = queue.Queue(most)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last_reason = ""

    @property
    def waiting(self) -> int:
        """How much is not done yet."""
        return self._line.unfinished_tasks

    def do(self, work: Callable[[], None]) -> None:
        """Have something done soon; returns at once."""
        try:
            # What fails is reported within the request that it was for, whose prompt is hidden.
            self._line.put_nowait((work, contextvars.copy_context()))
        except queue.Full:
            self._went_wrong("lost", f"more than {self._line.maxsize} wait")
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="chopmark-afterwards", daemon=True
                )
                self._thread.start()

    def drain(self, seconds: float) -> bool:
        """Wait until everything is done, at most so long; tell whether it is."""
        end = time.monotonic() + seconds
        with self._line.all_tasks_done:
            while self._line.unfinished_tasks:
                left = end - time.monotonic()
                if left <= 0 or not self._line.all_tasks_done.wait(left):
                    return not self._line.unfinished_tasks
        return True

    def close(self, seconds: float) -> None:
        """:meth:`drain`; what is not done by then is lost, and counted."""
        if not self.drain(seconds):
            left = self.waiting
            while not self._line.empty():
                self._line.get_nowait()
                self._line.task_done()
            self._went_wrong("lost", f"{left} were not done within {seconds:g} s", times=left)

    def _run(self) -> None:
        while True:
            work, context = self._line.get()
            try:
                context.run(work)
            except Exception as error:  # noqa: BLE001  counted and warned of; there is no caller
                context.run(self._failed, error)
            else:
                with self._lock:
                    self.counts["done"] += 1
                    self._last_reason = ""
            finally:
                del work, context  # it holds pictures, and the next may be long in coming
                self._line.task_done()

    def _failed(self, error: Exception) -> None:
        _LOG.error("%s failed", self._what, exc_info=error)
        self._went_wrong("failed", redact(f"{type(error).__name__}: {error}"))

    def _went_wrong(self, outcome: Outcome, reason: str, *, times: int = 1) -> None:
        with self._lock:
            self.counts[outcome] += times
            last, self._last_reason = self._last_reason, reason
        if reason != last:  # a warning once; counted every time
            warnings.warn(f"{self._what}: {reason}", AfterwardsWarning, stacklevel=3)
