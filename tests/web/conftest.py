"""One site on loopback for all tests of the pages, over real guards, mark, signer and log.

Only the generator is the stand-in that draws: these tests are about what people see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from chopmark import Settings
from chopmark.safety import Evidence
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People, Tenant
from tests.support.generator import StandIn
from tests.support.home import open_with
from tests.support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark import Pipeline

COOKIE = "chopmark_session"
DOUBTFUL = "doubtful"
BLOCKED = "explicit photo of a naked woman having sex"
CHROMIUM = Path("/usr/bin/chromium")


class Doubting:
    """The real prompt guard, which sends a prompt with the word doubtful to review.

    What it makes of other languages depends on the extras that are installed.
    """

    def __init__(self, guard: Any) -> None:
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guard, name)

    def judge(self, text: str, *args: Any, **options: Any) -> Any:
        said = self._guard.judge(text, *args, **options)
        start = text.find(DOUBTFUL)
        if start < 0 or said.action != "allow":
            return said
        why = Evidence(
            category="violence",
            kind="span",
            start=start,
            end=start + len(DOUBTFUL),
            text=DOUBTFUL,
            detail="a word of the tests",
        )
        return replace(said, action="review", categories=("violence",), evidence=(why,))


@dataclass(kw_only=True)
class Site:
    """The running site."""

    url: str
    pipeline: Pipeline
    people: People

    def token(self, name: str) -> str:
        """Sign a person in and return what their cookie holds."""
        return self.people.begin(self.people.person(name)).token

    def client(self, name: str | None = None) -> httpx.Client:
        """Return a client that is signed in as this person, or as nobody."""
        cookies = {COOKIE: self.token(name)} if name else {}
        return httpx.Client(base_url=self.url, cookies=cookies, timeout=60)

    def csrf(self, client: httpx.Client) -> str:
        """Return the token that the forms of a client carry."""
        return self.people.session(client.cookies[COOKIE]).csrf


PEOPLE: dict[str, tuple[tuple[str, ...], str | None]] = {
    "cleo": (("creator",), "default"),
    "carl": (("creator",), "default"),
    "rita": (("reviewer", "reader"), "default"),
    "rolf": (("reviewer", "reader"), "default"),
    "ines": (("investigator", "operator"), "default"),
    "ivan": (("investigator",), "default"),
    "emma": (("exporter", "reader"), "default"),
    "egon": (("exporter",), "default"),
    "auda": (("auditor",), None),
    "zoe": (("reviewer", "reader", "investigator", "exporter"), "zeta"),
}


@pytest.fixture(scope="session")
def site(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("web")
    settings = Settings(
        home=folder / "home",
        abuse="none",
        requests_per_minute=0,
        hash_lists=folder / "lists",
        max_image_bytes=2**22,
        public_verify=True,
    )
    (folder / "lists").mkdir()
    with (
        open_with(
            shared_pipeline,
            settings,
            generator=StandIn(default_size=(256, 256), max_size=512, ignores=frozenset()),
            prompt_guard=Doubting(shared_pipeline.parts.prompt_guard),
        ) as pipeline,
        AccessStore.open(settings.home) as store,
        People.open(settings.home) as people,
    ):
        store.set_tenant(Tenant(name="zeta"))
        for name, (roles, tenant) in PEOPLE.items():
            people.add(name, roles=roles, tenant=tenant)
        pipeline.parts.open_all()
        with serve(pipeline, create_site) as live:
            yield Site(url=live.url, pipeline=pipeline, people=people)
