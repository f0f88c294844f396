"""Generators for tests: one that draws and can be held in the middle, one that counts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from chopmark.errors import Cancelled
from chopmark.generation import Draft, ModelInfo
from chopmark.generation.interface import draft_steps
from chopmark.safety.testcard import draw_test_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation import GenerationJob, Generator

    Draw = Callable[[GenerationJob, int], Image.Image]

__all__ = ["UNSAFE_OUTPUT", "StandIn", "Watched", "draw_disc", "unreached"]

UNSAFE_OUTPUT = "a test card"  #: A prompt with these words is answered with the guard's test card.


def draw_disc(job: GenerationJob, seed: int) -> Image.Image:
    """Draw a red disc with a stalk on a ground that depends on the seed; or the test card."""
    if UNSAFE_OUTPUT in job.prompt:
        return draw_test_card().convert("RGB").resize((job.width, job.height))
    picture = Image.new("RGB", (job.width, job.height), (40, 90, 150 + seed % 90))
    pen = ImageDraw.Draw(picture)
    w, h = job.width, job.height
    pen.ellipse([w * 0.2, h * 0.25, w * 0.75, h * 0.8], fill=(200, 40, 30))
    pen.rectangle([w * 0.45, h * 0.1, w * 0.5, h * 0.3], fill=(90, 60, 20))
    return picture


def unreached(_job: GenerationJob, _seed: int) -> Image.Image:
    """For ``StandIn(unreached)``: the test is wrong, or the code, if anything is generated."""
    raise AssertionError("the generator was reached")


class StandIn:
    """Draws at once what a model would need seconds for; everything after it is real.

    Attributes:
        info: The card of a small model that edits; keyword arguments change it.
        jobs: What it was asked for, in order.
        cancelled: How many jobs ended because their caller went away.
        gate: Every step waits here. Open, until a test closes it with ``gate.clear()``.
        drafted: Shown as every draft, instead of the picture itself.
        pause_after: Closes the gate when so many drafts of a job were shown.
    """

    def __init__(self, draw: Draw = draw_disc, **info: Any) -> None:
        self.jobs: list[GenerationJob] = []
        self.cancelled = 0
        self.gate = threading.Event()
        self.gate.set()
        self.drafted: Image.Image | None = None
        self.pause_after: int | None = None
        self._draw = draw
        card: dict[str, Any] = {
            "id": "drawing",
            "version": "1",
            "digest": "0" * 64,
            "licence": "Apache-2.0",
            "native_size": 256,
            "default_size": (384, 384),
            "max_size": 1024,
            "default_steps": 4,
            "quantization": "none",
            "supports": frozenset({"generate", "edit", "inpaint"}),
            "max_images": 3,
            "ignores": frozenset({"negative_prompt"}),
        }
        self.info = ModelInfo(**{**card, **info})

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
        drafts = 0
        for step in range(steps * job.n):
            self._pass_gate(cancelled or (lambda: False))
            if progress is not None:
                progress(step + 1, steps * job.n)
            index, done = step // steps + 1, step % steps + 1
            if draft is not None and done in draft_steps(steps, job.drafts):
                shown = self.drafted or self._draw(job, job.seeds[index - 1])
                draft(Draft(index=index, step=done, steps=steps, picture=shown))
                drafts += 1
                if drafts == self.pause_after:
                    self.gate.clear()
        self._pass_gate(cancelled or (lambda: False))
        return [self._draw(job, seed) for seed in job.seeds]

    def _pass_gate(self, cancelled: Callable[[], bool]) -> None:
        while not cancelled():
            if self.gate.wait(0.01):
                return
        self.cancelled += 1
        raise Cancelled("the generation was cancelled")


class Watched:
    """A real generator, with the ``jobs`` that it was given."""

    def __init__(self, real: Generator) -> None:
        self.info = real.info
        self.jobs: list[GenerationJob] = []
        self._real = real

    def generate(self, job: GenerationJob, **options: Any) -> list[Image.Image]:
        self.jobs.append(job)
        return self._real.generate(job, **options)
