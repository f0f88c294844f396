"""A live server on loopback over the real guards, watermark, signer and log.

Only the generator is a small one that draws: these tests are about what goes over the wire. The
same clients against the embedded model stand in tests/functional/test_service_clients.py.
"""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from PIL import Image, ImageDraw

from chopmark import Pipeline, Settings
from chopmark.api import create_app
from chopmark.errors import Cancelled
from chopmark.generation import Draft, ModelInfo
from chopmark.generation.interface import draft_steps
from chopmark.safety.testcard import draw_test_card
from chopmark.service.logging import make_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.generation import GenerationJob

BLOCKED = "explicit photo of a naked woman having sex"
_SHARED = ("prompt_guard", "image_guard", "credentials", "mark_key_source", "anchors")
UNSAFE_OUTPUT = "a test card"  # the drawing generator answers it with the guard's own test card


class Drawing:
    """A generator that draws a disc; it can be slow, and it remembers what it was asked."""

    def __init__(self) -> None:
        self.step_s = 0.0
        self.jobs: list[GenerationJob] = []
        self.cancelled = 0
        self.drafted: Image.Image | None = None
        self.info = ModelInfo(
            id="drawing",
            version="1",
            digest="0" * 64,
            licence="Apache-2.0",
            native_size=256,
            default_size=(384, 384),
            max_size=1024,
            default_steps=4,
            quantization="none",
            supports=frozenset({"generate", "edit", "inpaint"}),
            max_images=3,
            ignores=frozenset({"negative_prompt"}),
        )

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        self.jobs.append(job)
        steps = job.steps or self.info.default_steps
        for step in range(steps * job.n):
            if cancelled is not None and cancelled():
                self.cancelled += 1
                raise Cancelled("the generation was cancelled")
            time.sleep(self.step_s)
            if progress is not None:
                progress(step + 1, steps * job.n)
            index, done = step // steps + 1, step % steps + 1
            if draft is not None and done in draft_steps(steps, job.drafts):
                seen = self.drafted or self._draw(job, job.seeds[index - 1])
                draft(Draft(index=index, step=done, steps=steps, picture=seen))
        return [self._draw(job, seed) for seed in job.seeds]

    @staticmethod
    def _draw(job: GenerationJob, seed: int) -> Image.Image:
        if UNSAFE_OUTPUT in job.prompt:
            return draw_test_card().convert("RGB").resize((job.width, job.height))
        picture = Image.new("RGB", (job.width, job.height), (40, 90, 150 + seed % 90))
        pen = ImageDraw.Draw(picture)
        w, h = job.width, job.height
        pen.ellipse([w * 0.2, h * 0.25, w * 0.75, h * 0.8], fill=(200, 40, 30))
        pen.rectangle([w * 0.45, h * 0.1, w * 0.5, h * 0.3], fill=(90, 60, 20))
        return picture


@dataclass(kw_only=True)
class Live:
    """A running server."""

    url: str
    pipeline: Pipeline
    generator: Drawing
    app: Any
    server: uvicorn.Server


@contextmanager
def serve(pipeline: Pipeline) -> Iterator[tuple[str, Any, uvicorn.Server]]:
    app = create_app(pipeline, logger=make_logger(io.StringIO()))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=pipeline.settings.shutdown_s,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", app, server
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The parts that take long to open, opened once."""
    from chopmark.provenance import DevelopmentCredentialWarning

    home = tmp_path_factory.mktemp("contract") / "home"
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        pipeline.parts.use(generator=Drawing())
        with pytest.warns(DevelopmentCredentialWarning):
            _ = pipeline.parts.credential
        pipeline.parts.open_all()
        _ = pipeline.parts.anchors
        yield pipeline


@contextmanager
def open_live(opened: Pipeline, home: Path, **settings: Any) -> Iterator[Live]:
    """Run a server with a home and settings of its own, over parts that are open already."""
    with Pipeline.from_settings(Settings(home=home, **settings)) as pipeline:
        generator = Drawing()
        for name in _SHARED:
            pipeline.parts.opened[name] = getattr(opened.parts, name)
        pipeline.parts.use(generator=generator)
        with serve(pipeline) as (url, app, server):
            yield Live(url=url, pipeline=pipeline, generator=generator, app=app, server=server)


@pytest.fixture
def live_server(opened: Pipeline, home: Path) -> Callable[..., Any]:
    """Returns a factory of running servers."""
    return lambda **settings: open_live(opened, home, **settings)


@pytest.fixture
def forgiving(opened: Pipeline, home: Path) -> Iterator[Live]:
    """A running server for thousands of small requests: no rate, no cool-down, two pictures."""
    settings = {"requests_per_minute": 0, "abuse": "none", "max_outputs": 2}
    with open_live(opened, home, **settings) as server:
        yield server


@pytest.fixture
def live(live_server: Callable[..., Any]) -> Iterator[Live]:
    with live_server() as server:
        yield server
