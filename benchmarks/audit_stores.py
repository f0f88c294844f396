"""What the log is measured against: the same rows and batching without tamper evidence.

Also the worker that keeps events under way in a store of each kind, a process of its own:
``python -m benchmarks.audit_stores KIND HOME START SECONDS``.
"""

from __future__ import annotations

import array
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import chopmark.audit.log.sequencer as sequencer_module
from chopmark.audit import AuditLog, Event
from chopmark.audit.log.clock import now
from chopmark.audit.log.events import build_leaf, private_bytes
from chopmark.audit.log.job import Job
from chopmark.audit.log.relay import Relay
from chopmark.audit.log.sequencer import Sequencer
from chopmark.kit.database import NotUnique
from chopmark.kit.ids import new_record_id
from chopmark.kit.sqlite import SqliteDatabase

__all__ = ["PROCESSES", "WAITERS", "make_event", "open_kind"]

PROCESSES = 4
WAITERS = 64
MANY = 256
PERSONS = 1000
PUBLIC: dict[str, Any] = {
    "operation": "generate",
    "model": "chopmark-embedded@1",
    "n": 1,
    "size": [512, 512],
    "seed": 123456789,
    "format": "png",
    "steps": 20,
    "policy": "a" * 64,
    "verdicts": [
        {
            "stage": "prompt",
            "action": "allow",
            "categories": [],
            "scores": {"hate": 0.0021, "self_harm": 0.0003, "sexual": 0.0109, "violence": 0.0123},
        }
    ],
}


def make_event(number: int, subject: str | None = None) -> Event:
    return Event(
        kind="request.received",
        record_id=new_record_id(),
        tenant="default",
        subject=subject or f"person-{number % PERSONS}",
        public=PUBLIC,
        private={
            "prompt": f"a red apple on a wooden table, as an old master saw it, no. {number}",
            "client": "203.0.113.7",
        },
    )


class PlainLedger:
    """The same rows and the same batching, without hashes, tree, tiles or commitments.

    Args:
        home: Where the file lies.
        vault: Encrypts private parts under per-subject keys, as ours are; None stores them plainly.
    """

    def __init__(self, home: Path, *, vault: Any = None) -> None:
        self.vault = vault
        self.epoch = 0
        self.database = SqliteDatabase(
            home / "plain.db",
            schema="""
            CREATE TABLE IF NOT EXISTS entry (
              idx INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, record_id TEXT NOT NULL,
              kind TEXT NOT NULL, tenant TEXT NOT NULL, time TEXT NOT NULL, leaf BLOB NOT NULL
            ) STRICT;;
            CREATE TABLE IF NOT EXISTS content (
              idx INTEGER PRIMARY KEY, key_id BLOB NOT NULL, sealed BLOB NOT NULL
            ) STRICT;;
            CREATE INDEX IF NOT EXISTS content_key ON content (key_id)
            """,
        )

    def learn(self, epoch: int) -> None:
        """Do nothing: no key is ever destroyed here."""

    def prepare(self, event: Event) -> Job:
        """Canonicalise, and encrypt when asked to; neither hash nor commitment."""
        stamp, data, sealed = now(), private_bytes(event), None
        if self.vault is not None and data is not None:
            sealed = self.vault.seal(
                data, event_id=event.event_id, tag=self.vault.tag(event.subject, event.tenant)
            )
        if self.vault is None:
            event = replace(event, public={**event.public, "private": event.private}, private={})
        leaf = build_leaf(event, time=stamp, commitment=None)
        return Job(event=event, time=stamp, leaf=leaf, hash=b"", data=data, sealed=sealed, epoch=0)

    def book(self, jobs: list[Job]) -> list[Any]:
        """Insert the rows in one durable transaction."""
        try:
            return self._book(jobs)
        except NotUnique:  # a leader that closed had booked some of them already
            with self.database.read() as transaction:
                fresh = [
                    job
                    for job in jobs
                    if not transaction.execute(
                        "SELECT idx FROM entry WHERE event_id = ?", (job.event.event_id,)
                    )
                ]
            self._book(fresh)
            return [job.record_at(0) for job in jobs]

    def _book(self, jobs: list[Job]) -> list[Any]:
        with self.database.write() as transaction:
            if self.vault is not None:
                self.vault.store(job.sealed.key for job in jobs if job.sealed is not None)
            first = transaction.execute("SELECT coalesce(max(idx) + 1, 0) FROM entry")[0][0]
            transaction.many(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        first + i,
                        job.event.event_id,
                        job.event.record_id,
                        job.event.kind,
                        job.event.tenant,
                        job.time,
                        job.leaf,
                    )
                    for i, job in enumerate(jobs)
                ],
            )
            if self.vault is not None:
                transaction.many(
                    "INSERT INTO content VALUES (?, ?, ?)",
                    [
                        (first + i, job.sealed.key.key_id, job.sealed.ciphertext)
                        for i, job in enumerate(jobs)
                        if job.sealed is not None
                    ],
                )
        return [job.record_at(first + i) for i, job in enumerate(jobs)]


