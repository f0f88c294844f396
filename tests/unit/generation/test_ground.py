"""A model of drawings on plain grounds refuses what it would destroy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from chopmark.errors import InvalidRequest
from chopmark.generation import DiffusersGenerator, GenerationJob
from chopmark.generation.ground import on_plain_ground


def drawing(ground: tuple[int, int, int] = (168, 214, 244)) -> Image.Image:
    picture = Image.new("RGB", (300, 200), ground)
    ImageDraw.Draw(picture).ellipse((60, 30, 240, 199), fill=(200, 40, 30))
    return picture


def photograph() -> Image.Image:
    """Return what has the edges of a photograph: light that falls off, and grain."""
    rows, columns = np.mgrid[0:200, 0:300]
    light = 40 + 0.4 * columns + 0.4 * rows
    grain = np.random.default_rng(1).normal(0, 12, (200, 300))
    return Image.fromarray((light + grain).clip(0, 255).astype(np.uint8)).convert("RGB")


def test_drawings_on_a_ground_are_told_from_photographs() -> None:
    assert on_plain_ground(drawing())
    assert on_plain_ground(drawing((18, 18, 22)).convert("RGBA"))
    assert on_plain_ground(Image.new("L", (16, 16), 128))
    assert not on_plain_ground(photograph())


def test_a_model_of_drawings_refuses_a_photograph_and_takes_it_with_a_mask(
    generator: DiffusersGenerator,
) -> None:
    def job(*images: Image.Image, mask: Image.Image | None = None) -> GenerationJob:
        return GenerationJob(
            prompt="a hat", seed=1, width=32, height=32, images=images, mask=mask, strength=0.5
        )

    drawer = DiffusersGenerator(
        generator.variants, replace(generator.info, extends=True, max_images=2)
    )
    drawer.check(job(drawing()))
    with pytest.raises(InvalidRequest, match="the picture is none") as caught:
        drawer.check(job(photograph()))
    assert caught.value.param == "image"
    assert "mask" in caught.value.hint
    drawer.check(job(photograph(), mask=Image.new("L", (300, 200), 255)))
    generator.check(job(photograph()))
