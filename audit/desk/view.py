"""Looking: search, view, unblur and seal. Every look is an entry before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.actor import Seat
from chopmark.audit.log.ledger import now
from chopmark.errors import InvalidRequest, NotPermitted

if TYPE_CHECKING:
    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.audit.search.query import Hit, Query, SavedQuery
    from chopmark.kit.types import JsonValue

__all__ = ["Looking", "View"]

_OPENED: Final = timedelta(hours=8)


@dataclass(frozen=True, kw_only=True)
class View:
    """A record with its content.

    Attributes:
        records: Its entries, oldest first.
        private: For each of them its content; None when it has none or it was erased.
    """

    records: tuple[Record, ...]
    private: tuple[dict[str, JsonValue] | None, ...]


class Looking(Seat):
    """The part of the desk that finds and shows."""

    def search(self, query: Query, *, limit: int = 50, before: int | None = None) -> list[Hit]:
        """Find records; the search is booked before it runs.

        Raises:
            NotPermitted: No role for it, or another tenant's records are asked for.
            InvalidRequest: The query cannot be run.
        """
        self._may("reader", "reviewer", "investigator")
        within = self._within(query)
        self._log.append(self._event("access.searched", private={"query": query.to_dict()}))
        self._index.update()
        return self._index.find(within, limit=limit, before=before)

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
        self._may("reader", "reviewer", "investigator", "auditor")
        asked: dict[str, JsonValue] = {"kind": kind, "since": since, "until": until}
        self._log.append(self._event("access.searched", private={"entries": asked}))
        return self._log.find(
            kind=kind, tenant=self._tenant, since=since, until=until, limit=limit, before=before
        )

    def records(self, record_id: str) -> list[Record]:
        """Return a record's entries without content, oldest first.

        Raises:
            RecordNotFound: No such record, or another tenant's.
        """
        self._may("reader", "reviewer", "investigator", "auditor")
        return self._records(record_id)

    def view(self, record_id: str) -> View:
        """Return a record with its content; the look is booked first.

        A reviewer sees what they hold on lease, an investigator everything of their tenant; nobody
        what is sealed.

        Raises:
            NotPermitted: No role for it, not held, or sealed.
            RecordNotFound: No such record, or another tenant's.
        """
        records = self._shown(record_id)
        self._log.append(self._event("access.viewed", public={"of": records[0].record_id}))
        return View(
            records=tuple(records),
            private=tuple(self._log.private(record.index) for record in records),
        )

    def unblur(self, output_id: str) -> Record:
        """Book that a picture is shown unblurred; show it only after this returns.

        Raises:
            NotPermitted: As for :meth:`view`.
            RecordNotFound: No such record, or another tenant's.
        """
        self._shown(output_id)
        return self._log.append(self._event("access.unblurred", public={"of": output_id}))

    def _shown(self, record_id: str) -> list[Record]:
        """Return a record whose content this person may see now."""
        self._may("reviewer", "investigator")
        records = self._records(record_id)
        self._index.update()
        with self._index.database.read() as transaction:
            self._open(transaction, record_id)
            if "investigator" not in self._actor.roles and not self._holds(
                transaction, records[0].record_id
            ):
                raise NotPermitted(
                    f"record {records[0].record_id} is not on lease to you", hint="lease it first"
                )
        return records

    # Sealing

    def seal(self, record_id: str, *, reason: str) -> Record:
        """Close a record's content to everybody, until two persons open it.

        What was refused as ``sexual/minors`` is sealed from the start.

        Raises:
            RecordNotFound: No such record, or another tenant's.
        """
        self._may("investigator")
        if not reason.strip():
            raise InvalidRequest("a seal needs a reason")
        record = self._records(record_id)[0]
        return self._log.append(
            self._event(
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
        """
        self._two(second, "investigator")
        if not reason.strip():
            raise InvalidRequest("opening a seal needs a reason")
        record = self._records(record_id)[0]
        return self._log.append(
            self._event(
                "record.unsealed",
                record.record_id,
                {"until": now(duration.total_seconds())},
                {"reason": reason, "second": second.name},
                tenant=record.tenant,
            )
        )

    # Saved queries

    def save_query(self, name: str, query: Query) -> int:
        """Keep a query under a name, for this tenant; return its version, counted from 1.

        Raises:
            InvalidRequest: The name is empty or longer than 100 characters.
        """
        self._may("reader", "reviewer", "investigator")
        within = self._within(query)
        if not 0 < len(name.strip()) <= 100:
            raise InvalidRequest("a saved query needs a name of 1 to 100 characters")
        self._log.append(
            self._event("query.saved", private={"name": name, "query": within.to_dict()})
        )
        self._index.update()
        return self._index.saved(name, self._actor.scope).version

    def saved_query(self, name: str, version: int | None = None) -> SavedQuery:
        """Return a kept query, the newest version unless another is asked for.

        Raises:
            RecordNotFound: There is none of this name.
        """
        self._may("reader", "reviewer", "investigator")
        self._index.update()
        return self._index.saved(name, self._actor.scope, version)

    def saved_queries(self) -> list[SavedQuery]:
        """Return the newest version of every kept query, by name."""
        self._may("reader", "reviewer", "investigator")
        self._index.update()
        return self._index.all_saved(self._actor.scope)
