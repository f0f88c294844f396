"""Who asks, and what they may: keys have scopes, people have roles, routes say what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import Depends, Request

from chopmark.errors import MissingScope, NotPermitted
from chopmark.tenancy import SCOPES, Key, Person, PersonRole, Scope, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.audit import Actor, Role

__all__ = [
    "AnyCaller",
    "Batcher",
    "BindingWriter",
    "Caller",
    "Creator",
    "Eraser",
    "Holder",
    "ManifestReader",
    "ManifestWriter",
    "MetricsReader",
    "Moderator",
    "RecordReader",
    "Reviewer",
    "Sealer",
    "Verifier",
    "anybody",
    "anybody_here",
    "caller_of",
    "of_key",
    "of_person",
]

_BY_ROLE: Final[Mapping[PersonRole, frozenset[Scope]]] = {
    "auditor": frozenset({"read"}),
    "creator": frozenset({"generate", "moderate"}),
    "eraser": frozenset({"erase", "hold"}),
    "exporter": frozenset({"read"}),
    "investigator": frozenset({"read", "seal"}),
    "operator": frozenset({"metrics", "read"}),
    "reader": frozenset({"read"}),
    "reviewer": frozenset({"read", "review"}),
    "writer": frozenset(),
}
# What a picture is, anybody may ask who is let in at all.
_EVERYBODY: Final[frozenset[Scope]] = frozenset({"fetch:manifests", "verify"})
_ANYBODY: Final = "anybody"
# What takes a second person: on a server that knows nobody there is none.
_OF_TWO: Final[frozenset[Scope]] = frozenset({"erase", "hold", "seal"})
# What a program may do at the desk. Seeing content, exporting and erasing are for people alone.
_BY_SCOPE: Final[Mapping[Scope, PersonRole]] = {
    "generate": "creator",
    "read": "reader",
    "review": "reviewer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        tenant: Whose policy, quota, rate and log namespace apply.
        scopes: What may be asked for.
        key_id: The key's public part; ``None`` for a person, and on a server without keys.
        address: Where the connection comes from.
        name: Stands in the log beside what they do at the desk.
        roles: What they may do there.
        every_tenant: They see the records of all tenants.
    """

    tenant: Tenant
    scopes: frozenset[Scope]
    key_id: str | None
    address: str | None
    name: str = ""
    roles: frozenset[PersonRole] = frozenset()
    every_tenant: bool = False

    @property
    def counted_as(self) -> str:
        """Whose requests are counted together: a tenant's, or those of one unknown address."""
        return f"{_ANYBODY}:{self.address}" if self.unknown else self.tenant.name

    @property
    def unknown(self) -> bool:
        """Whether it is anybody: neither a key's holder nor somebody who signed in."""
        return self.key_id is None and self.tenant.name == _ANYBODY

    @property
    def holder(self) -> str:
        """Who may name what they got before: this key or person, and no other of the tenant."""
        return f"{self.tenant.name} {self.key_id or self.name}"

    @property
    def keys_are_of(self) -> str:
        """Whose ``Idempotency-Key``: another caller of the tenant may not be allowed the answer."""
        scopes = ",".join(sorted(self.scopes))
        return f"{self.holder} {scopes}"

    def subject(self, identifier: str | None) -> str | None:
        """Return the log's name for a person of this tenant.

        The log keeps one key per subject, whichever the tenant: two tenants may both have a user
        ``42``, and erasing one must not erase the other.
        """
        return None if identifier is None else f"{self.tenant.name}:{identifier}"

    def actor(self) -> Actor:
        """Return who this is at the log's desk, and whose records they see there."""
        from chopmark.audit import Actor

        return Actor(
            name=self.name,
            roles=cast("frozenset[Role]", self.roles - {"creator", "operator"}),
            tenant=None if self.every_tenant else self.tenant.name,
        )

    def must_be(self, role: PersonRole, *, of_every_tenant: bool = False) -> None:
        """Let a caller pass who has a role.

        Raises:
            NotPermitted: They do not, or see one tenant only and this concerns all.
        """
        if role not in self.roles or (of_every_tenant and not self.every_tenant):
            whose = " of every tenant" if of_every_tenant else ""
            raise NotPermitted(
                f"this takes the role {role}{whose}", hint="ask the deployer for the role"
            )

    def sees(self, tenant: str) -> bool:
        """Tell whether a tenant's records are theirs to see."""
        return self.every_tenant or tenant == self.tenant.name


