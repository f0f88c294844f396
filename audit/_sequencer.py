"""Batches whatever is queued, has it booked, and only then answers."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Final

from chopmark.audit._events import Record
from chopmark.errors import ChopmarkError, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit._ledger import Job, Ledger

__all__ = ["Sequencer"]

_MAX_BATCH: Final = 2000


class Sequencer:
    """A thread that books whatever is queued, as long as the process lives.

    Args:
        ledger: Books.
        capacity: How many events may wait; more are refused.

    Attributes:
        book: Books a batch; the ledger's own unless another process does it (the relay).
    """

    def __init__(self, ledger: Ledger, *, capacity: int) -> None:
        self._ledger = ledger
        self.book: Callable[[list[Job]], list[Record | ChopmarkError]] = ledger.book
        self._queue: queue.Queue[Job | None] = queue.Queue(capacity)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chopmark-sequencer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and takes jobs."""
        return self._thread.is_alive() and not self._closed.is_set()

    def put(self, job: Job) -> None:
        """Queue a job; its future is answered after the durable commit.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
        """
        if not self.alive:
            raise LogUnavailable("the log is closed")
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise LogUnavailable(
                f"{self._queue.maxsize} events wait for the log already", hint="try again later"
            ) from None

    def close(self, timeout: float) -> None:
        """Book what is queued, then end the thread."""
        if not self._closed.is_set():
            self._closed.set()
            self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _MAX_BATCH:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            jobs = [
                job
                for job in batch
                if job is not None and job.future.set_running_or_notify_cancel()
            ]
            if jobs:
                self._answer(jobs)
            if None in batch:
                self._refuse_the_rest()
                return

    def _refuse_the_rest(self) -> None:
        """Answer what was queued in the moment of closing."""
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.future.set_running_or_notify_cancel():
                job.future.set_exception(LogUnavailable("the log is closed"))

    def _answer(self, jobs: list[Job]) -> None:
        try:
            results = self.book(jobs)
        except BaseException as error:  # noqa: BLE001 - no waiter may be left without an answer
            if not isinstance(error, ChopmarkError):
                error = LogUnavailable(f"the log failed: {type(error).__name__}")
            results = [error] * len(jobs)
        for job, result in zip(jobs, results, strict=True):
            try:
                if isinstance(result, Record):
                    job.future.set_result(result)
                else:
                    job.future.set_exception(result)
            except InvalidStateError:
                continue
