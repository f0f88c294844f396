"""Which requests are on their way at all servers of one database, and which of those died.

The log is shared there, and a file in the home of a machine that is gone cannot be read: what each
process works on stands in the database, with when it last said that it is there. One that has been
silent for the time of a lease has died, or is cut off from the log as well. Should it come back,
its fencing number has been raised: the log takes nothing of what it was working on.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError
from chopmark.kit.stores import open_tenancy_store
from chopmark.pipeline.in_flight import SETTLED_S, Left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.audit.log.fence import Fence
    from chopmark.kit.database import Database, Transaction

__all__ = ["BEAT_S", "LEASE_S", "SharedInFlight"]

_LOG: Final = logging.getLogger(__name__)
#: As for answers that are kept (:mod:`chopmark.tenancy.replays`).
LEASE_S: Final = 12.0
BEAT_S: Final = 3.0
_LEAVE_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS running_process (owner TEXT PRIMARY KEY, seen {real} NOT NULL){strict};;
CREATE TABLE IF NOT EXISTS running_request (
    record_id TEXT PRIMARY KEY, owner TEXT NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS running_request_owner ON running_request (owner)
"""


class SharedInFlight:
    """The requests of this process, where other servers see them; use it from any thread.

    Args:
        home: The home folder.
        database: ``postgresql://...``.
        fence: What this process appends to the log under; None for a process without a log.
        clock: Seconds since 1970.
        beating: Whether a thread says every three seconds that this process is there.

    Raises:
        ConfigurationError: The address cannot be used.
        DatabaseUnavailable: The database does not answer.
    """

    def __init__(
        self,
        home: Path,
        database: str,
        *,
        fence: Fence | None = None,
        clock: Callable[[], float] = time.time,
        beating: bool = True,
    ) -> None:
        self._database: Database = open_tenancy_store(home, "running", _SCHEMA, database=database)
        self._clock = clock
        self._fence = fence
        self._owner = secrets.token_hex(8) if fence is None else fence.name
        self._last = clock()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._now: set[str] = set()
        self._ended: set[str] = set()
        self._beating = beating
        self._thread: threading.Thread | None = None

    def begin(self, record_id: str) -> None:
        """Note a request, before the log hears of it.

        Raises:
            DatabaseUnavailable: It cannot be noted; nothing is made then.
        """
        with self._database.write() as transaction:
            self._seen(transaction)
            transaction.execute(
                "INSERT INTO running_request (record_id, owner) VALUES (?, ?)"
                " ON CONFLICT (record_id) DO UPDATE SET owner = excluded.owner",
                (record_id, self._owner),
            )
        with self._lock:
            self._now.add(record_id)
            if self._thread is None and self._beating:
                self._last = self._clock()
                self._thread = threading.Thread(
                    target=self._run, name="chopmark-running", daemon=True
                )
                self._thread.start()

    def end(self, record_id: str) -> None:
        """Note that a request has ended; the database is told with the next beat."""
        with self._lock:
            if record_id in self._now:
                self._now.discard(record_id)
                self._ended.add(record_id)

    def beat(self) -> None:
        """Say that this process is there, and what has ended.

        Raises:
            DatabaseUnavailable: The database does not answer.
            LogUnavailable: The same, where the process was silent for longer than a lease.
        """
        with self._lock:
            ended = tuple(self._ended)
        with self._database.write() as transaction:
            self._seen(transaction)
            self._forget(transaction, ended)
        with self._lock:
            self._ended.difference_update(ended)
        silent, self._last = self._clock() - self._last, self._clock()
        if self._fence is not None and (silent > LEASE_S or self._fence.refused):
            _LOG.warning("this process was silent for %.0f s: others ended what it did", silent)
            self._fence.renew()

    def left_behind(self) -> Iterator[Left]:
        """Yield what each process that has died left; once that is settled, it is forgotten.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        silent = self._clock() - LEASE_S
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT owner, seen FROM running_process WHERE seen < ? AND owner <> ?",
                (silent, self._owner),
            )
            found = {
                owner: transaction.execute(
                    "SELECT record_id FROM running_request WHERE owner = ?", (owner,)
                )
                for owner, _ in rows
            }
        for owner, seen in rows:
            yield Left(
                record_ids=tuple(record_id for (record_id,) in found[owner]), writer=str(owner)
            )
            if seen < silent - SETTLED_S:
                with self._database.write() as transaction:
                    self._forget(transaction, tuple(each for (each,) in found[owner]))
                    transaction.execute(
                        "DELETE FROM running_process WHERE owner = ? AND seen = ?", (owner, seen)
                    )

    def close(self) -> None:
        """Say that nothing runs here any more, and let go. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_LEAVE_S)
        try:
            self.beat()
            if not self._now:
                with self._database.write() as transaction:
                    transaction.execute(
                        "DELETE FROM running_process WHERE owner = ?", (self._owner,)
                    )
        except ChopmarkError as error:
            _LOG.warning("what ended here was not reported to other servers: %s", error.message)
        self._database.close()

    def _run(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self.beat()
            except ChopmarkError as error:
                _LOG.warning("this process could not say that it is there: %s", error.message)

    def _seen(self, transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO running_process (owner, seen) VALUES (?, ?)"
            " ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
            (self._owner, self._clock()),
        )

    @staticmethod
    def _forget(transaction: Transaction, record_ids: tuple[str, ...]) -> None:
        for record_id in record_ids:
            transaction.execute("DELETE FROM running_request WHERE record_id = ?", (record_id,))
