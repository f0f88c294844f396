"""Writing into the log from any thread: queued, booked with what else waits, then answered."""

from __future__ import annotations

import os
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.relay import Relay
from chopmark.audit.log.sequencer import Sequencer
from chopmark.errors import LogUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from chopmark.audit.log.events import Event, Record
    from chopmark.audit.log.ledger import Ledger

__all__ = ["Writer"]

_WAIT_S: Final = 30.0
_CAPACITY: Final = 4096


class Writer:
    """Books events in this process, or has the process do it that leads.

    Args:
        ledger: Prepares and books.
        folder: Where the processes of one log meet.
        capacity: How many events may wait; more are refused.
    """

    def __init__(self, ledger: Ledger, folder: Path, *, capacity: int = _CAPACITY) -> None:
        self._pid = os.getpid()
        self._ledger = ledger
        self._sequencer = Sequencer(ledger, capacity=capacity)
        self._relay = Relay(folder, ledger, self._sequencer.put_all)
        self._sequencer.book = self._relay.book

    @property
    def ours(self) -> bool:
        """Whether this process opened the log; after a fork the child has no thread that books."""
        return self._pid == os.getpid()

    @property
    def alive(self) -> bool:
        """Whether events are taken."""
        return self._sequencer.alive

    def submit(self, event: Event) -> Future[Record]:
        """Queue an event; the future ends as :meth:`append` does.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
            InvalidRequest: The event cannot be booked as it is.
        """
        if not self.ours:
            raise LogUnavailable(
                "this log was opened before the process forked", hint="open it in the child"
            )
        return self._sequencer.put(self._ledger.prepare(event))

    def append(self, event: Event) -> Record:
        """Book an event; return once it is on the disk.

        Raises:
            LogUnavailable: It is not known to be booked. Trying again with the same event is safe.
            DuplicateRecord: The event id is booked with another content, or its record has ended.
            InvalidRequest: The event cannot be booked as it is.
            LogCorrupt: The log does not agree with itself.
        """
        future = self.submit(event)
        try:
            return future.result(_WAIT_S)
        except TimeoutError:
            future.cancel()
            raise LogUnavailable(f"the log did not answer within {_WAIT_S:.0f} s") from None
        except CancelledError:
            raise LogUnavailable("the event was withdrawn before it was logged") from None

    def close(self) -> None:
        """Book what is queued, then stop; the relay last, as the sequencer books through it."""
        self._sequencer.close(_WAIT_S)
        self._relay.close()
