"""Drawings on a plain ground are told from other pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

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
