"""People: who they are, for which tenant, and what they may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ROLES", "VOUCHED", "Person", "PersonRole", "check_name", "roles_of"]

# Those of the audit desk, and two of the service: a creator makes pictures (the studio), an
# operator keeps hash lists and policies.
PersonRole = Literal[
    "auditor", "creator", "eraser", "exporter", "investigator", "operator", "reader", "reviewer",
    "writer",
]  # fmt: skip
ROLES: Final[tuple[PersonRole, ...]] = get_args(PersonRole)
#: How the names of those begin whom an OIDC provider vouches for; no local name has a colon.
VOUCHED: Final = "oidc:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signed in.

    Attributes:
        name: Stands in the log beside what they do. Those whom an OIDC provider vouches for are
            named ``oidc:`` and what the provider calls them, so that nobody can take the name of
            a local person.
        tenant: Whose records they see; ``None`` is all tenants.
        roles: What they may do.
    """

    name: str
    tenant: str | None
    roles: frozenset[PersonRole]


def check_name(name: str) -> str:
    """Return the name of a local person, or refuse it.

    Raises:
        InvalidRequest: Not 1 to 100 characters of a-z, 0-9 and ``._@-``.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:100]!r} is not a name for a person",
            hint="1 to 100 characters of a-z, 0-9 and . _ @ -",
            param="name",
        )
    return name


def roles_of(names: Iterable[str]) -> frozenset[PersonRole]:
    """Return the roles of these names.

    Raises:
        InvalidRequest: One that does not exist, or none at all.
    """
    given = set(names)
    unknown = sorted(given.difference(ROLES))
    if unknown or not given:
        raise InvalidRequest(
            f"no role of the name {unknown[0][:100]!r}" if unknown else "a person needs a role",
            hint=f"roles are {', '.join(ROLES)}",
            param="roles",
        )
    return frozenset(cast("set[PersonRole]", given))
