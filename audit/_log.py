"""The log as its users see it."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chopmark.audit import _custody as custody
from chopmark.audit import _exceptions as exceptions
from chopmark.audit._appeals import AppealState, open_appeal
from chopmark.audit._connect import open_keys, open_log
from chopmark.audit._custody import Hold
from chopmark.audit._desk import Desk
from chopmark.audit._events import (
    EVERY_TENANT,
    SYSTEM_TENANT,
    TERMINAL,
    Event,
    EventKind,
    Record,
    parse_leaf,
)
from chopmark.audit._merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
)
from chopmark.audit._note import Checkpoint, Signer, note_parts, open_checkpoint
from chopmark.audit._paths import Paths, replace_file
from chopmark.audit._publish import publish
from chopmark.audit._receipt import Receipt
from chopmark.audit._relay import Relay
from chopmark.audit._report import Problem
from chopmark.audit._schema import (
    State,
    load_state,
    record_range,
    save_state,
)
from chopmark.audit._search import SearchIndex
from chopmark.audit._sequencer import Ledger, Sequencer, now, record_of_leaf
from chopmark.audit._sqlite import private_folder
from chopmark.audit._tiles import node_reader
from chopmark.audit._transparency import transparency_report
from chopmark.audit._vault import KeyGone, Vault, secret_file
from chopmark.audit._witness import with_lines
from chopmark.errors import (
    ConfigurationError,
    DuplicateRecord,
    InvalidRequest,
    LogCorrupt,
    LogUnavailable,
    RecordNotFound,
)
from chopmark.ids import new_record_id, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from types import TracebackType

    from chopmark.audit._custody import RetentionClass
    from chopmark.audit._database import Database, Transaction
    from chopmark.audit._exceptions import PromptException
    from chopmark.audit._seat import Actor
    from chopmark.audit._vault import Content
    from chopmark.audit._witness import Witness
    from chopmark.types import JsonValue

__all__ = ["AuditLog"]

_WAIT_S: Final = 30.0
_CAPACITY: Final = 4096
_FREE_BYTES: Final = 32 * 1024 * 1024


def load_signer(path: Path, origin: str) -> Signer:
    """Return the signer of checkpoints; its key is made on first use.

    Raises:
        LogUnavailable: The key can be neither read nor made.
        ConfigurationError: The file holds something else than an Ed25519 key.
    """
    fresh = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = secret_file(path, fresh)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} does not hold an Ed25519 private key")
    return Signer(origin, key)


class AuditLog:
    """An append-only, tamper-evident log. Open it with :meth:`open`; use it from any thread."""

    def __init__(self, *, paths: Paths, database: Database, ledger: Ledger, signer: Signer) -> None:
        self._paths = paths
        self._database = database
        self._ledger = ledger
        self._vault = ledger.vault
        self._signer = signer
        self._pid = os.getpid()
        self._signing = threading.Lock()
        self._search: SearchIndex | None = None
        self._sequencer = Sequencer(self._ledger, capacity=_CAPACITY)
        self._relay = Relay(paths.folder, ledger, self._sequencer.put)
        self._sequencer.book = self._relay.book

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        origin: str = "chopmark.local/log",
        create: bool = True,
        database: str | None = None,
        keys_database: str | None = None,
    ) -> AuditLog:
        """Open the log under ``home``, or make it.

        Args:
            home: Chopmark's state folder; the log lives in ``home/audit``.
            origin: Name of the log, in every checkpoint; must not change once it is made.
            create: Whether to make a log where there is none.
            database: ``postgresql://...`` of the log; None keeps it in a SQLite file.
            keys_database: ``postgresql://...`` of the data keys, in another database with a short
                backup retention; None keeps them in a SQLite file.

        Raises:
            LogUnavailable: It cannot be opened or made.
            LogCorrupt: Its own last checkpoint contradicts it: it was rewritten, cut, or restored
                from a backup. Nothing is appended to such a log.
            ConfigurationError: The log has another origin, or its signing key is not one.
        """
        paths = Paths(Path(home))
        if not create and not (paths.log if database is None else paths.public_key).is_file():
            raise LogUnavailable(f"there is no log under {paths.folder}")
        for folder in (paths.folder, paths.keys.parent, paths.signing_key.parent):
            private_folder(folder)
        kek = secret_file(paths.kek, os.urandom(32))
        signer = load_signer(paths.signing_key, origin)
        keys = open_keys(paths, keys_database, write=True)
        try:
            database_ = open_log(paths, database, write=True)
        except BaseException:
            keys.close()
            raise
        try:
            _check_before_use(database_, signer, paths)
            ledger = Ledger(database_, Vault(keys, kek), origin)
            finished = custody.resume(ledger)
        except BaseException:
            database_.close()
            keys.close()
            raise
        log = cls(paths=paths, database=database_, ledger=ledger, signer=signer)
        if finished:
            log._recovered({"erasures": len(finished)})
        return log

    def close(self) -> None:
        """Book what is queued, sign a checkpoint over it, and let go of the files."""
        if self._pid == os.getpid():
            self._sequencer.close(_WAIT_S)
            self._relay.close()
            with contextlib.suppress(LogUnavailable, LogCorrupt):
                self.checkpoint()
        if self._search is not None:
            self._search.close()
        self._database.close()
        self._vault.close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the log."""
        self.close()

    @property
    def public_key(self) -> str:
        """The verifier key of the log's checkpoints (C2SP signed note, text form)."""
        return str(self._signer.key)

    @property
    def size(self) -> int:
        """Number of entries."""
        with self._database.read() as transaction:
            return self._state(transaction).size

    def root(self) -> str:
        """Return the root of the Merkle tree, 64 hex digits."""
        with self._database.read() as transaction:
            return self._state(transaction).tree().root().hex()

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
            raise LogUnavailable("the event was withdrawn before it was booked") from None

    def in_force(
        self,
        kind: Literal["policy.changed", "key.rotated"],
        value: str,
        *,
        what: str = "policy",
        tenant: str = SYSTEM_TENANT,
    ) -> Record | None:
        """Book which policy or key is in force, when it is another than was booked last.

        Whoever uses it says so, and so no way of changing it goes unnoticed, be it a command, a
        setting or a file that was replaced.

        Args:
            kind: ``policy.changed`` or ``key.rotated``.
            value: Digest of the policy, or public id of the key; public for ever.
            what: Which policy or key.
            tenant: Whose.

        Returns:
            The record, None when nothing has changed.
        """
        # One record for all changes of one thing, so that the last is found by its name.
        name = sha256(f"{kind}\n{what}\n{tenant}".encode()).hexdigest()[:15] + "0"
        try:
            earlier = self.records(name)
        except RecordNotFound:
            earlier = []
        before = earlier[-1].public.get("now") if earlier else None
        if before == value:
            return None
        event = Event(
            kind=kind,
            record_id=name,
            event_id=f"{name}:{kind}:{len(earlier)}",
            tenant=tenant,
            public={"what": what, "before": before, "now": value},
        )
        return self.append(event)

    def submit(self, event: Event) -> Future[Record]:
        """Queue an event; the future ends as :meth:`append` does.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
            InvalidRequest: The event cannot be booked as it is.
        """
        if self._pid != os.getpid():
            raise LogUnavailable(
                "this log was opened before the process forked", hint="open it in the child"
            )
        job = self._ledger.prepare(event)
        self._sequencer.put(job)
        return job.future

    def writable(self) -> None:
        """Do nothing when a record could be booked now.

        Raises:
            LogUnavailable: It could not.
            LogCorrupt: The log does not agree with itself.
        """
        if not self._sequencer.alive:
            raise LogUnavailable("the log is closed")
        try:
            space = os.statvfs(self._paths.folder)
        except OSError as error:
            raise LogUnavailable(f"the log's folder is gone: {error.strerror}") from None
        if space.f_bavail * space.f_frsize < _FREE_BYTES:
            raise LogUnavailable("less than 32 MiB are free on the log's disk")
        with self._database.write() as transaction:
            load_state(transaction)

    def get(self, index: int) -> Record:
        """Return the entry at ``index``.

        Raises:
            RecordNotFound: There is none.
        """
        with self._database.read() as transaction:
            return record_of_leaf(index, self._leaf(transaction, index))

    def records(self, record_id: str) -> list[Record]:
        """Return all entries of a record (or of the record of an output id), oldest first.

        Raises:
            InvalidRequest: Not an id.
            RecordNotFound: No such record.
        """
        name = record_of(record_id)
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, leaf FROM entry WHERE event_id >= ? AND event_id < ? ORDER BY idx",
                record_range(name),
            )
        if not rows:
            raise RecordNotFound(f"no record {name}")
        return [record_of_leaf(int(index), bytes(leaf)) for index, leaf in rows]

    def private(self, index: int) -> dict[str, JsonValue] | None:
        """Return the erasable part of an entry; None when it never had one or it was erased.

        Raises:
            RecordNotFound: There is no such entry.
            LogCorrupt: The content does not open the entry's commitment.
        """
        content = self.content(index)
        return content.private if content is not None else None

    def find(
        self,
        *,
        kind: EventKind | None = None,
        tenant: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Record]:
        """Return entries, newest first.

        Args:
            kind: Only this kind.
            tenant: Only this tenant.
            since: Not older than this RFC 3339 time in UTC.
            until: Older than this RFC 3339 time in UTC.
            limit: At most so many, 1..1000.
            before: Only entries with a smaller index, to page on.
        """
        limits = {
            "kind = ?": kind,
            "tenant = ?": tenant,
            "time >= ?": since,
            "time < ?": until,
            "idx < ?": before,
        }
        used = {clause: value for clause, value in limits.items() if value is not None}
        where = " AND ".join(used) or "1 = 1"
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT idx, leaf FROM entry WHERE {where} ORDER BY idx DESC LIMIT ?",  # noqa: S608 - marks only
                (*used.values(), max(1, min(limit, 1000))),
            )
        return [record_of_leaf(int(index), bytes(leaf)) for index, leaf in rows]

    def checkpoint(self) -> Checkpoint:
        """Sign what the log is now.

        The entries since the last checkpoint are read back from the file and hashed again, on top
        of the last signed root; only when that gives the root that the log believes in is it
        signed. (One flipped bit in memory once ended a certificate log for good.)

        Raises:
            LogCorrupt: The stored bytes give another root.
            LogUnavailable: The file cannot be written.
        """
        with self._signing, self._database.write() as transaction:
            state = self._state(transaction)
            last = _last_checkpoint(transaction, self._signer)
            if last is not None and last[1].size == state.size:
                return last[1]
            number, tree = (0, Frontier()) if last is None else (last[0], last[2])
            first = tree.size
            for (leaf,) in transaction.stream(
                "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx",
                (first, state.size),
            ):
                tree.append(leaf_hash(bytes(leaf)))
            if tree.size != state.size or tree.pack() != state.frontier:
                raise LogCorrupt(
                    f"the entries from {first} on do not give the tree that the log believes in",
                    hint="run chopmark audit verify",
                )
            signed = self._signer.sign(tree.size, tree.root())
            transaction.execute(
                "INSERT INTO checkpoint (id, size, frontier, note) VALUES (?, ?, ?, ?)",
                (number + 1, tree.size, tree.pack(), signed.note),
            )
            # Under the lock, so that the kept file never goes back in size.
            replace_file(self._paths.checkpoint, signed.note.encode())
        return signed

    def cosign(self, witnesses: Iterable[Witness]) -> tuple[Checkpoint, tuple[Problem, ...]]:
        """Sign a checkpoint and have it cosigned (C2SP tlog-witness).

        A witness that is down stands in nobody's way: what it did not sign, it signs next time. One
        that *refuses* has seen another history, which is for people to look into.

        Returns:
            The checkpoint with the cosignatures that came, and what did not go well.
        """
        signed, lines, problems = self.checkpoint(), [], []
        for witness in witnesses:
            try:
                lines.append(witness.cosign(signed, self.consistency_proof).line)
            except LogUnavailable as error:
                problems.append(_about(witness, "witness_down", error.message))
            except InvalidRequest as error:
                problems.append(_about(witness, "witness_refused", error.message))
        with self._signing, self._database.write() as transaction:
            last = _last_checkpoint(transaction, self._signer)
            rows = transaction.execute(
                "SELECT id, note FROM checkpoint WHERE size = ? ORDER BY id DESC LIMIT 1",
                (signed.size,),
            )
            if not rows or last is None:
                raise LogCorrupt("a checkpoint just signed is gone")
            cosigned = replace(signed, note=with_lines(rows[0][1], lines))
            transaction.execute(
                "UPDATE checkpoint SET note = ? WHERE id = ?", (cosigned.note, rows[0][0])
            )
            if last[1].size == cosigned.size:
                replace_file(self._paths.checkpoint, cosigned.note.encode())
        return cosigned, tuple(problems)

    def stamp(self, stamper: Callable[[bytes], bytes]) -> Stamp:
        """Have a checkpoint time-stamped (RFC 3161) and keep the token.

        Args:
            stamper: Gets the checkpoint's text (what its signature covers) and returns the token
                of a time-stamping authority over it.

        Raises:
            ChopmarkError: What the stamper raises.
        """
        signed = self.checkpoint()
        data, _ = note_parts(signed.note)
        token = stamper(data)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO stamp (size, token) VALUES (?, ?)", (signed.size, token)
            )
        return Stamp(size=signed.size, data=data, token=token)

    def stamps(self) -> list[Stamp]:
        """Return the time stamps that are kept, smallest tree first, each with what it covers."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT stamp.size, token, min(note) FROM stamp JOIN checkpoint"
                " ON checkpoint.size = stamp.size GROUP BY stamp.size, token ORDER BY stamp.size"
            )
        return [
            Stamp(size=int(size), data=note_parts(note)[0], token=bytes(token))
            for size, token, note in rows
        ]

    def receipt(self, record: str | int) -> Receipt:
        """Return the proof that an entry is in the log.

        Args:
            record: Index of an entry; or the id of a record or of one of its outputs, which
                stands for the event that ended the record (the last one when it has no end).

        Raises:
            RecordNotFound: No such entry.
            LogCorrupt: The log does not agree with itself.
            LogUnavailable: No checkpoint can be signed.
        """
        index = record if isinstance(record, int) else self._end_of(record)
        with self._database.read() as transaction:
            self._leaf(transaction, index)
            last = _last_checkpoint(transaction, self._signer)
        if last is None or last[1].size <= index:
            self.checkpoint()
        with self._database.read() as transaction:
            last = _last_checkpoint(transaction, self._signer)
            if last is None:
                raise LogCorrupt("a checkpoint just signed is gone")
            size = last[1].size
            reader = node_reader(transaction, self._state(transaction).size)
            return Receipt(
                leaf=self._leaf(transaction, index),
                index=index,
                proof=tuple(inclusion_proof(index, size, reader)),
                checkpoint=last[1].note,
                public_key=self.public_key,
            )

    def consistency_proof(self, first: int, second: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that the log of ``first`` entries is a prefix of that of ``second``.

        Args:
            first: Size at an older checkpoint.
            second: Size at a newer one; the last checkpoint's when it is None.

        Returns:
            Hashes of 32 bytes (RFC 9162, section 2.1.4).

        Raises:
            RecordNotFound: The log does not have so many entries.
        """
        if second is None:
            second = self.checkpoint().size
        with self._database.read() as transaction:
            size = self._state(transaction).size
            if not 0 <= first <= second <= size:
                raise RecordNotFound(f"{first} and {second} are not sizes of a log of {size}")
            return tuple(consistency_proof(first, second, node_reader(transaction, size)))

    def publish(self, folder: Path) -> Checkpoint:
        """Write the log's public files (C2SP tlog-tiles) and sign a checkpoint over them.

        Args:
            folder: What stands under the log's public address: ``checkpoint``, ``tile/...``,
                ``tile/entries/...``. Only what is new is written.

        Raises:
            LogCorrupt: The folder is published further than this log goes, or is another log's.
            LogUnavailable: It cannot be written.
        """
        signed = self.checkpoint()
        with self._database.read() as transaction:
            publish(transaction, signed, self._signer.key, Path(folder))
        return signed

    def reconcile(self, older_than_s: float) -> list[Record]:
        """Close what was received and never ended, as ``request.failed`` with code ``lost``.

        Args:
            older_than_s: Leave alone what was received less than so many seconds ago.

        Returns:
            The records that were booked for it.
        """
        limit = now(-older_than_s)
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT open_request.record_id, entry.tenant FROM open_request"
                " JOIN entry ON entry.idx = open_request.idx WHERE open_request.time <= ?",
                (limit,),
            )
        closed = []
        for record_id, tenant in rows:
            # Another process may close it between the two; then there is nothing to do.
            with contextlib.suppress(DuplicateRecord):
                closed.append(
                    self.append(
                        Event(
                            kind="request.failed",
                            record_id=record_id,
                            tenant=tenant,
                            public={"code": "lost"},
                        )
                    )
                )
        if closed:
            self._recovered({"closed": len(closed)})
        return closed

    def _recovered(self, what: dict[str, JsonValue]) -> None:
        """Book that something which an earlier run left undone was finished."""
        self.append(
            Event(
                kind="log.recovered",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public=what,
            )
        )

    def erase(
        self, subject: str, *, by: tuple[str, str], reason: str, tenant: str | None = None
    ) -> Record:
        """Forget a person: destroy the key and every content row of the subject.

        The entries stay, and every proof stays valid; what they commit to is gone, also from
        copies of the log, because the key is. No residue stays in the files.

        Args:
            subject: As it was given with the events.
            by: Two different persons who answer for it.
            reason: Why; kept with the names in the log.
            tenant: Refuse a subject whose content is not all of this tenant.

        Returns:
            The ``erasure.completed`` record; ``public["count"]`` rows are gone.

        Raises:
            ErasureRefused: A hold stands (which is booked), or one person was named twice.
            RecordNotFound: Nothing is stored about the subject.
            LogUnavailable: Try again: what was begun is finished when the log is next opened.
        """
        try:
            return custody.erase(self._ledger, subject, by=by, reason=reason, tenant=tenant)
        finally:
            self._follow()

    def place_hold(
        self,
        subject: str,
        *,
        basis: str,
        by: str,
        until: str | None = None,
        tenant: str | None = None,
    ) -> Record:
        """Forbid erasing and expiring what is stored about a subject.

        Args:
            subject: As it was given with the events.
            basis: The legal ground, or the case.
            by: Who places it.
            until: RFC 3339 time in UTC when it ends by itself; None keeps it until released.
            tenant: Refuse a subject whose content is not all of this tenant.

        Raises:
            ErasureRefused: The subject is being erased already, or is not the tenant's alone.
            RecordNotFound: The tenant has nothing of the subject.
            InvalidRequest: No basis, no name, or ``until`` is not such a time.
        """
        return custody.place_hold(
            self._ledger, subject, basis=basis, by=by, until=until, tenant=tenant
        )

    def release_hold(self, index: int, *, by: str, reason: str) -> Record:
        """End the hold that was placed by entry ``index``.

        Raises:
            RecordNotFound: No hold stands there.
        """
        return custody.release_hold(self._ledger, index, by=by, reason=reason)

    def holds(self) -> list[Hold]:
        """Return the holds that stand now, oldest first."""
        standing = []
        for index, until in custody.holds(self._ledger):
            content = self.content(index)
            said = content.private if content is not None else {}
            standing.append(
                Hold(
                    index=index,
                    until=until,
                    basis=str(said.get("basis", "")),
                    by=str(said.get("by", "")),
                    subject=content.subject if content is not None else None,
                    tenant=None if said.get("of") == EVERY_TENANT else str(said.get("of")),
                )
            )
        return standing

    def expire(self, periods: dict[RetentionClass, timedelta]) -> list[Record]:
        """Take away content that is older than its class is kept; what is held stays.

        A record is ``report`` or ``blocked`` when one of its events says so in
        ``public["retention"]``, ``blocked`` also when it was refused, else ``standard``.

        Args:
            periods: How long each class is kept; a class that is not named is kept for ever.

        Returns:
            The ``retention.expired`` records, none when nothing was due.
        """
        try:
            return custody.expire(self._ledger, periods)
        finally:
            self._follow()

    def index(self) -> SearchIndex:
        """Return the search projection, made on first use.

        Raises:
            LogUnavailable: It cannot be opened.
        """
        with self._signing:
            if self._search is None:
                self._search = SearchIndex(self._paths.folder, self._ledger)
            return self._search

    def _follow(self) -> None:
        """Take what is gone out of the projection too, where there is one."""
        if self._search is not None or self._paths.search.is_file():
            self.index().update()

    def desk(self, actor: Actor, *, purpose: str) -> Desk:
        """Seat a person at the desk: search, review, appeals; all they do is booked.

        Raises:
            InvalidRequest: No name, or no purpose.
        """
        return Desk(log=self, ledger=self._ledger, index=self.index(), actor=actor, purpose=purpose)

    def transparency(
        self, *, since: str = "", until: str = "9999", tenant: str | None = None
    ) -> dict[str, JsonValue]:
        """Return the transparency report of a period, with the checkpoint that it is counted up to.

        Counted from public leaves only (:func:`transparency_report`), so whoever has the published
        files of that checkpoint gets the same.

        Args:
            since: First moment, RFC 3339 in UTC.
            until: Moment after the last.
            tenant: Count only what is of this tenant.
        """
        checkpoint = self.checkpoint()
        with self._database.read() as transaction:
            rows = transaction.stream(
                "SELECT leaf FROM entry WHERE idx < ? ORDER BY idx", (checkpoint.size,)
            )
            report = transparency_report(
                (bytes(row[0]) for row in rows), since=since, until=until, tenant=tenant
            )
        return {**report, "checkpoint": checkpoint.note}

    def appeal(self, record_id: str, *, statement: str, tenant: str | None = None) -> Record:
        """Book the appeal of a person who was refused.

        Args:
            record_id: The decision id that the refusal named.
            statement: What they say, kept erasable under the request's subject.
            tenant: Whose decision it must be; of another one there is none.

        Raises:
            RecordNotFound: No such record.
            InvalidRequest: It was not a refusal, or nothing is said.
            DuplicateRecord: It was appealed already.
        """
        if not statement.strip():
            raise InvalidRequest("an appeal says why")
        records = self._of(record_id, tenant)
        first = records[0]
        content = self.content(first.index)
        event = Event(
            kind="appeal.opened",
            record_id=first.record_id,
            tenant=first.tenant,
            subject=content.subject if content is not None else None,
            private={"statement": statement},
        )
        return open_appeal(self._ledger, first.record_id, records, event)

    def appeal_state(self, record_id: str, *, tenant: str | None = None) -> AppealState:
        """Return what the person who appealed against a decision is told.

        Raises:
            RecordNotFound: No such record, or no appeal against it.
        """
        records = self._of(record_id, tenant)
        opened = next((record for record in records if record.kind == "appeal.opened"), None)
        if opened is None:
            raise RecordNotFound(f"there is no appeal against {records[0].record_id}")
        decided = next((record for record in records if record.kind == "appeal.decided"), None)
        private = self.private(decided.index) if decided is not None else None
        return AppealState(
            record_id=opened.record_id,
            opened=opened.time,
            decided=decided.time if decided is not None else None,
            outcome=decided.public["outcome"] if decided is not None else None,  # type: ignore[arg-type]
            rationale=str(private["rationale"]) if private is not None else None,
        )

    def _of(self, record_id: str, tenant: str | None) -> list[Record]:
        records = self.records(record_id)
        if tenant not in {None, records[0].tenant}:
            raise RecordNotFound(f"no record {records[0].record_id}")
        return records

    def excepted(self, prompt: str, *, tenant: str, negative_prompt: str = "") -> Record | None:
        """Return the exception that an overturned appeal granted for this prompt, if one holds.

        The very prompt: case and white space may differ, nothing else. Whoever asks must not use
        it for what was blocked in a category of :attr:`PromptException.NEVER`.
        """
        index = exceptions.excepted(
            self._ledger, prompt, negative_prompt=negative_prompt, tenant=tenant
        )
        return None if index is None else self.get(index)

    def exceptions(self) -> list[PromptException]:
        """Return the exceptions that hold now, oldest first."""
        return [
            exceptions.PromptException(
                index=index, record_id=record.record_id, tenant=record.tenant, until=until
            )
            for index, until in exceptions.standing(self._ledger)
            for record in (self.get(index),)
        ]

    def content(self, index: int) -> Content | None:
        """Return private part and subject of an entry; None when there is none (any more).

        Raises:
            RecordNotFound: There is no such entry.
            LogCorrupt: The content does not open the entry's commitment.
        """
        with self._database.read() as transaction:
            leaf = self._leaf(transaction, index)
            rows = transaction.execute("SELECT key_id, sealed FROM content WHERE idx = ?", (index,))
        members = parse_leaf(leaf)
        if not rows or "commitment" not in members:
            return None
        with contextlib.suppress(KeyGone):
            return self._vault.open(
                bytes(rows[0][0]),
                bytes(rows[0][1]),
                event_id=members["event_id"],
                commitment=bytes.fromhex(members["commitment"]),
            )
        return None

    def _end_of(self, record_id: str) -> int:
        records = self.records(record_id)
        ends = [record.index for record in records if record.kind in TERMINAL]
        return ends[-1] if ends else records[-1].index

    def _state(self, transaction: Transaction) -> State:
        return load_state(transaction) or State(origin=self._signer.key.name)

    def _leaf(self, transaction: Transaction, index: int) -> bytes:
        rows = transaction.execute("SELECT leaf FROM entry WHERE idx = ?", (index,))
        if not rows:
            raise RecordNotFound(f"no entry {index}")
        return bytes(rows[0][0])


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """A time stamp over a checkpoint.

    Attributes:
        size: Number of entries that the checkpoint speaks of.
        data: What was stamped: the checkpoint's text.
        token: RFC 3161, as the authority gave it.
    """

    size: int
    data: bytes
    token: bytes


