"""Who works at the desk, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chopmark.audit.log.events import EVERY_TENANT, SYSTEM_TENANT
from chopmark.errors import InvalidRequest

__all__ = ["Actor", "Role"]

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
            raise InvalidRequest("nobody works at the desk without a name")
        if self.tenant is not None and self.tenant.strip() in {"", EVERY_TENANT, SYSTEM_TENANT}:
            raise InvalidRequest(f"nobody is of tenant {self.tenant!r}")

    @property
    def scope(self) -> str:
        """How the log writes down whose records the person sees."""
        return EVERY_TENANT if self.tenant is None else self.tenant
