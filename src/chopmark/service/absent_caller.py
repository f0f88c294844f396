"""A caller who is not there any more: what they handed over is done later, as if they asked now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from chopmark.errors import InvalidKey
from chopmark.service.caller import Caller, of_key, of_person
from chopmark.tenancy import Person

if TYPE_CHECKING:
    from chopmark.service.identity import Identity
    from chopmark.tenancy import PersonRole, Scope

__all__ = ["absent", "present_again"]


def absent(caller: Caller) -> str:
    """Return a caller as text, for :func:`present_again`; no secret is in it."""
    return json.dumps(
        {
            "tenant": caller.tenant.name,
            "scopes": sorted(caller.scopes),
            "key_id": caller.key_id,
            "name": caller.name,
            "roles": sorted(caller.roles),
            "every_tenant": caller.every_tenant,
        }
    )


def present_again(text: str, identity: Identity, *, asked_at: float) -> Caller:
    """Return the caller, with the tenant, the key or the roles as they are now.

    Args:
        text: From :func:`absent`.
        identity: Whom there is.
        asked_at: When they asked, in seconds since 1970.

    Raises:
        InvalidKey: Their key was revoked, or has expired.
        PersonNotFound: They were disabled, or belong to another tenant now.
        TenantNotFound: Their tenant is gone.
    """
    told: dict[str, Any] = json.loads(text)
    tenant = identity.store.tenant(told["tenant"])
    if told["key_id"] is not None:
        return of_key(identity.store.good_key(told["key_id"]), tenant, None)
    roles = cast("frozenset[PersonRole]", frozenset(told["roles"]))
    if not roles or not identity.guarded():
        return Caller(
            tenant=tenant,
            scopes=cast("frozenset[Scope]", frozenset(told["scopes"])),
            key_id=None,
            address=None,
            name=told["name"],
            roles=roles,
        )
    if " " in told["name"]:
        # "anybody on this machine": nobody is that once there are keys or people.
        raise InvalidKey("whoever handed this over brought no key, and now it takes one")
    then = Person(
        name=told["name"], tenant=None if told["every_tenant"] else tenant.name, roles=roles
    )
    return of_person(identity.people.as_now(then, seen=asked_at), tenant, None)
