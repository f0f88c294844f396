"""The one place that appends: jobs become entries in one durable transaction."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.batch import (
    CLOSING,
    booked_before,
    likely_retries,
    still_open,
    why_closed,
)
from chopmark.audit.log.clock import Clock, now
from chopmark.audit.log.events import (
    SYSTEM_TENANT,
    Event,
    Record,
    build_leaf,
    private_bytes,
)
from chopmark.audit.log.fence import SHUT_OUT, Fence
from chopmark.audit.log.job import Job
from chopmark.audit.log.leaf import hash_of, parse_leaf
from chopmark.audit.log.schema import State, load_state, save_state
from chopmark.audit.log.tiles import TILE_HEIGHT, TILE_WIDTH, tail_hashes, tile_filled
from chopmark.audit.log.vault import KeyGone, Vault
from chopmark.errors import AuditError, ChopmarkError, DuplicateRecord, LogUnavailable
from chopmark.kit.database import Database, NotUnique, Row, Transaction
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.audit.log.merkle import Frontier

__all__ = ["TWICE", "Ledger"]

TWICE: Final = LogUnavailable("the event is on its way twice; try again")
"""Another process sent this event in the same batch: booked again, the two are compared."""


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
        self.fence = Fence(database)
        self._origin = origin
        self._edge: _Edge | None = None
        self._clock = Clock()

    def state(self, transaction: Transaction) -> State:
        """Return how far the log has come.

        Raises:
            LogCorrupt: The state row is damaged.
        """
        return load_state(transaction) or State(origin=self._origin)

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
            hash=hash_of(leaf),
            data=data,
            sealed=sealed,
            epoch=epoch,
            writer=self.fence.name,
            number=self.fence.number,
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
            # Not an event id this time: an index or tile is there that the state row denies.
            self._edge = None
            raise LogUnavailable(f"the log took no entry: {error}") from error
        except BaseException:
            # Whether the transaction is on the disk is not known: believe nothing in memory.
            self._edge = None
            raise

    def _book(
        self, transaction: Transaction, jobs: list[Job], *, careful: bool
    ) -> list[Record | ChopmarkError]:
        state = self.state(transaction)
        late = self.fence.late(transaction, ((job.writer, job.number) for job in jobs))
        open_records = still_open(transaction, jobs)
        # Nearly every event is new, and the unique index would say so where it is not: only what
        # looks like a retry is looked up, and the whole batch when the index did speak.
        known = booked_before(transaction, jobs if careful else likely_retries(jobs, open_records))
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
            if (job.writer, job.number) in late:
                results.append(SHUT_OUT)
            elif job.remote and (
                event.event_id in known
                or earlier is not None
                or (event.kind in CLOSING and event.record_id not in open_records)
            ):
                # What it says is known where it comes from; there it is compared.
                results.append(LogUnavailable("another process must look at this one"))
            elif event.event_id in known:
                results.append(self._again(transaction, job, known[event.event_id]))
            elif earlier is not None:
                if earlier[0].remote:
                    results.append(TWICE)
                    continue
                same = job.equals(earlier[0])
                results.append(results[earlier[1]] if same else _duplicate(event))
            elif event.kind in CLOSING and event.record_id not in open_records:
                results.append(why_closed(transaction, event))
            else:
                placed[event.event_id] = (job, len(results))
                results.append(job.record_at(size))
                accepted.append(job)
                size += 1
                if event.kind == "request.received":
                    open_records.add(event.record_id)
                elif event.kind in CLOSING:
                    open_records.discard(event.record_id)
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

        Raises:
            LogUnavailable: Another server has taken over from this process.
        """
        state = self.state(transaction)
        job = self.prepare(event)
        if self.fence.late(transaction, [(job.writer, job.number)]):
            raise SHUT_OUT
        record = job.record_at(state.size)
        if keys_destroyed:
            self._append(transaction, state, [job], epoch=state.epoch + 1)
        else:
            self._append(transaction, state, [job])
        return record

    def _append(
        self, transaction: Transaction, state: State, jobs: list[Job], *, epoch: int | None = None
    ) -> None:
        """Write rows, tiles and the state row; the caller's commit makes all of it durable."""
        # The keys first, in their own file and transaction: a crash between the two leaves a key
        # that nothing uses. The other way round it would leave content that nobody can open.
        self._seal_again(state, jobs)
        edge = self._catch_up(state)
        _insert(transaction, state.size, jobs)
        for job in jobs:
            edge.tree.append(job.hash)
            edge.tail.append(job.hash)
            if edge.tree.size % TILE_WIDTH == 0:
                self._fill_tile(transaction, edge)
        grown = state.grown(edge.tree, clock=self._clock.reading())
        save_state(transaction, grown if epoch is None else replace(grown, epoch=epoch))
        self._edge = edge

    def _fill_tile(self, transaction: Transaction, edge: _Edge) -> None:
        """Store the tile that the last hash filled; what others appended to it is read back."""
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
        waiting = [(job, job.sealed) for job in jobs if job.sealed is not None]
        wanted = {}
        for job, sealed in waiting:
            key = sealed.key
            # Sealed before the last erasure: its key may be the one that was destroyed.
            wanted[key.tag] = key if job.epoch == state.epoch else self.vault.key_for(key.tag)
        stored = self.vault.store(wanted.values()) if wanted else {}
        for job, sealed in waiting:
            key = stored[sealed.key.tag]
            if sealed.key.key_id != key.key_id:  # another process stored one for the same subject
                job.sealed = self.vault.reseal(sealed, key, event_id=job.event.event_id)

    def _again(self, transaction: Transaction, job: Job, row: Row) -> Record | ChopmarkError:
        """Answer an event id that is booked already: the same record for the same content."""
        # Public parts are compared as leaves without time and commitment, private parts as
        # canonical bytes: both sides have a salt of their own, so the commitments always differ.
        index, leaf = int(row[1]), bytes(row[2])
        members = parse_leaf(leaf)
        event = job.event
        commitment = members.pop("commitment", None)
        booked = parse_leaf(build_leaf(event, time=members["time"], commitment=None))
        booked["v"] = members["v"]  # it may have been booked by an older version
        if booked != members or (commitment is None) != (job.data is None):
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
        return Record.from_leaf(index, leaf)

    def _clock_step(self, state: State) -> Job | None:
        """Return an event to book when the wall clock has jumped since the last commit."""
        step = self._clock.step_since(state.clock) if state.clock else None
        if step is None:
            return None
        return self.prepare(
            Event(
                kind="clock.step",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public={"step_ms": step // 1_000_000},
            )
        )


def _insert(transaction: Transaction, first: int, jobs: list[Job]) -> None:
    """Write the rows of jobs that become the entries from ``first`` on."""
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
    closed = {job.event.record_id for job in jobs if job.event.kind in CLOSING}
    # A request that begins and ends in one batch is never in the list.
    transaction.many(
        "INSERT INTO open_request (record_id, idx, time) VALUES (?, ?, ?)",
        [row for name, row in opened.items() if name not in closed],
    )
    transaction.many(
        "DELETE FROM open_request WHERE record_id = ?",
        [(name,) for name in closed if name not in opened],
    )


def _duplicate(event: Event) -> DuplicateRecord:
    return DuplicateRecord(
        f"event {event.event_id} was logged before with another content",
        hint="give each event of a record its own event_id",
    )
