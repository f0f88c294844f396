"""One site on loopback for all tests of the pages, over real guards, mark, signer and log.

Only the generator is a small one that draws: these tests are about what people see.
"""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
import uvicorn
from PIL import Image, ImageDraw

from chopmark import Pipeline, Settings
from chopmark.generation import GenerationJob, ModelInfo
from chopmark.safety import Evidence
from chopmark.service.logging import make_logger
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COOKIE = "chopmark_session"
DOUBTFUL = "doubtful"
BLOCKED = "explicit photo of a naked woman having sex"
CHROMIUM = Path("/usr/bin/chromium")


class Painter:
    """A generator that draws a disc at once, in steps, and remembers what it was asked."""

    jobs: ClassVar[list[GenerationJob]] = []

    info = ModelInfo(
        id="painter",
        version="1",
        digest="0" * 64,
        licence="Apache-2.0",
        native_size=256,
        default_size=(256, 256),
        max_size=512,
        default_steps=4,
        quantization="none",
        supports=frozenset({"generate", "edit", "inpaint"}),
        max_images=3,
    )

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **_: Any,
    ) -> list[Image.Image]:
        self.jobs.append(job)
        for step in range(4):
            if progress is not None:
                progress(step + 1, 4)
        return [self._draw(job, seed) for seed in job.seeds]

    @staticmethod
    def _draw(job: GenerationJob, seed: int) -> Image.Image:
        picture = Image.new("RGB", (job.width, job.height), (40, 90, 150 + seed % 90))
        pen = ImageDraw.Draw(picture)
        w, h = job.width, job.height
        pen.ellipse([w * 0.2, h * 0.25, w * 0.75, h * 0.8], fill=(200, 40, 30))
        pen.rectangle([w * 0.45, h * 0.1, w * 0.5, h * 0.3], fill=(90, 60, 20))
        return picture


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
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from chopmark.provenance import DevelopmentCredentialWarning

    home = tmp_path_factory.mktemp("web") / "home"
    lists = tmp_path_factory.mktemp("lists")
    settings = Settings(
        home=home, abuse="none", requests_per_minute=0, hash_lists=lists, max_image_bytes=2**22
    )
    with (
        Pipeline.from_settings(settings) as pipeline,
        AccessStore.open(settings.open_home()) as store,
        People.open(settings.open_home()) as people,
    ):
        pipeline.parts.use(generator=Painter())
        with pytest.warns(DevelopmentCredentialWarning):
            _ = pipeline.parts.credential
        pipeline.parts.open_all()
        parts = pipeline.parts.opened
        parts["prompt_guard"] = Doubting(parts["prompt_guard"])
        store.set_tenant(Tenant(name="zeta"))
        for name, (roles, tenant) in PEOPLE.items():
            people.add(name, roles=roles, tenant=tenant)
        app = create_site(pipeline, logger=make_logger(io.StringIO()))
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="critical", server_header=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Site(url=f"http://127.0.0.1:{port}", pipeline=pipeline, people=people)
        server.should_exit = True
        thread.join(20)
