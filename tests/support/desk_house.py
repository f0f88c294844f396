"""A server with two tenants, people of every role, and keys: what tests of the desk begin with."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chopmark.tenancy import AccessStore, People, Tenant
from tests.support.server import Live, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from chopmark import Pipeline

__all__ = ["BLOCKED", "DeskHouse", "code_of", "open_house"]

BLOCKED = "explicit photo of a naked woman having sex"


def code_of(answer: httpx.Response) -> str:
    """Return the code of an error."""
    return str(answer.json()["error"]["code"])


@dataclass(kw_only=True)
class DeskHouse:
    """A running server, and whoever comes to it."""

    live: Live
    people: People
    clients: list[httpx.Client] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def pipeline(self) -> Pipeline:
        return self.live.pipeline

    def client(self) -> httpx.Client:
        """Return a client of nobody."""
        self.clients.append(self.live.client())
        return self.clients[-1]

    def sign_in(self, name: str, tenant: str | None, *roles: str) -> httpx.Client:
        """Return the client of a person who is signed in."""
        self.people.add(name, roles=roles, tenant=tenant)
        client = self.client()
        said = client.post("/api/v1/session", json={"link": self.people.link(name)})
        client.headers["x-csrf-token"] = said.json()["csrf_token"]
        return client

    def key(self, tenant: str, *scopes: str) -> httpx.Client:
        """Return a client that sends a key of a tenant with it."""
        with AccessStore.open(self.pipeline.parts.home) as store:
            made = store.create_key(tenant, scopes=scopes) if scopes else store.create_key(tenant)
        client = self.client()
        client.headers["authorization"] = f"Bearer {made.text}"
        return client

    def ask(self, client: httpx.Client, prompt: str, user: str = "42", **more: Any) -> Any:
        """Ask for a picture; return the answer."""
        body = {"prompt": prompt, "user": user, **more}
        return client.post("/v1/images/generations", json=body)


@contextmanager
def open_house(pipeline: Pipeline, *tenants: str) -> Iterator[DeskHouse]:
    """Run a server with these tenants over a pipeline that stays open."""
    home = pipeline.parts.home
    with People.open(home) as people, serve(pipeline) as live:
        with AccessStore.open(home) as store:
            for name in tenants:
                store.set_tenant(Tenant(name=name))
        house = DeskHouse(live=live, people=people)
        try:
            yield house
        finally:
            for client in house.clients:
                client.close()
