"""Who is let in at the pages of a server that nobody was given access to yet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from chopmark.service.logging import make_logger
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark import Pipeline, Settings


@pytest.fixture
def fresh(open_pipeline: Callable[..., Pipeline]) -> Any:
    """Returns a function that asks a site without keys and people."""
    site = create_site(open_pipeline(generator=StandIn()), logger=make_logger(io.StringIO()))

    async def ask(
        path: str, *, address: str = "127.0.0.1", host: str = "127.0.0.1"
    ) -> httpx.Response:
        transport = httpx.ASGITransport(site, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get(path)

    return ask


async def test_whoever_sits_at_the_machine_may_make_and_nobody_else(fresh: Any) -> None:
    assert (await fresh("/studio")).status_code == 200
    assert (await fresh("/studio", address="192.0.2.7")).status_code == 401
    # A page elsewhere whose name was made to resolve to this machine.
    assert (await fresh("/studio", host="evil.example")).status_code == 401
    # Nor is the detector theirs, unless the deployer opens it to everybody.
    assert (await fresh("/verify")).status_code == 200
    assert (await fresh("/verify", address="192.0.2.7")).status_code == 401


async def test_they_do_not_see_what_others_wrote(fresh: Any) -> None:
    assert (await fresh("/console/search?all=1")).status_code == 200
    assert (await fresh("/console/log")).status_code == 403
    assert (await fresh("/console/exports")).status_code == 403


@pytest.mark.parametrize("what", ["key", "person"])
async def test_the_first_key_or_person_ends_that(fresh: Any, settings: Settings, what: str) -> None:
    if what == "key":
        with AccessStore.open(settings.open_home()) as store:
            store.create_key("default", scopes=("generate",))
    else:
        with People.open(settings.open_home()) as people:
            people.add("ada", roles=["creator"], tenant="default")
    said = await fresh("/studio")
    assert said.status_code == 401
    assert "/sign-in" in said.text


async def test_other_paths_are_the_api_s(fresh: Any) -> None:
    assert (await fresh("/healthz")).json() == {"status": "ok"}
    assert (await fresh("/")).headers["location"] == "/verify"
    nothing = await fresh("/nothing")
    assert nothing.headers["content-type"] == "application/problem+json"
