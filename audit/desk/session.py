"""One person, one purpose: what every part of the desk shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chopmark.audit.log.events import SYSTEM_TENANT, Event
from chopmark.errors import InvalidRequest, NotPermitted
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from chopmark.audit.desk.actor import Actor, Role
    from chopmark.audit.log.events import EventKind
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.audit.log.writer import Writer
    from chopmark.audit.search.index import SearchIndex
    from chopmark.audit.search.query import Query
    from chopmark.kit.types import JsonValue

__all__ = ["DeskSession"]


@dataclass(frozen=True, kw_only=True)
class DeskSession:
    """A person at work in a log.

    Attributes:
        actor: Who.
        purpose: Why; booked with everything that is done.
        ledger: Books what must be decided and booked in one transaction (leases, decisions).
        reader: Shows entries and contents, without asking whether the person may see them.
        writer: Books what is only noted (searches, views).
        index: The projection, in which queues and seals stand.

    Raises:
        InvalidRequest: No purpose.
    """

    actor: Actor
    purpose: str
    ledger: Ledger
    reader: Reader
    writer: Writer
    index: SearchIndex

    def __post_init__(self) -> None:
        """Check the purpose."""
        if not self.purpose.strip():
            raise InvalidRequest("nobody works at the desk without a purpose")

    @property
    def tenant(self) -> str | None:
        """The one tenant whose records are seen, None where all are."""
        return self.actor.tenant

    def require(self, *roles: Role) -> None:
        """Hold the person to having one of the roles.

        Raises:
            NotPermitted: They have none.
        """
        if not self.actor.roles.intersection(roles):
            raise NotPermitted(
                f"this takes one of the roles {', '.join(roles)}",
                hint="ask the deployer for the role",
            )

    def require_two(self, second: Actor, role: Role) -> None:
        """Hold to the two-person rule: another person with the same role and as wide a view.

        Raises:
            NotPermitted: They are not.
        """
        self.require(role)
        if second.name.strip() == self.actor.name.strip() or role not in second.roles:
            raise NotPermitted(f"this takes two different persons who are {role}s")
        if second.tenant not in {None, self.tenant}:
            raise NotPermitted("the second person does not see what this is about")

    def within(self, query: Query) -> Query:
        """Return the query, kept to what this person may see.

        Raises:
            NotPermitted: It asks for another tenant's records.
        """
        if self.tenant is None:
            return query
        if query.tenant not in {None, self.tenant}:
            raise NotPermitted(f"you see the records of {self.tenant} only")
        return replace(query, tenant=self.tenant)

    def event(
        self,
        kind: EventKind,
        record_id: str | None = None,
        public: dict[str, JsonValue] | None = None,
        private: dict[str, JsonValue] | None = None,
        *,
        tenant: str = SYSTEM_TENANT,
        subject: str | None = None,
    ) -> Event:
        """Return an event that says who did it, for whom and why.

        Args:
            kind: What was done.
            record_id: To which record; None makes a new one, of the log's own.
            public: What everybody may read.
            private: What goes with the name and the purpose, encrypted.
            tenant: Whose record.
            subject: Whom the private part is about, besides the person who did it.
        """
        record_id = record_id or new_record_id()
        who: dict[str, JsonValue] = {
            "by": self.actor.name,
            "of": self.actor.scope,
            "purpose": self.purpose,
        }
        return Event(
            kind=kind,
            record_id=record_id,
            # Not derived from the record: a person may do the same to it twice.
            event_id=f"{record_id}:{kind}:{new_record_id()}",
            tenant=tenant,
            subject=subject,
            public=public or {},
            private=who | (private or {}),
        )
