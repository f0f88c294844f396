"""The log as its users see it."""

from __future__ import annotations

import contextlib
import logging
import os
from concurrent.futures import CancelledError, Future
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from chopmark.audit.custody import erasure as custody
from chopmark.audit.custody.vault import Vault, secret_file
from chopmark.audit.desk.desk import Desk
from chopmark.audit.log.connect import open_keys, open_log
from chopmark.audit.log.events import SYSTEM_TENANT, Event, Record
from chopmark.audit.log.for_people import Serving
from chopmark.audit.log.ledger import Ledger, now
from chopmark.audit.log.paths import Paths, replace_file
from chopmark.audit.log.relay import Relay
from chopmark.audit.log.schema import State, load_state, save_state
from chopmark.audit.log.sequencer import Sequencer
from chopmark.audit.proof.merkle import root_at
from chopmark.audit.proof.note import Signer, open_checkpoint
from chopmark.audit.proof.prover import load_signer
from chopmark.audit.proof.tiles import node_reader
from chopmark.errors import (
    ConfigurationError,
    DuplicateRecord,
    InvalidRequest,
    LogCorrupt,
    LogUnavailable,
    RecordNotFound,
)
from chopmark.kit.ids import new_record_id
from chopmark.kit.sqlite import private_folder

if TYPE_CHECKING:
    from types import TracebackType

    from chopmark.audit.desk.actor import Actor
    from chopmark.kit.database import Database
    from chopmark.kit.types import JsonValue

__all__ = ["AuditLog"]

_LOG = logging.getLogger(__name__)
_WAIT_S: Final = 30.0
_CAPACITY: Final = 4096
_FREE_BYTES: Final = 32 * 1024 * 1024


class AuditLog(Serving):
    """An append-only, tamper-evident log. Open it with :meth:`open`; use it from any thread."""

    def __init__(self, *, paths: Paths, database: Database, ledger: Ledger, signer: Signer) -> None:
        super().__init__(paths=paths, database=database, ledger=ledger, signer=signer)
        self._pid = os.getpid()
        self._sequencer = Sequencer(self._ledger, capacity=_CAPACITY)
        self._relay = Relay(paths.folder, ledger, self._sequencer.put_all)
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
        _LOG.debug("log %s opened at entry %d", origin, log.size)
        if finished:
            _LOG.warning("%d erasures that had been cut short are finished", len(finished))
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
        return self._sequencer.put(self._ledger.prepare(event))

    def desk(self, actor: Actor, *, purpose: str) -> Desk:
        """Seat a person at the desk: search, review, appeals; all they do is booked.

        Raises:
            InvalidRequest: No name, or no purpose.
        """
        return Desk(log=self, ledger=self._ledger, index=self.index(), actor=actor, purpose=purpose)

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
            _LOG.warning("%d requests that never ended are closed as lost", len(closed))
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
