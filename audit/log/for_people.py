"""What the log does for people: erasure, holds, retention, appeals, exceptions, search."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chopmark.audit.custody import attachments as kept
from chopmark.audit.custody import erasure as custody
from chopmark.audit.custody.erasure import Hold
from chopmark.audit.custody.vault import KeyGone
from chopmark.audit.desk import prompt_exceptions as exceptions
from chopmark.audit.desk.appeals import AppealState, open_appeal
from chopmark.audit.log.events import EVERY_TENANT, Event, Record
from chopmark.audit.log.schema import record_range
from chopmark.audit.proof.prover import Proving
from chopmark.audit.search.index import SearchIndex
from chopmark.errors import InvalidRequest, RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from chopmark.audit.custody.erasure import RetentionClass
    from chopmark.audit.desk.prompt_exceptions import PromptException
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.paths import Paths
    from chopmark.audit.proof.note import Signer
    from chopmark.kit.database import Database

__all__ = ["Serving"]


class Serving(Proving):
    """The part of the log that answers to people."""

    def __init__(self, *, paths: Paths, database: Database, ledger: Ledger, signer: Signer) -> None:
        super().__init__(paths=paths, database=database, ledger=ledger, signer=signer)
        self._opening = threading.Lock()
        self._search: SearchIndex | None = None

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

    def expire(
        self,
        periods: dict[RetentionClass, timedelta],
        *,
        tenant: str | None = None,
        but: frozenset[str] = frozenset(),
    ) -> list[Record]:
        """Take away content that is older than its class is kept; what is held stays.

        A record is ``report`` or ``blocked`` when one of its events says so in
        ``public["retention"]``, ``blocked`` also when it was refused, else ``standard``.

        Args:
            periods: How long each class is kept; a class that is not named is kept for ever.
            tenant: Only what is of this tenant.
            but: Nothing of these tenants, who keep theirs for another time.

        Returns:
            The ``retention.expired`` records, none when nothing was due.
        """
        try:
            return custody.expire(self._ledger, periods, tenant=tenant, but=but)
        finally:
            self._follow()

    def attach(self, index: int, files: Mapping[str, bytes], *, most_bytes: int) -> bool:
        """Keep bytes beside an entry, under its subject's key; they go when its content goes.

        They are no part of the tree. Of one tenant no more than ``most_bytes`` are kept: what was
        attached to older entries goes first.

        Args:
            index: The entry; it must have content.
            files: The bytes by name.
            most_bytes: How much of the entry's tenant is kept in all.

        Returns:
            Whether they are kept; False when the content is gone, or they alone are too many.

        Raises:
            LogUnavailable: Nothing was kept.
        """
        try:
            return kept.attach(self._ledger, index, files, most_bytes=most_bytes)
        except KeyGone:
            return False

    def attachments(self, index: int, *, younger_than: timedelta) -> dict[str, bytes] | None:
        """Return the bytes that are kept beside an entry, by name.

        None where there are none (any more), where they are too old, and where the content is
        erased or a hold stands on its subject: what must be kept as it is, is handed to nobody.

        Raises:
            RecordNotFound: No such entry.
            LogCorrupt: They, or the content, are not what was kept.
        """
        content = self.content(index)
        if content is None:
            return None
        try:
            return kept.attachments(
                self._ledger, index, subject=content.subject, younger_than=younger_than
            )
        except KeyGone:
            return None

    def detach(
        self,
        *,
        record_id: str | None = None,
        subject: str | None = None,
        tenant: str | None = None,
    ) -> int:
        """Let go of the attachments that belong to all that is named; content and entries stay.

        Returns:
            From how many entries something went.

        Raises:
            InvalidRequest: Nothing is named, or the record id is none.
        """
        return kept.detach(self._ledger, record_id=record_id, subject=subject, tenant=tenant)

    def detach_older(self, age: timedelta) -> int:
        """Let go of every attachment older than ``age``; return from how many entries."""
        return kept.detach_older(self._ledger, age)

    def contentless(self, record_ids: Iterable[str]) -> list[str]:
        """Return those of the records whose first entry has no content (any more), or is missing.

        Whoever keeps something about records beside the log asks this, so that it goes as well.
        """
        with self._database.read() as transaction:
            return [
                record_id
                for record_id in record_ids
                if not transaction.execute(
                    "SELECT content.idx FROM content JOIN entry ON entry.idx = content.idx"
                    " WHERE event_id >= ? AND event_id < ? AND kind = 'request.received'",
                    record_range(record_id),
                )
            ]

    def index(self) -> SearchIndex:
        """Return the search projection, made on first use.

        Raises:
            LogUnavailable: It cannot be opened.
        """
        with self._opening:
            if self._search is None:
                self._search = SearchIndex(self._paths.folder, self._ledger)
            return self._search

    def _follow(self) -> None:
        """Take what is gone out of the projection too, where there is one."""
        if self._search is not None or self._paths.search.is_file():
            self.index().update()

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
