"""The desk: people at work in the log. Whatever they do is an entry, with their name and why."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.desk.appeals import AppealReview
from chopmark.audit.desk.cybertips import CyberTips
from chopmark.audit.desk.export import Export
from chopmark.audit.desk.outputs import Outputs
from chopmark.audit.desk.people import DeskPeople
from chopmark.audit.desk.review import Review
from chopmark.audit.desk.saved_queries import SavedQueries
from chopmark.audit.desk.view import Glance, RecordViewer, View
from chopmark.audit.log.clock import now
from chopmark.audit.log.events import SYSTEM_TENANT
from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit.custody.custody import Custody, RetentionClass
    from chopmark.audit.custody.holds import Hold
    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.audit.proof.prover import Prover
    from chopmark.audit.search.query import Hit, Query
    from chopmark.kit.types import JsonValue

__all__ = ["Desk"]

_OPENED: Final = timedelta(hours=8)
_WITH_COPIES: Final = frozenset({"request.completed", "request.refused", "request.failed"})


class Desk:
    """What one person does in the log, for one purpose. :meth:`AuditLog.desk` makes it.

    A person of one tenant finds, sees, leases, decides, exports and erases nothing of another, and
    is not told that it exists; the log's own entries are shown to nobody of a tenant.

    Args:
        session: Who, and why.
        prover: Signs what is exported.
        custody: Erases and holds.

    Attributes:
        queries: Kept queries.
        review: Queues of records for people to decide on.
        appeals: Appeals against refusals, and the exceptions that they granted.
        outputs: Pictures that are withdrawn, restored, or let out after they were held.
        people: Persons whom tenants name: what is known of them, and what is done about them.
        export: What leaves the log: records with proofs, statements of reasons, reports.
        cybertips: Drafts of reports to NCMEC's CyberTipline, which two persons release.
    """

    def __init__(self, session: DeskSession, *, prover: Prover, custody: Custody) -> None:
        self._session, self._custody = session, custody
        self._viewer = RecordViewer(session)
        self.queries = SavedQueries(session)
        self.review = Review(session)
        self.appeals = AppealReview(session)
        self.outputs = Outputs(session)
        self.people = DeskPeople(session)
        self.export = Export(session, prover)
        self.cybertips = CyberTips(session, custody)

    # Looking: the entry is on the disk before anything is shown.

    def search(self, query: Query, *, limit: int = 50, before: int | None = None) -> list[Hit]:
        """Find records; the search is booked before it runs.

        Raises:
            NotPermitted: No role for it, or another tenant's records are asked for.
            InvalidRequest: The query cannot be run.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        within = session.within(query)
        session.writer.append(session.event("access.searched", private={"query": query.to_dict()}))
        session.index.update()
        return session.index.find(within, limit=limit, before=before)

    def entries(
        self,
        *,
        kind: EventKind | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Record]:
        """Return entries of one kind, newest first, without content; booked as a search.

        The log's own entries (who looked, holds, erasures) are shown to no tenant.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator", "auditor")
        asked: dict[str, JsonValue] = {"kind": kind, "since": since, "until": until}
        session.writer.append(session.event("access.searched", private={"entries": asked}))
        found = session.reader.find(
            kind=kind, tenant=session.tenant, since=since, until=until, limit=limit, before=before
        )
        blind = self._viewer.undecided()
        return [
            record
            for record in found
            if record.record_id not in blind or record.kind != "review.decided"
        ]

    def records(self, record_id: str) -> list[Record]:
        """Return a record's entries without content, oldest first.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
        """
        self._session.require("reader", "reviewer", "investigator", "auditor")
        return self._viewer.shown(self._viewer.records(record_id))

    def view(self, record_id: str) -> View:
        """Return a record with its content; the look is booked first.

        A reviewer sees what they hold on lease, an investigator everything of their tenant; nobody
        what is sealed.

        Raises:
            NotPermitted: No role for it, not held, or sealed.
            RecordNotFound: No such record, or another tenant's.
        """
        session = self._session
        records = self._viewer.shown(self._viewer.opened(record_id))
        session.writer.append(session.event("access.viewed", public={"of": records[0].record_id}))
        return View(
            records=tuple(records),
            private=tuple(session.reader.private(record.index) for record in records),
        )

    def unblur(self, output_id: str) -> Record:
        """Book that a picture is shown unblurred; show it only after this returns.

        Raises:
            NotPermitted: As for :meth:`view`.
            RecordNotFound: No such record, or another tenant's.
        """
        self._viewer.opened(output_id)
        return self._session.writer.append(
            self._session.event("access.unblurred", public={"of": output_id})
        )

    def prompts(self, hits: Sequence[Hit]) -> dict[str, str]:
        """Return what was asked for in each of the records; the look is booked first, as one.

        What is sealed or erased is left out.

        Raises:
            NotPermitted: It takes an investigator.
        """
        reader = self._session.reader
        texts = {hit.record_id: _text_of(reader.private(hit.index)) for hit in self._opened(hits)}
        return {record_id: text for record_id, text in texts.items() if text}

    def glances(self, hits: Sequence[Hit]) -> dict[str, Glance]:
        """Return prompts and flagged pictures of the records; otherwise as :meth:`prompts`."""
        reader, found = self._session.reader, {}
        for hit in self._opened(hits):
            copies: dict[str, JsonValue] = {}
            for record in reader.records(hit.record_id):
                if record.kind in _WITH_COPIES:
                    kept = (reader.private(record.index) or {}).get("looks")
                    copies |= kept if isinstance(kept, dict) else {}
            prompt = _text_of(reader.private(hit.index))
            if prompt or copies:
                found[hit.record_id] = Glance(prompt=prompt, copies=copies)
        return found

    def _opened(self, hits: Sequence[Hit]) -> list[Hit]:
        """Book that the content of these records is looked at; return those that are not sealed."""
        session = self._session
        session.require("investigator")
        sealed = self._viewer.sealed(hit.record_id for hit in hits)
        opened = [hit for hit in hits if hit.record_id not in sealed]
        if opened:
            names: list[JsonValue] = [hit.record_id for hit in opened]
            session.writer.append(session.event("access.viewed", public={"of": names}))
        return opened

    # Seals

    def seal(self, record_id: str, *, reason: str) -> Record:
        """Close a record's content to everybody, until two persons open it.

        What was refused as ``sexual/minors`` is sealed from the start.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No reason.
        """
        session = self._session
        session.require("investigator")
        if not reason.strip():
            raise InvalidRequest("a seal needs a reason")
        record = self._viewer.records(record_id)[0]
        return session.writer.append(
            session.event(
                "record.sealed", record.record_id, private={"reason": reason}, tenant=record.tenant
            )
        )

    def unseal(
        self, record_id: str, *, second: Actor, reason: str, duration: timedelta = _OPENED
    ) -> Record:
        """Open a sealed record together with a second investigator; it closes again by itself.

        Raises:
            NotPermitted: Not two different investigators.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No reason.
        """
        session = self._session
        session.require_two(second, "investigator")
        if not reason.strip():
            raise InvalidRequest("opening a seal needs a reason")
        record = self._viewer.records(record_id)[0]
        return session.writer.append(
            session.event(
                "record.unsealed",
                record.record_id,
                {"until": now(duration.total_seconds())},
                {"reason": reason, "second": second.name},
                tenant=record.tenant,
            )
        )

    # What else a decision can lead to

    def hash_changed(
        self,
        kind: Literal["hash.added", "hash.removed"],
        name: str,
        *,
        category: str,
        entries: int,
        record_id: str | None,
        rationale: str,
    ) -> Record:
        """Book that a picture goes on a hash list or off it; whoever writes it calls this first.

        Args:
            kind: Which of the two.
            name: Of the list.
            category: What the list says, or said, of it.
            entries: How many hashes.
            record_id: The record that it is from; None where a file was uploaded.
            rationale: Why; it may be empty where a picture is added.

        Raises:
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No rationale for taking it off.
        """
        session, tenant, named = self._session, SYSTEM_TENANT, None
        if kind == "hash.removed":
            _stated(rationale)
        if record_id is not None:
            record = self._viewer.records(record_id)[0]
            tenant, named = record.tenant, record.record_id
        public: dict[str, JsonValue] = {"list": name, "category": category, "entries": entries}
        private: dict[str, JsonValue] = {"rationale": rationale} if rationale else {}
        return session.writer.append(session.event(kind, named, public, private, tenant=tenant))

    def case_changed(
        self,
        kind: Literal["case.added", "case.removed"],
        record_id: str,
        *,
        policy: str,
        action: str,
        rationale: str,
    ) -> Record:
        """Book that a record becomes a golden case of a policy, or is one no more.

        Args:
            kind: Which of the two.
            record_id: Which record.
            policy: The policy's digest.
            action: What the policy must say, or had to.
            rationale: Why.

        Raises:
            NotPermitted: It takes an investigator, who may see the prompt.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No rationale.
        """
        session = self._session
        session.require("investigator")
        _stated(rationale)
        record = self._viewer.records(record_id)[0]
        return session.writer.append(
            session.event(
                kind,
                record.record_id,
                {"policy": policy, "action": action},
                {"rationale": rationale},
                tenant=record.tenant,
            )
        )

    # Custody

    def erase(self, subject: str, *, second: Actor, reason: str) -> Record:
        """Erase a subject together with a second eraser; see :meth:`Custody.erase`.

        Raises:
            NotPermitted: Not two different erasers.
            ErasureRefused: A hold stands, or the subject is not this tenant's alone.
            RecordNotFound: Nothing is stored about the subject.
        """
        self._session.require_two(second, "eraser")
        by = (self._session.actor.name, second.name)
        return self._custody.erase(subject, by=by, reason=reason, tenant=self._session.tenant)

    def place_hold(self, subject: str, *, basis: str, until: str | None = None) -> Record:
        """Forbid erasing and expiring a subject's content; see :meth:`Holds.place`."""
        session = self._session
        session.require("eraser")
        return self._custody.holds.place(
            subject, basis=basis, by=session.actor.name, until=until, tenant=session.tenant
        )

    def release_hold(self, index: int, *, reason: str, second: Actor | None = None) -> Record:
        """End a hold.

        Args:
            index: The hold's entry.
            reason: Why.
            second: Another eraser who answers for it, where there is one; booked as well.

        Raises:
            NotPermitted: No role for it, or not two different erasers.
            RecordNotFound: No hold stands there, or another tenant placed it.
        """
        by = self._session.actor.name
        self._session.require("eraser")
        if second is not None:
            self._session.require_two(second, "eraser")
            by = f"{by}, {second.name}"
        if index not in {hold.index for hold in self.holds()}:
            raise RecordNotFound(f"no hold stands at entry {index}")
        return self._custody.holds.release(index, by=by, reason=reason)

    def holds(self) -> list[Hold]:
        """Return the holds that stand now, oldest first; a tenant's people see their own."""
        self._session.require("eraser", "investigator")
        tenant = self._session.tenant
        return [hold for hold in self._custody.holds.standing() if tenant in {None, hold.tenant}]

    def expire(
        self, periods: dict[RetentionClass, timedelta], *, but: frozenset[str] = frozenset()
    ) -> list[Record]:
        """Take away content whose retention is over, of every tenant; see :meth:`Custody.expire`.

        Raises:
            NotPermitted: Not an eraser of every tenant.
        """
        self._session.require("eraser")
        if self._session.tenant is not None:
            raise NotPermitted("retention ends for all tenants at once")
        return self._custody.expire(periods, but=but)


def _text_of(private: dict[str, JsonValue] | None) -> str:
    """Return the prompt of a record's first entry."""
    inside = private or {}
    texts = inside.get("texts")
    listed = texts if isinstance(texts, list) else [inside.get("prompt")]
    return "\n".join(one for one in listed if isinstance(one, str))


def _stated(rationale: str) -> None:
    if not rationale.strip():
        raise InvalidRequest("an action needs a rationale", param="rationale")
