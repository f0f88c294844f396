"""One site on loopback for all tests of the pages, over real guards, mark, signer and log.

Only the generator is the stand-in that draws: these tests are about what people see.
"""

from __future__ import annotations

from contextlib import contextmanager
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

    from playwright.sync_api import Browser, Page

    from chopmark import Pipeline

COOKIE = "chopmark_session"
DOUBTFUL, FORBIDDEN = "doubtful", "forbiddenword"
BLOCKED = "explicit photo of a naked woman having sex"
CHROMIUM = Path("/usr/bin/chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="there is no /usr/bin/chromium; .ci/run installs Debian's"
)
# A browser of its own for nothing but this: it asks nothing of anybody.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Doubting:
    """The real prompt guard, which also knows two words: one for review, one to refuse.

    What it makes of other languages depends on the extras that are installed, and of borderline
    prompts on its training.
    """

    def __init__(self, guard: Any) -> None:
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guard, name)

    def judge(self, text: str, *args: Any, **options: Any) -> Any:
        said = self._guard.judge(text, *args, **options)
        word = FORBIDDEN if FORBIDDEN in text else DOUBTFUL
        start = text.find(word)
        if start < 0 or said.action == "block" or (word, said.action) == (DOUBTFUL, "review"):
            return said
        why = Evidence(
            category="violence",
            kind="span",
            start=start,
            end=start + len(word),
            text=word,
            detail="a word of the tests",
        )
        return replace(
            said,
            action="block" if word == FORBIDDEN else "review",
            categories=("violence",),
            evidence=(why,),
        )


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


@contextmanager
def open_site(
    lender: Pipeline, folder: Path, *, generator: StandIn | None = None, **settings: Any
) -> Iterator[Site]:
    """Open a site in a folder of its own, with everybody of :data:`PEOPLE`."""
    (folder / "lists").mkdir()
    chosen = Settings(
        home=folder / "home",
        abuse="none",
        requests_per_minute=0,
        hash_lists=folder / "lists",
        max_image_bytes=2**22,
        public_verify=True,
        **settings,
    )
    drawing = StandIn(default_size=(256, 256), max_size=512, ignores=frozenset())
    with (
        open_with(
            lender,
            chosen,
            generator=generator or drawing,
            prompt_guard=Doubting(lender.parts.prompt_guard),
        ) as pipeline,
        AccessStore.open(chosen.home) as store,
        People.open(chosen.home) as people,
    ):
        store.set_tenant(Tenant(name="zeta"))
        for name, (roles, tenant) in PEOPLE.items():
            people.add(name, roles=roles, tenant=tenant)
        pipeline.parts.open_all()
        with serve(pipeline, create_site) as live:
            yield Site(url=live.url, pipeline=pipeline, people=people)


@pytest.fixture(scope="session")
def site(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(shared_pipeline, tmp_path_factory.mktemp("web")) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; gone before other modules' tests, since its event loop runs as long as it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=str(CHROMIUM), args=_QUIET)
        yield opened
        opened.close()


class Visits:
    """Pages of different people, all watched."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser, self._site = browser, site
        self._contexts: list[Any] = []
        self.asked: list[str] = []
        self.said: list[str] = []

    def __call__(self, name: str | None = None, **options: Any) -> Page:
        context = self._browser.new_context(
            base_url=self._site.url, reduced_motion="reduce", **options
        )
        context.set_default_timeout(120_000)
        if name:
            token = self._site.token(name)
            context.add_cookies([{"name": COOKIE, "value": token, "url": self._site.url}])
        context.on("request", lambda request: self.asked.append(request.url))
        page = context.new_page()
        page.on("console", lambda line: self.said.append(line.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        self._contexts.append(context)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        ours = (f"{self._site.url}/", "data:", "blob:")
        assert [url for url in self.asked if not url.startswith(ours)] == []
        # What a server answers with 4xx is an error to the browser; it is the page that tells it.
        assert [line for line in self.said if "status of 4" not in line] == []


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visits]:
    visits = Visits(browser, site)
    yield visits
    visits.close()
