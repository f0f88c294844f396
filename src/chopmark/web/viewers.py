"""Who looks at a page: a person who signed in, the operator at their own machine, or anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request
from starlette.requests import cookie_parser

from chopmark.api.access import Caller, is_loopback
from chopmark.errors import MissingScope, NotSignedIn, RateLimited
from chopmark.tenancy import SCOPES, People, Session, Tenant
from chopmark.tenancy.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import Headers

    from chopmark.api.service import Service

__all__ = ["COOKIE", "Creating", "Viewer", "Viewers", "Viewing", "needs"]

COOKIE: Final = "chopmark_session"
# Whoever looks without a name: a tenant of its own, so that it takes nobody else's turns.
_PUBLIC: Final = Tenant(name="public")
_OPERATOR_ROLES: Final = frozenset(
    {"auditor", "creator", "exporter", "investigator", "operator", "reader", "reviewer"}
)
_DESK: Final = frozenset({"auditor", "exporter", "investigator", "operator", "reader", "reviewer"})


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who looks at a page.

    Attributes:
        caller: Tenant and scopes, as the service wants them.
        name: What the log calls them; empty for the public.
        tenant: Whose records they see at the desk; ``None`` is all tenants.
        roles: What they may do.
        session: Theirs, where they signed in.
    """

    caller: Caller
    name: str = ""
    tenant: str | None = None
    roles: frozenset[str] = frozenset()
    session: Session | None = None

    @property
    def csrf(self) -> str:
        """What every form of theirs carries; empty where there is no session to be misused."""
        return self.session.csrf if self.session else ""

    @property
    def at_desk(self) -> bool:
        """Whether the console has anything for them."""
        return bool(self.roles & _DESK)


class Viewers:
    """Finds out who looks, and counts what each of them asks for."""

    def __init__(self, service: Service, people: People) -> None:
        self.service = service
        self.people = people
        self.rates = Rates()

    def of(self, headers: Headers, client: tuple[str, int] | None) -> Viewer:
        """Return who sent a request.

        Raises:
            RateLimited: They ask too often.
        """
        address = client[0] if client else None
        viewer = self._signed_in(headers, address) or self._operator(headers, address)
        if viewer is None:
            scopes: frozenset[Any] = frozenset({"verify"})
            public = Caller(tenant=_PUBLIC, scopes=scopes, key_id=None, address=address)
            viewer = Viewer(caller=public)
        limit = self.service.pipeline.settings.requests_per_minute
        rate = self.rates.take(f"{viewer.name or 'public'} {address}", limit) if limit else None
        if rate is not None and not rate.allowed:
            raise RateLimited(f"{limit} requests a minute are allowed", retry_after_s=rate.reset_s)
        return viewer

    def _signed_in(self, headers: Headers, address: str | None) -> Viewer | None:
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        if not token:
            return None
        try:
            session = self.people.session(token)
        except NotSignedIn:
            return None
        person = session.person
        tenant = self.service.store.tenant(person.tenant or "default")
        return Viewer(
            caller=Caller(tenant=tenant, scopes=frozenset(SCOPES), key_id=None, address=address),
            name=person.name,
            tenant=person.tenant,
            roles=frozenset(person.roles),
            session=session,
        )

    def _operator(self, headers: Headers, address: str | None) -> Viewer | None:
        """Return the operator, where nobody needs a key yet and they sit at this very machine."""
        host = headers.get("host", "").rsplit("@", 1)[-1]
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.split(":")[0]
        alone = not self.service.store.has_keys() and not self.people.any()
        alone = alone and not self.service.pipeline.settings.oidc_issuer
        # The Host header too: a page elsewhere may have its own name resolve to 127.0.0.1.
        if not alone or address is None or not (is_loopback(address) and is_loopback(name)):
            return None
        caller = Caller(
            tenant=self.service.store.tenant("default"),
            scopes=frozenset(SCOPES),
            key_id=None,
            address=address,
        )
        return Viewer(caller=caller, name="operator", roles=_OPERATOR_ROLES)


def viewing(request: Request) -> Viewer:
    """Return who looks."""
    viewer: Viewer = request.state.viewer
    return viewer


def needs(*roles: str) -> Callable[[Request], Viewer]:
    """Return a dependency that gives the viewer, if they have one of the roles.

    Raises:
        NotSignedIn: It is nobody.
        MissingScope: They have none of the roles.
    """

    def checked(request: Request) -> Viewer:
        viewer = viewing(request)
        if not viewer.name:
            raise NotSignedIn("this page is for people who signed in", hint="sign in first")
        if not viewer.roles.intersection(roles):
            raise MissingScope(
                f"this takes one of the roles {', '.join(roles)}",
                hint="ask the operator for the role",
            )
        return viewer

    return checked


Viewing = Annotated[Any, Depends(viewing)]
Creating = Annotated[Any, Depends(needs("creator"))]
