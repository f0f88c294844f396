"""Who looks at a page: anybody, or the operator at their own machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request

from chopmark.api.access import Caller, is_loopback
from chopmark.errors import InvalidKey, MissingScope, RateLimited
from chopmark.tenancy import SCOPES, Tenant
from chopmark.tenancy.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import Headers

    from chopmark.api.service import Service

__all__ = ["Viewer", "Viewers", "Viewing"]

# Whoever looks without a name: a tenant of its own, so that it takes nobody else's turns.
_PUBLIC: Final = Tenant(name="public")
_EVERY_ROLE: Final = frozenset(
    {"reader", "reviewer", "investigator", "exporter", "eraser", "auditor"}
)


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who looks at a page.

    Attributes:
        caller: Tenant and scopes, as the service wants them.
        name: What they are called; empty for the public.
        roles: What they may do at the desk.
    """

    caller: Caller
    name: str = ""
    roles: frozenset[str] = frozenset()


class Viewers:
    """Finds out who looks, and counts what the public asks for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.rates = Rates()

    def of(self, headers: Headers, client: tuple[str, int] | None) -> Viewer:
        """Return who sent a request.

        Raises:
            RateLimited: The public asks too often from one address.
        """
        address = client[0] if client else None
        if not self.service.store.has_keys() and _own_machine(headers, address):
            return Viewer(
                caller=Caller(
                    tenant=self.service.store.tenant("default"),
                    scopes=frozenset(SCOPES),
                    key_id=None,
                    address=address,
                ),
                name="operator",
                roles=_EVERY_ROLE,
            )
        limit = self.service.pipeline.settings.requests_per_minute
        rate = self.rates.take(f"page {address}", limit) if limit else None
        if rate is not None and not rate.allowed:
            raise RateLimited(
                f"{limit} requests a minute are allowed", retry_after_s=rate.reset_s
            )
        public = Caller(
            tenant=_PUBLIC, scopes=frozenset({"verify"}), key_id=None, address=address
        )
        return Viewer(caller=public)


def _own_machine(headers: Headers, address: str | None) -> bool:
    host = headers.get("host", "").rsplit("@", 1)[-1]
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.split(":")[0]
    return address is not None and is_loopback(address) and is_loopback(name)


def viewing(request: Request) -> Viewer:
    """Return who looks."""
    viewer: Viewer = request.state.viewer
    return viewer


def needs(*roles: str) -> Callable[[Request], Viewer]:
    """Return a dependency that gives the viewer, if they have one of the roles."""

    def checked(request: Request) -> Viewer:
        viewer = viewing(request)
        if not viewer.name:
            raise InvalidKey("this page is for people who signed in", hint="sign in first")
        if not viewer.roles.intersection(roles):
            raise MissingScope(
                f"this page takes one of the roles {', '.join(roles)}",
                hint="ask the operator for the role",
            )
        return viewer

    return checked


Viewing = Annotated[Any, Depends(viewing)]
