"""Batches whatever is queued, has it booked, and only then answers."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.log.events import Record
from chopmark.errors import ChopmarkError, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit.log.job import Job
    from chopmark.audit.log.ledger import Ledger

__all__ = ["Sequencer"]

_MAX_BATCH: Final = 2000  # events in one transaction; what one fsync is shared by


@dataclass(slots=True, eq=False)
class _Waiting:
    """Jobs of one waiter, who gets one answer: a record, or for several jobs a list."""

    jobs: list[Job]
    single: bool
    future: Future[Any] = field(default_factory=Future)

    def answer(self, results: list[Record | ChopmarkError]) -> None:
        """Give the waiter the results of the jobs, who may have left."""
        try:
            if not self.single:
                self.future.set_result(results)
            elif isinstance(results[0], Record):
                self.future.set_result(results[0])
            else:
                self.future.set_exception(results[0])
        except InvalidStateError:
            return


class Sequencer:
    """A thread that books whatever is queued, as long as the process lives.

    Args:
        ledger: Books.
        capacity: How many waiters there may be; more are refused.

    Attributes:
        book: Books a batch; the ledger's own unless another process does it (the relay).
    """

    def __init__(self, ledger: Ledger, *, capacity: int) -> None:
        self._ledger = ledger
        self.book: Callable[[list[Job]], list[Record | ChopmarkError]] = ledger.book
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(capacity)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chopmark-sequencer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and takes jobs."""
        return self._thread.is_alive() and not self._closed.is_set()

    def put(self, job: Job) -> Future[Record]:
        """Queue a job; the future is answered after the durable commit.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
        """
        return self._put(_Waiting([job], single=True))

    def put_all(self, jobs: list[Job]) -> Future[list[Record | ChopmarkError]]:
        """Queue jobs that are answered together: each with its record, or why it was refused.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
        """
        return self._put(_Waiting(jobs, single=False))

    def _put(self, waiting: _Waiting) -> Future[Any]:
        if not self.alive:
            raise LogUnavailable("the log is closed")
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise LogUnavailable(
                f"{self._queue.maxsize} events wait for the log already", hint="try again later"
            ) from None
        return waiting.future

    def close(self, timeout: float) -> None:
        """Book what is queued, then end the thread."""
        if not self._closed.is_set():
            self._closed.set()
            self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            # Waits for the first, then takes whatever is there: while one batch is synced to the
            # disk the next one gathers, so the batches grow with the load by themselves.
            taken = [self._queue.get()]
            count = len(taken[0].jobs) if taken[0] is not None else 0
            while count < _MAX_BATCH:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                taken.append(item)
                count += len(item.jobs) if item is not None else 0
            waiting = [
                item
                for item in taken
                if item is not None and item.future.set_running_or_notify_cancel()
            ]
            if waiting:
                self._answer(waiting)
            if None in taken:  # put there by close()
                self._refuse_the_rest()
                return

    def _refuse_the_rest(self) -> None:
        """Answer what was queued in the moment of closing."""
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if item is not None and item.future.set_running_or_notify_cancel():
                item.answer([LogUnavailable("the log is closed")] * len(item.jobs))

    def _answer(self, waiting: list[_Waiting]) -> None:
        jobs = [job for item in waiting for job in item.jobs]
        try:
            results = self.book(jobs)
        except BaseException as error:  # noqa: BLE001 - no waiter may be left without an answer
            if not isinstance(error, ChopmarkError):
                error = LogUnavailable(f"the log failed: {type(error).__name__}")
            results = [error] * len(jobs)
        place = 0
        for item in waiting:
            item.answer(results[place : place + len(item.jobs)])
            place += len(item.jobs)
