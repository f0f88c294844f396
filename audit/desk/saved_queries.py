"""Queries that are kept under a name, one list a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.search.query import Query, SavedQuery

__all__ = ["SavedQueries"]

_LONGEST_NAME: Final = 100


class SavedQueries:
    """The kept queries of the person's tenant; saving one is booked like everything else."""

    def __init__(self, session: DeskSession) -> None:
        self._session = session

    def save(self, name: str, query: Query) -> int:
        """Keep a query under a name, for this tenant; return its version, counted from 1.

        Raises:
            NotPermitted: No role for it, or another tenant's records are asked for.
            InvalidRequest: The name is empty or longer than 100 characters.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        within = session.within(query)
        if not 0 < len(name.strip()) <= _LONGEST_NAME:
            raise InvalidRequest("a saved query needs a name of 1 to 100 characters")
        session.writer.append(
            session.event("query.saved", private={"name": name, "query": within.to_dict()})
        )
        return self.get(name).version

    def get(self, name: str, version: int | None = None) -> SavedQuery:
        """Return a kept query, the newest version unless another is asked for.

        Raises:
            RecordNotFound: There is none of this name.
        """
        session = self._session
        session.require("reader", "reviewer", "investigator")
        session.index.update()
        return session.index.saved(name, session.actor.scope, version)

    def newest(self) -> list[SavedQuery]:
        """Return the newest version of every kept query, by name."""
        session = self._session
        session.require("reader", "reviewer", "investigator")
        session.index.update()
        return session.index.all_saved(session.actor.scope)