def _about(witness: Witness, what: str, detail: str) -> Problem:
    return Problem(what=what, where=f"witness {witness.key.name}", detail=detail)


def _last_checkpoint(
    transaction: Transaction, signer: Signer
) -> tuple[int, Checkpoint, Frontier] | None:
    """Return number, note and frontier of the newest checkpoint in the table.

    Raises:
        LogCorrupt: It is not ours, or does not fit its frontier.
    """
    rows = transaction.execute(
        "SELECT id, size, frontier, note FROM checkpoint ORDER BY id DESC LIMIT 1"
    )
    if not rows:
        return None
    number, size, frontier, note = rows[0]
    try:
        checkpoint = open_checkpoint(note, signer.key)
        tree = Frontier.unpack(size, bytes(frontier))
    except (InvalidRequest, ValueError, TypeError):
        raise LogCorrupt(f"checkpoint {number} is damaged") from None
    if checkpoint.size != tree.size or checkpoint.root != tree.root():
        raise LogCorrupt(f"checkpoint {number} does not fit its frontier")
    return number, checkpoint, tree


def _check_before_use(database: Database, signer: Signer, paths: Paths) -> None:
    """Compare the log with its name and with the checkpoint that it kept outside its database."""
    try:
        kept = paths.checkpoint.read_text("utf-8") if paths.checkpoint.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise LogUnavailable(f"cannot read {paths.checkpoint}: {error}") from None
    with database.write() as transaction:
        state = load_state(transaction)
        if state is None:
            state = State(origin=signer.key.name)
            save_state(transaction, state)
        if state.origin != signer.key.name:
            raise ConfigurationError(
                f"this log is {state.origin!r}, not {signer.key.name!r}",
                hint="a log keeps its origin for life",
            )
        if not paths.public_key.is_file():
            replace_file(paths.public_key, f"{signer.key}\n".encode())
        if kept is None:
            return
        try:
            checkpoint = open_checkpoint(kept, signer.key)
        except InvalidRequest as error:
            raise LogCorrupt(f"{paths.checkpoint}: {error.message}") from None
        if checkpoint.size > state.size:
            raise LogCorrupt(
                f"the log has {state.size} entries and signed for {checkpoint.size} before",
                hint="it was cut or restored from a backup; bring back the newer one",
            )
        if root_at(checkpoint.size, node_reader(transaction, state.size)) != checkpoint.root:
            raise LogCorrupt(
                f"the first {checkpoint.size} entries are not those signed for before",
                hint="run chopmark audit verify",
            )