def of_key(key: Key, tenant: Tenant, address: str | None) -> Caller:
    """Return the caller that holds an API key."""
    return Caller(
        tenant=tenant,
        scopes=key.scopes,
        key_id=key.key_id,
        address=address,
        name=f"key:{key.key_id}",
        roles=frozenset(_BY_SCOPE[scope] for scope in key.scopes if scope in _BY_SCOPE),
    )


def of_person(person: Person, tenant: Tenant, address: str | None) -> Caller:
    """Return the caller that a signed-in person is."""
    return Caller(
        tenant=tenant,
        scopes=_EVERYBODY.union(*(_BY_ROLE[role] for role in person.roles)),
        key_id=None,
        address=address,
        name=person.name,
        roles=person.roles,
        every_tenant=person.tenant is None,
    )


def anybody(address: str | None) -> Caller:
    """Return whoever asks a public detector: they look, they never write, keep or make."""
    return Caller(
        tenant=Tenant(name=_ANYBODY),
        scopes=frozenset({"fetch:manifests", "verify"}),
        key_id=None,
        address=address,
    )


def anybody_here(tenant: Tenant, address: str | None) -> Caller:
    """Return whoever asks from this machine while the server has neither keys nor people.

    They make pictures and see the public part of records. What others wrote they do not see: the
    home folder is closed to other users of the machine, and a socket is not.
    """
    return Caller(
        tenant=tenant,
        scopes=frozenset(SCOPES) - _OF_TWO,
        key_id=None,
        address=address,
        name="anybody on this machine",
        roles=frozenset({"creator", "reader"}),
    )


def caller_of(request: Request) -> Caller:
    """Return who sent a request, as the middleware found out."""
    found: Caller = request.state.caller
    return found


def needs_one_of(*scopes: Scope) -> Callable[[Request], Caller]:
    """Return a dependency that gives a caller who has one of some scopes."""

    def caller(request: Request) -> Caller:
        found = caller_of(request)
        if not found.scopes.intersection(scopes):
            raise MissingScope(
                f"this {'API key' if found.key_id else 'sign-in'} has none of the scopes"
                f" {', '.join(scopes)}",
                hint="ask the operator for one that has it",
            )
        return found

    return caller


def needs(scope: Scope | None) -> Callable[[Request], Caller]:
    """Return a dependency that gives the caller, or refuses one who lacks the scope."""

    def caller(request: Request) -> Caller:
        found = caller_of(request)
        if scope is not None and scope not in found.scopes:
            raise MissingScope(
                f"this {'API key' if found.key_id else 'sign-in'} does not have the scope {scope}",
                hint="ask the operator for one that has it",
            )
        return found

    return caller


AnyCaller = Annotated[Caller, Depends(needs(None))]
# What batches and jobs are made of: whoever may send one of their lines may see to them.
Batcher = Annotated[Caller, Depends(needs_one_of("generate", "moderate"))]
BindingWriter = Annotated[Caller, Depends(needs("store:bindings"))]
Creator = Annotated[Caller, Depends(needs("generate"))]
Eraser = Annotated[Caller, Depends(needs("erase"))]
Holder = Annotated[Caller, Depends(needs("hold"))]
ManifestReader = Annotated[Caller, Depends(needs("fetch:manifests"))]
ManifestWriter = Annotated[Caller, Depends(needs("store:manifests"))]
MetricsReader = Annotated[Caller, Depends(needs("metrics"))]
Moderator = Annotated[Caller, Depends(needs("moderate"))]
RecordReader = Annotated[Caller, Depends(needs("read"))]
Reviewer = Annotated[Caller, Depends(needs("review"))]
Sealer = Annotated[Caller, Depends(needs("seal"))]
Verifier = Annotated[Caller, Depends(needs("verify"))]
