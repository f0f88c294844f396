"""The log as its users see it: writing, reading, and the parts that do the rest."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from chopmark.audit.custody.custody import Custody, erase_again, finish_erasures
from chopmark.audit.desk.appeals import Appeals
from chopmark.audit.desk.desk import Desk
from chopmark.audit.desk.prompt_exceptions import PromptExceptions
from chopmark.audit.desk.session import DeskSession
from chopmark.audit.desk.suspensions import Suspensions
from chopmark.audit.log.clock import now
from chopmark.audit.log.connect import open_keys, open_log
from chopmark.audit.log.destroyed import Destroyed
from chopmark.audit.log.events import SYSTEM_TENANT, Event, Record
from chopmark.audit.log.ledger import Ledger
from chopmark.audit.log.paths import Paths
from chopmark.audit.log.reader import Reader
from chopmark.audit.log.schema import load_state
from chopmark.audit.log.vault import Vault
from chopmark.audit.log.wrapping import Wrapping
from chopmark.audit.log.writer import Writer
from chopmark.audit.proof.kept_checkpoint import check_before_use
from chopmark.audit.proof.log_keys import LogKeys
from chopmark.audit.proof.marks import Marks
from chopmark.audit.proof.prover import Prover
from chopmark.audit.search.index import SearchIndex
from chopmark.audit.upkeep import Upkeep
from chopmark.errors import DuplicateRecord, LogCorrupt, LogUnavailable, RecordNotFound
from chopmark.kit.files import make_private_folder
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.log.events import EventKind
    from chopmark.audit.log.sealed import Content
    from chopmark.kit.types import JsonValue

__all__ = ["AuditLog"]

_LOG = logging.getLogger(__name__)
_FREE_BYTES: Final = 32 * 1024 * 1024


class AuditLog:
    """An append-only, tamper-evident log. Open it with :meth:`open`; use it from any thread.

    Attributes:
        fence: The number that this process appends under, where others may take over from it.
        proof: Checkpoints, receipts, witnesses, time stamps, public files.
        custody: Erasure, holds, retention, attachments.
        appeals: What a person who was refused does: appeal, and hear what became of it.
        exceptions: Prompts that pass because an appeal was overturned.
        suspensions: Persons who may ask for nothing now.
        upkeep: Changes the log's own keys.
    """

    def __init__(self, *, paths: Paths, ledger: Ledger, keys: LogKeys, marks: Marks) -> None:
        self._paths, self._ledger = paths, ledger
        self._reader = Reader(ledger)
        self._writer = Writer(ledger, paths.folder)
        self._opening = threading.Lock()
        self._search: SearchIndex | None = None
        self.fence = ledger.fence
        self.proof = Prover(ledger, self._reader, keys, marks)
        self.custody = Custody(ledger, self._reader, gone=self._follow)
        self.appeals = Appeals(ledger, self._reader)
        self.exceptions = PromptExceptions(ledger, self._reader)
        self.suspensions = Suspensions(ledger)
        self.upkeep = Upkeep(
            keys=keys,
            marks=marks,
            ledger=ledger,
            prover=self.proof,
            in_force=lambda value, what: self.in_force("key.rotated", value, what=what),
        )

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        origin: str = "chopmark.local/log",
        create: bool = True,
        database: str | None = None,
        keys_database: str | None = None,
        mark: Path | None = None,
        restoring: bool = False,
    ) -> AuditLog:
        """Open the log under ``home``, or make it.

        Args:
            home: Chopmark's state folder; the log lives in ``home/audit``.
            origin: Name of the log, in every checkpoint; must not change once it is made.
            create: Whether to make a log where there is none.
            database: ``postgresql://...`` of the log; None keeps it in a SQLite file.
            keys_database: ``postgresql://...`` of the data keys, in another database with a short
                backup retention; None keeps them in a SQLite file.
            mark: A file, best on another machine, in which the newest checkpoint is kept as well.
            restoring: Open a log that lacks what it signed for; :func:`restore_log` does.

        Raises:
            LogUnavailable: It cannot be opened or made, or a place that keeps its newest
                checkpoint cannot be looked at.
            LogCorrupt: What it signed before contradicts it: it was rewritten, cut, or restored
                from a backup. Nothing is appended to such a log.
            ConfigurationError: The log has another origin, or its signing key is not one.
        """
        paths = Paths(Path(home))
        if not create and not (paths.log if database is None else paths.public_key).is_file():
            raise LogUnavailable(f"there is no log under {paths.folder}")
        for folder in (paths.folder, paths.keys.parent, paths.signing_key.parent):
            make_private_folder(folder, error=LogUnavailable)
        wrapping = Wrapping(paths.kek.parent, make=True)
        destroyed = Destroyed(paths.destroyed)
        keys, marks = LogKeys(paths, origin), Marks(paths, mark)
        _ = keys.signer
        data_keys = open_keys(paths, keys_database, write=True)
        try:
            database_ = open_log(paths, database, write=True)
        except BaseException:
            data_keys.close()
            raise
        try:
            check_before_use(database_, keys, marks, restoring=restoring)
            ledger = Ledger(database_, Vault(data_keys, wrapping, destroyed=destroyed.add), origin)
            erase_again(ledger, destroyed.read())
            finished = finish_erasures(ledger)
        except BaseException:
            database_.close()
            data_keys.close()
            raise
        log = cls(paths=paths, ledger=ledger, keys=keys, marks=marks)
        _LOG.debug("log %s opened at entry %d", origin, log.size)
        if finished:
            _LOG.warning("%d erasures that had been cut short are finished", len(finished))
            log._recovered({"erasures": len(finished)})
        return log

    def close(self) -> None:
        """Book what is queued, sign a checkpoint over it, and let go of the files."""
        if self._writer.ours:
            self._writer.close()
            with contextlib.suppress(LogUnavailable, LogCorrupt):
                self.proof.checkpoint()
        if self._search is not None:
            self._search.close()
        self._ledger.database.close()
        self._ledger.vault.close()

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

    # Writing

    def append(self, event: Event) -> Record:
        """Book an event; return once it is on the disk.

        Raises:
            LogUnavailable: It is not known to be booked. Trying again with the same event is safe.
            DuplicateRecord: The event id is booked with another content, or its record has ended.
            InvalidRequest: The event cannot be booked as it is.
            LogCorrupt: The log does not agree with itself.
        """
        return self._writer.append(event)

    def submit(self, event: Event) -> Future[Record]:
        """Queue an event; the future ends as :meth:`append` does.

        Raises:
            LogUnavailable: The queue is full, or the log is closed.
            InvalidRequest: The event cannot be booked as it is.
        """
        return self._writer.submit(event)

    def in_force(
        self,
        kind: Literal["policy.changed", "key.rotated"],
        value: str,
        *,
        what: str = "policy",
        tenant: str = SYSTEM_TENANT,
        only_again: bool = False,
    ) -> Record | None:
        """Book which policy or key is in force, when it is another than was booked last.

        Whoever uses it says so, and so no way of changing it goes unnoticed, be it a command, a
        setting or a file that was replaced.

        Args:
            kind: ``policy.changed`` or ``key.rotated``.
            value: Digest of the policy, or public id of the key; public for ever.
            what: Which policy or key.
            tenant: Whose.
            only_again: Book nothing where nothing of the kind was ever booked.

        Returns:
            The record, None when nothing has changed.
        """
        # One record for all changes of one thing, so that the last is found by its name.
        name = sha256(f"{kind}\n{what}\n{tenant}".encode()).hexdigest()[:15] + "0"
        while True:
            try:
                earlier = self.records(name)
            except RecordNotFound:
                earlier = []
            before = earlier[-1].public.get("now") if earlier else None
            if before == value or (only_again and not earlier):
                return None
            with contextlib.suppress(DuplicateRecord):  # another process changed it just now
                return self.append(
                    Event(
                        kind=kind,
                        record_id=name,
                        event_id=f"{name}:{kind}:{len(earlier)}",
                        tenant=tenant,
                        public={"what": what, "before": before, "now": value},
                    )
                )

    def reconcile(
        self, older_than_s: float, *, among: frozenset[str] | None = None
    ) -> list[Record]:
        """Close what was received and never ended, as ``request.failed`` with code ``lost``.

        Args:
            older_than_s: Leave alone what was received less than so many seconds ago.
            among: Only records of these; None is all of them.

        Returns:
            The records that were booked for it.
        """
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT open_request.record_id, entry.tenant FROM open_request"
                " JOIN entry ON entry.idx = open_request.idx WHERE open_request.time <= ?",
                (now(-older_than_s),),
            )
        closed = []
        for record_id, tenant in rows:
            if among is not None and record_id not in among:
                continue
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
            _LOG.warning("%d requests that never ended are closed as lost", len(closed))
            self._recovered({"closed": len(closed)})
        return closed

    def writable(self) -> None:
        """Do nothing when a record could be booked now.

        Raises:
            LogUnavailable: It could not.
            LogCorrupt: The log does not agree with itself.
        """
        if not self._writer.alive:
            raise LogUnavailable("the log is closed")
        try:
            space = os.statvfs(self._paths.folder)
        except OSError as error:
            raise LogUnavailable(f"the log's folder is gone: {error.strerror}") from None
        if space.f_bavail * space.f_frsize < _FREE_BYTES:
            raise LogUnavailable("less than 32 MiB are free on the log's disk")
        with self._ledger.database.write() as transaction:
            load_state(transaction)

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

    # Reading

    @property
    def public_key(self) -> str:
        """The verifier key of the log's checkpoints (C2SP signed note, text form)."""
        return self.proof.public_key

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._reader.size

    def root(self) -> str:
        """Return the root of the Merkle tree, 64 hex digits."""
        return self._reader.root()

    def get(self, index: int) -> Record:
        """Return the entry at ``index``.

        Raises:
            RecordNotFound: There is none.
        """
        return self._reader.get(index)

    def records(self, record_id: str) -> list[Record]:
        """Return all entries of a record (or of the record of an output id), oldest first.

        Raises:
            InvalidRequest: Not an id.
            RecordNotFound: No such record.
        """
        return self._reader.records(record_id)

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
        """Return entries by kind, tenant and time, newest first; see :meth:`Reader.find`."""
        return self._reader.find(
            kind=kind, tenant=tenant, since=since, until=until, limit=limit, before=before
        )

    def following(self, index: int, *, limit: int = 50) -> list[Record]:
        """Return the entries from ``index`` on, oldest first; see :meth:`Reader.following`."""
        return self._reader.following(index, limit=limit)

    def content(self, index: int) -> Content | None:
        """Return private part and subject of an entry; None when there is none (any more).

        Raises:
            RecordNotFound: There is no such entry.
            LogCorrupt: The content does not open the entry's commitment.
        """
        return self._reader.content(index)

    def private(self, index: int) -> dict[str, JsonValue] | None:
        """Return the private part of an entry; otherwise as :meth:`content`."""
        return self._reader.private(index)

    # People

    def desk(self, actor: Actor, *, purpose: str) -> Desk:
        """Return the desk of a person: search, review, appeals; all they do is booked.

        Raises:
            InvalidRequest: No purpose.
            LogUnavailable: The search projection cannot be opened.
        """
        session = DeskSession(
            actor=actor,
            purpose=purpose,
            ledger=self._ledger,
            reader=self._reader,
            writer=self._writer,
            index=self.search,
        )
        return Desk(session, prover=self.proof, custody=self.custody)

    @property
    def search(self) -> SearchIndex:
        """The search projection, opened when it is first asked for.

        Raises:
            LogUnavailable: It cannot be opened.
        """
        with self._opening:
            if self._search is None:
                self._search = SearchIndex(self._paths.folder, self._ledger)
            return self._search

    def _follow(self) -> None:
        """Take content that went out of the projection too, where there is one."""
        if self._search is not None or self._paths.search.is_file():
            self.search.update()
