"""The one place that appends: jobs become entries in one durable transaction."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.audit.custody.vault import KeyGone, Sealed, Vault
from chopmark.audit.log.events import (
    SYSTEM_TENANT,
    TERMINAL,
    Event,
    Record,
    build_leaf,
    parse_leaf,
    private_bytes,
)
from chopmark.audit.log.schema import State, load_state, record_range, save_state
from chopmark.audit.proof.merkle import Frontier, leaf_hash
from chopmark.audit.proof.tiles import TILE_HEIGHT, TILE_WIDTH, tail_hashes, tile_filled
from chopmark.errors import AuditError, ChopmarkError, DuplicateRecord, LogUnavailable
from chopmark.kit.database import Database, NotUnique, Row, Transaction
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["TWICE", "Job", "Ledger", "now", "record_at", "record_of_leaf"]

_CHUNK: Final = 500
TWICE: Final = LogUnavailable("the event is on its way twice; try again")
"""Another process sent this event in the same batch: booked again, the two are compared."""
_STEP_NS: Final = 2_000_000_000


def now(shift_s: float = 0.0) -> str:
    """Return the time, ``shift_s`` from now, as RFC 3339 in UTC; microseconds, always as long."""
    time_of_day = datetime.now(tz=UTC) + timedelta(seconds=shift_s)
    return time_of_day.isoformat(timespec="microseconds")[:-6] + "Z"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """One event on its way: everything that can be computed before its place is known."""

    event: Event
    time: str
    leaf: bytes
    hash: bytes
    data: bytes | None
    sealed: Sealed | None
    epoch: int
    remote: bool = False


@dataclass(slots=True)
class _Edge:
    """The tree's right edge as this process last saw it.

    Attributes:
        tree: The frontier.
        tail: The last leaf hashes of the open tile. Where another process has appended since, its
            part is not here; it is read when the tile fills, not for every batch.
    """

    tree: Frontier
    tail: list[bytes]


class Ledger:
    """Books jobs into the database: the transaction itself, without threads.

    Args:
        database: Holds the log's tables.
        vault: Holds the data keys.
        origin: Name of the log; used when it is new.
    """

    def __init__(self, database: Database, vault: Vault, origin: str) -> None:
        self.database = database
        self.vault = vault
        self.epoch = 0
        self._origin = origin
        self._edge: _Edge | None = None
        self._boot = _boot_id()

    def prepare(self, event: Event) -> Job:
        """Canonicalise, commit, encrypt and hash an event.

        Raises:
            InvalidRequest: It cannot be booked as it is.
            LogUnavailable: The key file cannot be read.
        """
        stamp, epoch = now(), self.epoch
        data = private_bytes(event)
        sealed = None
        if data is not None:
            tag = self.vault.tag(event.subject, event.tenant)
            sealed = self.vault.seal(data, event_id=event.event_id, tag=tag)
        leaf = build_leaf(event, time=stamp, commitment=sealed.commitment if sealed else None)
        return Job(
            event=event,
            time=stamp,
            leaf=leaf,
            hash=leaf_hash(leaf),
            data=data,
            sealed=sealed,
            epoch=epoch,
        )

    def book(self, jobs: list[Job]) -> list[Record | ChopmarkError]:
        """Append the jobs in one durable transaction.

        Returns:
            For each job its record, or why just this one was refused.

        Raises:
            LogUnavailable: Nothing is known to be booked; the callers may try again.
            LogCorrupt: The log does not agree with itself.
        """
        try:
            try:
                with self.database.write() as transaction:
                    return self._book(transaction, jobs, careful=False)
            except NotUnique:
                self._edge = None
                with self.database.write() as transaction:
                    return self._book(transaction, jobs, careful=True)
        except NotUnique as error:
            self._edge = None
            raise LogUnavailable(f"the log took no entry: {error}") from error
        except BaseException:
            # Whether the transaction is on the disk is not known: believe nothing in memory.
            self._edge = None
            raise

    def _book(
        self, transaction: Transaction, jobs: list[Job], *, careful: bool
    ) -> list[Record | ChopmarkError]:
        state = load_state(transaction) or State(origin=self._origin)
        still_open = _still_open(transaction, jobs)
        known = _known(transaction, jobs if careful else _suspects(jobs, still_open))
        results: list[Record | ChopmarkError] = []
        accepted: list[Job] = []
        placed: dict[str, tuple[Job, int]] = {}
        step = self._clock_step(state)
        size = state.size
        if step is not None:
            accepted.append(step)
            size += 1
        for job in jobs:
            event = job.event
            earlier = placed.get(event.event_id)
            if job.remote and (
                event.event_id in known
                or earlier is not None
                or (event.kind in _CLOSING and event.record_id not in still_open)
            ):
                # What it says is known where it comes from; there it is compared.
                results.append(LogUnavailable("another process must look at this one"))
            elif event.event_id in known:
                results.append(self._again(transaction, job, known[event.event_id]))
            elif earlier is not None:
                if earlier[0].remote:
                    results.append(TWICE)
                    continue
                same = _same(earlier[0], job)
                results.append(results[earlier[1]] if same else _duplicate(event))
            elif event.kind in _CLOSING and event.record_id not in still_open:
                results.append(_closed(transaction, event))
            else:
                placed[event.event_id] = (job, len(results))
                results.append(record_at(job, size))
                accepted.append(job)
                size += 1
                if event.kind == "request.received":
                    still_open.add(event.record_id)
                elif event.kind in _CLOSING:
                    still_open.discard(event.record_id)
        if accepted:
            self._append(transaction, state, accepted)
        return results

    @contextlib.contextmanager
    def booking(self) -> Iterator[Transaction]:
        """Open a writing transaction for :meth:`book_within`."""
        try:
            with self.database.write() as transaction:
                yield transaction
        except BaseException:
            self._edge = None
            raise

    def book_within(
        self, transaction: Transaction, event: Event, *, keys_destroyed: bool = False
    ) -> Record:
        """Append one event together with what else the transaction does.

        Args:
            transaction: From :meth:`booking`.
            event: Of an id that is not booked yet, and of no request.
            keys_destroyed: Tell every writer that its cached data keys may be gone.
        """
        state = load_state(transaction) or State(origin=self._origin)
        job = self.prepare(event)
        record = record_at(job, state.size)
        if keys_destroyed:
            self._append(transaction, state, [job], epoch=state.epoch + 1)
        else:
            self._append(transaction, state, [job])
        return record

    def _append(
        self, transaction: Transaction, state: State, jobs: list[Job], *, epoch: int | None = None
    ) -> None:
        self._seal_again(state, jobs)
        edge = self._catch_up(state)
        first = state.size
        transaction.many(
            "INSERT INTO entry (idx, event_id, record_id, kind, tenant, time, leaf)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
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
        contents = [
            (first + i, job.sealed.key.key_id, job.sealed.ciphertext)
            for i, job in enumerate(jobs)
            if job.sealed is not None
        ]
        if contents:
            transaction.many("INSERT INTO content (idx, key_id, sealed) VALUES (?, ?, ?)", contents)
        opened = {
            job.event.record_id: (job.event.record_id, first + i, job.time)
            for i, job in enumerate(jobs)
            if job.event.kind == "request.received"
        }
        closed = {job.event.record_id for job in jobs if job.event.kind in _CLOSING}
        transaction.many(
            "INSERT INTO open_request (record_id, idx, time) VALUES (?, ?, ?)",
            [row for name, row in opened.items() if name not in closed],
        )
        transaction.many(
            "DELETE FROM open_request WHERE record_id = ?",
            [(name,) for name in closed if name not in opened],
        )
        for job in jobs:
            edge.tree.append(job.hash)
            edge.tail.append(job.hash)
            if edge.tree.size % TILE_WIDTH == 0:
                self._fill_tile(transaction, edge)
        grown = state.grown(edge.tree, clock=self._clock())
        save_state(transaction, grown if epoch is None else replace(grown, epoch=epoch))
        self._edge = edge

    def _fill_tile(self, transaction: Transaction, edge: _Edge) -> None:
        first = edge.tree.size - TILE_WIDTH
        missing = TILE_WIDTH - len(edge.tail)
        hashes = [*tail_hashes(transaction, first, first + missing), *edge.tail]
        tile_filled(transaction, first >> TILE_HEIGHT, b"".join(hashes))
        edge.tail.clear()

    def _catch_up(self, state: State) -> _Edge:
        """Return the edge of the stored tree; another process may have moved it."""
        edge, self._edge = self._edge, None
        tree = state.tree()
        if edge is not None and edge.tree.size == state.size and edge.tree.hashes == tree.hashes:
            return edge
        return _Edge(tree, [])

    def learn(self, epoch: int) -> None:
        """Take notice of how often keys were destroyed: cached ones may be among them."""
        if epoch != self.epoch:
            self.vault.forget()
            self.epoch = epoch

    def _seal_again(self, state: State, jobs: list[Job]) -> None:
        """Make the data keys durable before what they seal; change keys that are gone."""
        self.learn(state.epoch)
        sealed = [job for job in jobs if job.sealed is not None]
        wanted = {}
        for job in sealed:
            key = job.sealed.key  # type: ignore[union-attr]
            wanted[key.tag] = key if job.epoch == state.epoch else self.vault.key_for(key.tag)
        stored = self.vault.store(wanted.values()) if wanted else {}
        for job in sealed:
            key = stored[job.sealed.key.tag]  # type: ignore[union-attr]
            if job.sealed.key.key_id != key.key_id:  # type: ignore[union-attr]
                job.sealed = self.vault.reseal(
                    job.sealed,  # type: ignore[arg-type]
                    key,
                    event_id=job.event.event_id,
                )

    def _again(self, transaction: Transaction, job: Job, row: Row) -> Record | ChopmarkError:
        """Answer an event id that is booked already: the same record for the same content."""
        index, leaf = int(row[1]), bytes(row[2])
        members = parse_leaf(leaf)
        event = job.event
        commitment = members.pop("commitment", None)
        booked = build_leaf(event, time=members["time"], commitment=None)
        if parse_leaf(booked) != members or (commitment is None) != (job.data is None):
            return _duplicate(event)
        if commitment is not None:
            rows = transaction.execute("SELECT key_id, sealed FROM content WHERE idx = ?", (index,))
            if not rows:
                return _duplicate(event)
            try:
                content = self.vault.open(
                    bytes(rows[0][0]),
                    bytes(rows[0][1]),
                    event_id=event.event_id,
                    commitment=bytes.fromhex(commitment),
                )
            except KeyGone:
                return _duplicate(event)
            except AuditError as error:
                return error
            if content.canonical != job.data:
                return _duplicate(event)
        return record_of_leaf(index, leaf)

    def _clock(self) -> str:
        return f"{self._boot} {time.time_ns()} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)}"

    def _clock_step(self, state: State) -> Job | None:
        """Return an event to book when the wall clock has jumped since the last commit.

        The allowance grows with the time that passed, because slewing (500 ppm) is no step.
        """
        if not state.clock:
            return None
        boot, wall, elapsed = state.clock.split(" ")
        wall_now, boot_now = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        moved = wall_now - int(wall)
        if boot == self._boot:
            passed = boot_now - int(elapsed)
            step = moved - passed
            allowed = _STEP_NS + passed // 1000
        else:
            step, allowed = min(moved, 0), _STEP_NS
        if abs(step) <= allowed:
            return None
        return self.prepare(
            Event(
                kind="clock.step",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public={"step_ms": step // 1_000_000},
            )
        )


_CLOSING: Final = frozenset({"request.completed", "request.failed", "request.refused"})


def record_of_leaf(index: int, leaf: bytes) -> Record:
    """Return the record that a leaf is."""
    members = parse_leaf(leaf)
    return Record(
        index=index,
        record_id=members["record_id"],
        event_id=members["event_id"],
        kind=members["kind"],
        tenant=members["tenant"],
        time=members["time"],
        public=members["public"],
        leaf_hash=leaf_hash(leaf).hex(),
    )


def record_at(job: Job, index: int) -> Record:
    """Return the record that a job became."""
    event = job.event
    return Record(
        index=index,
        record_id=event.record_id,
        event_id=event.event_id,
        kind=event.kind,
        tenant=event.tenant,
        time=job.time,
        public=event.public,
        leaf_hash=job.hash.hex(),
    )


def _same(one: Job, other: Job) -> bool:
    return (
        one.data == other.data
        and one.event.subject == other.event.subject
        and build_leaf(one.event, time="", commitment=None)
        == build_leaf(other.event, time="", commitment=None)
    )


def _duplicate(event: Event) -> DuplicateRecord:
    return DuplicateRecord(
        f"event {event.event_id} was booked before with another content",
        hint="give each event of a record its own event_id",
    )


def _closed(transaction: Transaction, event: Event) -> ChopmarkError:
    kinds = [
        row[0]
        for row in transaction.execute(
            "SELECT kind FROM entry WHERE event_id >= ? AND event_id < ? ORDER BY idx",
            record_range(event.record_id),
        )
    ]
    ends = [kind for kind in kinds if kind in TERMINAL]
    if ends:
        return DuplicateRecord(
            f"record {event.record_id} has ended already, with {ends[-1]}",
            hint="a record has one end; begin a new record",
        )
    return DuplicateRecord(
        f"{event.kind} for record {event.record_id}, which was never received",
        hint="book request.received first",
    )


def _chunks(names: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    listed = list(names)
    for i in range(0, len(listed), _CHUNK):
        part = listed[i : i + _CHUNK]
        yield ", ".join("?" * len(part)), part


def _known(transaction: Transaction, jobs: list[Job]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for marks, part in _chunks(job.event.event_id for job in jobs):
        for row in transaction.execute(
            f"SELECT event_id, idx, leaf FROM entry WHERE event_id IN ({marks})",  # noqa: S608 - marks only
            part,
        ):
            found[row[0]] = row
    return found


def _suspects(jobs: list[Job], still_open: set[str]) -> list[Job]:
    """Return the events that end a record which is not open: retries, mostly."""
    received = {job.event.record_id for job in jobs if job.event.kind == "request.received"}
    return [
        job
        for job in jobs
        if job.event.kind in _CLOSING and job.event.record_id not in still_open | received
    ]


def _still_open(transaction: Transaction, jobs: list[Job]) -> set[str]:
    found: set[str] = set()
    for marks, part in _chunks(job.event.record_id for job in jobs if job.event.kind in _CLOSING):
        found.update(
            row[0]
            for row in transaction.execute(
                f"SELECT record_id FROM open_request WHERE record_id IN ({marks})",  # noqa: S608 - marks only
                part,
            )
        )
    return found