class PlainLog:
    """A plain ledger behind the same thread and queue."""

    def __init__(self, home: Path, *, sealed: bool) -> None:
        self._log = AuditLog.open(home) if sealed else None  # for its keys only
        self._ledger = PlainLedger(home, vault=self._log._ledger.vault if self._log else None)  # noqa: SLF001
        self._sequencer = Sequencer(self._ledger, capacity=4096)  # type: ignore[arg-type]
        self._relay = Relay(home, self._ledger, self._sequencer.put_all)  # type: ignore[arg-type]
        self._sequencer.book = self._relay.book

    def submit(self, event: Event) -> Any:
        """Queue an event."""
        return self._sequencer.put(self._ledger.prepare(event))

    def close(self) -> None:
        """Book what is queued."""
        self._sequencer.close(30)
        self._relay.close()
        self._ledger.database.close()
        if self._log is not None:
            self._log.close()


def open_kind(kind: str, home: Path) -> Any:
    if kind == "plain":
        return PlainLog(home, sealed=False)
    if kind == "sealed":
        return PlainLog(home, sealed=True)
    if kind == "single":
        sequencer_module._MAX_BATCH = 1  # type: ignore[misc]  # noqa: SLF001
    if kind == "postgres":
        return AuditLog.open(home, database=os.environ["CHOPMARK_BENCH_DSN"])
    if kind == "machines":
        dsn = os.environ["CHOPMARK_BENCH_DSN"]
        return AuditLog.open(home, database=dsn, keys_database=f"{dsn}#keys")
    return AuditLog.open(home)


def know_everybody(log: AuditLog) -> None:
    """Have the keys of all persons in memory, as a process has that runs for a while."""
    vault = log._ledger.vault  # noqa: SLF001
    tags = [vault.tag(f"person-{number}", "default") for number in range(PERSONS)]
    vault.store(vault.key_for(tag) for tag in tags)


def worker(kind: str, home: Path, start: float, seconds: float) -> None:
    """Keep ``WAITERS`` events under way; write each one's time to acknowledgement to stdout."""
    log = open_kind(kind, home)
    if kind == "machines":
        know_everybody(log)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
        start = float(sys.stdin.readline())
    times = array.array("d")
    waiters = MANY if kind == "machines" else WAITERS
    slots = threading.Semaphore(waiters)
    failed = []

    def done(future: Any, begun: float) -> None:
        if future.exception() is None:
            times.append(time.perf_counter() - begun)
        else:
            failed.append(future.exception())
        slots.release()

    time.sleep(max(0.0, start - time.time()))
    cpu, end, number = time.process_time(), time.perf_counter() + seconds, os.getpid()
    while time.perf_counter() < end:
        slots.acquire()
        event = make_event(number)
        begun = time.perf_counter()
        log.submit(event).add_done_callback(lambda future, begun=begun: done(future, begun))
        number += 1
    for _ in range(waiters):
        slots.acquire()
    cpu = time.process_time() - cpu
    log.close()
    if failed:
        raise failed[0]
    if kind == "machines":
        times.append(cpu)
    sys.stdout.buffer.write(times.tobytes())


if __name__ == "__main__":
    kind_, home_, start_, seconds_ = sys.argv[1:]
    worker(kind_, Path(home_), float(start_), float(seconds_))
