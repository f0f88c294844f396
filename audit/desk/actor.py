"""Who sits at the desk, for whom, and what every part of the desk needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from chopmark.audit.log.events import EVERY_TENANT, SYSTEM_TENANT, Event
from chopmark.audit.log.ledger import now
from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.ids import new_record_id, record_of

if TYPE_CHECKING:
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.log import AuditLog
    from chopmark.audit.search.index import SearchIndex
    from chopmark.audit.search.query import Query
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Actor", "Role", "Seat"]

Role = Literal["writer", "reader", "reviewer", "investigator", "exporter", "eraser", "auditor"]


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person at the desk, as the deployer's sign-on knows them.

    Attributes:
        name: Who; kept encrypted with what they did.
        roles: What they may do. A reader searches, sees no content; a writer sends records to
            queues; a reviewer decides on what is queued and on appeals, and sees the content of
            what they hold; an investigator sees any content, seals, and unseals with a second one;
            an exporter exports with a second one; an eraser erases with a second one, places
            holds and ends retention; an auditor verifies and reads reports, and sees no content.
        tenant: Whose records they work with; those of others do not exist for them, nor do the
            log's own entries. None is all of them, for the deployer's own people.

    Raises:
        InvalidRequest: No name, or no tenant that a person can be of.
    """

    name: str
    roles: frozenset[Role]
    tenant: str | None

    def __post_init__(self) -> None:
        """Check the name and the tenant."""
        if not self.name.strip():
            raise InvalidRequest("nobody looks without a name")
        if self.tenant is not None and self.tenant.strip() in {"", EVERY_TENANT, SYSTEM_TENANT}:
            raise InvalidRequest(f"nobody is of tenant {self.tenant!r}")

    @property
    def scope(self) -> str:
        """How the log writes down whose records the person sees."""
        return EVERY_TENANT if self.tenant is None else self.tenant


class Seat:
    """One person, one purpose; the parts of the desk are built on it.

    Args:
        log: The log.
        ledger: Its writer.
        index: Its projection.
        actor: Who.
        purpose: Why; booked with every look.

    Raises:
        InvalidRequest: No purpose.
    """

    def __init__(
        self, *, log: AuditLog, ledger: Ledger, index: SearchIndex, actor: Actor, purpose: str
    ) -> None:
        if not purpose.strip():
            raise InvalidRequest("nobody looks without a purpose")
        self._log, self._ledger, self._index = log, ledger, index
        self._actor, self._purpose = actor, purpose

    @property
    def _tenant(self) -> str | None:
        """The one tenant that is seen, None where all are."""
        return self._actor.tenant

    def _may(self, *roles: Role) -> None:
        if not self._actor.roles.intersection(roles):
            raise NotPermitted(
                f"this takes one of the roles {', '.join(roles)}",
                hint="ask the deployer for the role",
            )

    def _two(self, second: Actor, role: Role) -> None:
        """Hold to the two-person rule: another person with the same role and as wide a view."""
        self._may(role)
        if second.name.strip() == self._actor.name.strip() or role not in second.roles:
            raise NotPermitted(f"this takes two different persons who are {role}s")
        if second.tenant not in {None, self._actor.tenant}:
            raise NotPermitted("the second person does not see what this is about")

    def _within(self, query: Query) -> Query:
        """Return the query, kept to what this person may see."""
        if self._tenant is None:
            return query
        if query.tenant not in {None, self._tenant}:
            raise NotPermitted(f"you see the records of {self._tenant} only")
        return replace(query, tenant=self._tenant)

    def _records(self, record_id: str) -> list[Record]:
        """Return a record's entries; one of another tenant is not there."""
        name = record_of(record_id)
        found = [
            record
            for record in self._log.records(name)
            if self._tenant is None or record.tenant == self._tenant
        ]
        if not found:
            raise RecordNotFound(f"no record {name}")
        return found

    def _open(self, transaction: Transaction, record_id: str) -> None:
        """Refuse what is sealed; the transaction is the projection's."""
        rows = transaction.execute(
            "SELECT opened FROM sealed WHERE record_id = ?", (record_of(record_id),)
        )
        if rows and (rows[0][0] is None or rows[0][0] < now()):
            raise NotPermitted(
                f"record {record_of(record_id)} is sealed", hint="two investigators can unseal it"
            )

    def _holds(self, transaction: Transaction, record_id: str) -> bool:
        """Tell whether this person has the record, or the appeal against it, on lease."""
        mine = (record_id, self._actor.name, self._actor.scope, now())
        return any(
            transaction.execute(
                f"SELECT 1 FROM {table} WHERE record_id = ?"  # noqa: S608 - fixed names
                " AND holder = ? AND scope = ? AND until >= ?",
                mine,
            )
            for table in ("review", "appeal")
        )

    def _event(
        self,
        kind: EventKind,
        record_id: str | None = None,
        public: dict[str, JsonValue] | None = None,
        private: dict[str, JsonValue] | None = None,
        *,
        tenant: str = SYSTEM_TENANT,
        subject: str | None = None,
    ) -> Event:
        record_id = record_id or new_record_id()
        said: dict[str, JsonValue] = {
            "by": self._actor.name,
            "of": self._actor.scope,
            "purpose": self._purpose,
        }
        return Event(
            kind=kind,
            record_id=record_id,
            event_id=f"{record_id}:{kind}:{new_record_id()}",
            tenant=tenant,
            subject=subject,
            public=public or {},
            private=said | (private or {}),
        )
