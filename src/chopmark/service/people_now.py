"""Two persons for one act: the first one asked a while ago, and counts as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chopmark.errors import NotPermitted, PersonNotFound
from chopmark.tenancy import Person

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit import Actor, Role
    from chopmark.tenancy import People, PersonRole

__all__ = ["actor_now"]


def actor_now(
    people: People, name: str, tenant: str | None, roles: Iterable[str], *, asked_at: float
) -> Actor:
    """Return who asked for something that takes two persons, with the roles that they have now.

    Args:
        people: Who there is.
        name: Who asked.
        tenant: Whose records they asked about.
        roles: That they had then.
        asked_at: When, in seconds since 1970.

    Raises:
        NotPermitted: They were disabled or moved meanwhile.
    """
    from chopmark.audit import Actor

    then = Person(name=name, tenant=tenant, roles=frozenset(cast("set[PersonRole]", set(roles))))
    try:
        now = people.as_now(then, seen=asked_at)
    except PersonNotFound as error:
        raise NotPermitted(
            f"{name[:100]} asked for it, and may not any more",
            hint="somebody who may must ask for it anew",
        ) from error
    return Actor(
        name=now.name,
        roles=cast("frozenset[Role]", now.roles - {"creator", "operator"}),
        tenant=now.tenant,
    )
