"""Persons whom a tenant names: what is known of them, and warn, suspend, let in again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.desk.suspensions import Suspension, Suspensions
from chopmark.audit.log.clock import moment, now
from chopmark.audit.search.people import (
    PersonSummary,
    Refusal,
    days_of,
    people,
    persons_of,
    refusals_of,
)
from chopmark.audit.search.query import Hit, Query
from chopmark.errors import InvalidRequest, PersonNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.kit.types import JsonValue

__all__ = ["DeskPeople", "PersonAct", "PersonAction", "PersonView"]

PersonAction = Literal["warn", "suspend", "reinstate"]
_ACTS: Final[dict[str, PersonAction]] = {
    "person.warned": "warn",
    "person.suspended": "suspend",
    "person.reinstated": "reinstate",
}
_MOST_PAGE: Final = 200
_TENANT: Final = re.compile("[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class PersonAct:
    """Something that was done about a person.

    Attributes:
        index: The entry.
        time: When, RFC 3339 in UTC.
        until: Of a suspension, when it ends by itself; None for never.
        by: Who did it; None where the viewer may not know, or it was erased.
        rationale: Why; likewise.
    """

    index: int
    action: PersonAction
    time: str
    until: str | None
    by: str | None
    rationale: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class PersonView:
    """What the desk knows of one person.

    Attributes:
        summary: Who, and how much there is of them.
        suspension: Whether they may ask now; None where they may.
        acts: What was done about them, newest first.
        refusals: What the policy refused them and nobody overturned, newest first; strikes are
            counted from these.
        days: How their requests ended, day by day.
        hits: Their records, newest first.
    """

    summary: PersonSummary
    suspension: Suspension | None
    acts: tuple[PersonAct, ...]
    refusals: tuple[Refusal, ...]
    days: tuple[dict[str, JsonValue], ...]
    hits: tuple[Hit, ...]

    @property
    def last_warned(self) -> str | None:
        """When they were warned last, None for never."""
        return next((act.time for act in self.acts if act.action == "warn"), None)


class DeskPeople:
    """The persons of a log, as one person at the desk sees and treats them.

    Nobody is told of a person of another tenant.
    """

    def __init__(self, session: DeskSession) -> None:
        self._session = session
        self._suspensions = Suspensions(session.ledger)

    def listed(
        self, q: str | None = None, *, limit: int = 50, before: int | None = None
    ) -> list[PersonSummary]:
        """Return persons, the last one heard of first; the look is booked.

        Args:
            q: Part of the identifier, without the tenant; in whatever case.
            limit: At most so many, 1..200.
            before: ``newest`` of the last one of the page before.

        Raises:
            NotPermitted: No role for it.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        session.writer.append(session.event("access.searched", private={"people": q}))
        session.index.update()
        with session.index.database.read() as transaction:
            return people(
                transaction,
                tenant=session.tenant,
                q=q,
                limit=max(1, min(limit, _MOST_PAGE)),
                before=before,
            )

    def of_records(self, record_ids: Iterable[str]) -> dict[str, str]:
        """Return who asked, as ``TENANT:IDENTIFIER``, of records that were found a moment ago.

        Books nothing of its own: the search that found them is booked, and so is each person's
        page. Records of nobody, or of somebody who was erased, are left out.

        Raises:
            NotPermitted: No role for it.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        with session.index.database.read() as transaction:
            return persons_of(transaction, record_ids, tenant=session.tenant)

    def suspended(self, summary: PersonSummary) -> Suspension | None:
        """Return the suspension of a person that was listed, None where none stands."""
        return self._suspensions.find(summary.subject)

    def find(self, person: str) -> PersonSummary:
        """Return one person, without booking a look.

        Args:
            person: ``TENANT:IDENTIFIER``; the identifier alone where it is one person's only.

        Raises:
            NotPermitted: No role for it.
            PersonNotFound: Nothing is known of them, or they are another tenant's.
            InvalidRequest: Several tenants have somebody of this name.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        session.index.update()
        with session.index.database.read() as transaction:
            found = people(transaction, tenant=session.tenant, named=person, limit=3)
        exact = [one for one in found if person in {one.person, one.subject}] or found
        if not exact:
            raise PersonNotFound(
                f"no person {person[:200]!r}", hint="TENANT:IDENTIFIER, as requests name them"
            )
        if len(exact) > 1:
            raise InvalidRequest(
                f"several tenants have a person {person[:200]!r}",
                hint="name one as TENANT:IDENTIFIER",
            )
        return exact[0]

    def view(self, person: str, *, limit: int = 50, before: int | None = None) -> PersonView:
        """Return what is known of a person; the look is booked.

        Args:
            person: As for :meth:`find`.
            limit: At most so many records, the newest.
            before: Only records of an earlier entry.

        Raises:
            As :meth:`find`.
        """
        session, summary = self._session, self.find(person)
        session.writer.append(session.event("access.searched", private={"person": summary.person}))
        with session.index.database.read() as transaction:
            days = days_of(transaction, summary)
            refusals = refusals_of(transaction, summary.tag, summary.tenant)
        query = Query(subject=summary.subject, tenant=summary.tenant)
        return PersonView(
            summary=summary,
            suspension=self._suspensions.find(summary.subject),
            acts=tuple(self._acts(summary)),
            refusals=tuple(refusals),
            days=tuple(days),
            hits=tuple(session.index.find(query, limit=limit, before=before)),
        )

    def refusals(self, subject: str, tenant: str, *, since: str = "") -> list[Refusal]:
        """Return what a person was refused since a time and nobody overturned, newest first."""
        session = self._session
        session.require("reader", "writer", "reviewer", "investigator")
        session.index.update()
        tag = session.ledger.vault.tag(subject, tenant)
        with session.index.database.read() as transaction:
            return refusals_of(transaction, tag, tenant, since=since)

    def warn(self, person: str, *, rationale: str) -> Record:
        """Book that a person is warned; it stands on their page, with the reason.

        Raises:
            As :meth:`find`; ``InvalidRequest`` also without a rationale.
        """
        summary = self._begin(person, rationale)
        session = self._session
        with session.ledger.booking() as transaction:
            event = session.event(
                "person.warned",
                private={"rationale": rationale},
                tenant=summary.tenant,
                subject=summary.subject,
            )
            return session.ledger.book_within(transaction, event)

    def suspend(self, person: str, *, rationale: str, until: str | None = None) -> Record:
        """Turn a person away from their next request on, until a time or a reinstatement.

        Args:
            person: As for :meth:`find`; one who never asked for anything yet as
                ``TENANT:IDENTIFIER``.
            rationale: Why.
            until: RFC 3339; None is until somebody lets them in again.

        Raises:
            As :meth:`find`; ``InvalidRequest`` also without a rationale, or where ``until`` is
            over.
        """
        session = self._session
        subject, tenant = self._to_suspend(person, rationale)
        end = None if until is None else moment(until)
        if end is not None and end <= now():
            raise InvalidRequest("until is in the past", param="until")
        with session.ledger.booking() as transaction:
            event = session.event(
                "person.suspended",
                public={"until": end},
                private={"rationale": rationale},
                tenant=tenant,
                subject=subject,
            )
            return self._suspensions.place(transaction, event)

    def reinstate(self, person: str, *, rationale: str) -> Record:
        """Let a suspended person in again.

        Raises:
            As :meth:`find`; ``InvalidRequest`` also without a rationale, or where no suspension
            stands.
        """
        session = self._session
        subject, tenant = self._let_in(person, rationale)
        with session.ledger.booking() as transaction:
            standing = self._suspensions.standing(transaction, subject)
            if not standing:
                raise InvalidRequest(f"person {person[:200]!r} is not suspended")
            event = session.event(
                "person.reinstated",
                public={"suspensions": [*standing]},
                private={"rationale": rationale},
                tenant=tenant,
                subject=subject,
            )
            return self._suspensions.lift(transaction, event)

    def _begin(self, person: str, rationale: str) -> PersonSummary:
        self._session.require("reviewer", "investigator")
        if not rationale.strip():
            raise InvalidRequest("an action needs a rationale", param="rationale")
        return self.find(person)

    def _to_suspend(self, person: str, rationale: str) -> tuple[str, str]:
        """Return subject and tenant of somebody to suspend; they need not have asked yet."""
        try:
            summary = self._begin(person, rationale)
        except PersonNotFound:
            tenant, colon, identifier = person.partition(":")
            if not (colon and identifier and _TENANT.fullmatch(tenant)):
                raise
            if self._session.tenant not in {None, tenant}:
                raise
            return person, tenant
        return summary.subject, summary.tenant

    def _let_in(self, person: str, rationale: str) -> tuple[str, str]:
        """Return subject and tenant of somebody to let in; they may have been erased since."""
        try:
            summary = self._begin(person, rationale)
        except PersonNotFound:
            tenant, colon, _ = person.partition(":")
            theirs = self._session.tenant in {None, tenant}
            if not (colon and theirs and self._suspensions.find(person)):
                raise
            return person, tenant
        return summary.subject, summary.tenant

    def _acts(self, summary: PersonSummary) -> list[PersonAct]:
        session = self._session
        told = bool(session.actor.roles & {"reviewer", "investigator"})
        with session.index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx FROM standing WHERE tag = ? ORDER BY idx DESC", (summary.tag,)
            )
        acts = []
        for (index,) in rows:
            record = session.reader.get(int(index))
            if record.tenant != summary.tenant:
                continue
            private = (session.reader.private(record.index) if told else None) or {}
            until = record.public.get("until")
            acts.append(
                PersonAct(
                    index=record.index,
                    action=_ACTS[record.kind],
                    time=record.time,
                    until=None if until is None else str(until),
                    by=_text(private.get("by")),
                    rationale=_text(private.get("rationale")),
                )
            )
        return acts


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
