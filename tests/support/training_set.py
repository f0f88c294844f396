"""A training set without the icon packages, which tests do not download."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from training.generation.data import SPRITE
from training.generation.prepare import SPRITES, write_examples
from training.generation.vocabulary import CONCEPTS, STYLE_SETS

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = ((200, 40, 40), (40, 90, 200), (240, 220, 60), (128, 128, 128))


def disc(colour: tuple[int, int, int]) -> bytes:
    """Return a WebP picture of a disc on nothing."""
    picture = Image.new("RGBA", (SPRITE, SPRITE), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((16, 16, SPRITE - 16, SPRITE - 16), fill=(*colour, 255))
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def write_set(folder: Path, *, examples: int = 64) -> Path:
    """Write sprites (discs of four colours in turn) and examples; return ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    discs = [disc(colour) for colour in COLOURS]
    with zipfile.ZipFile(folder / SPRITES, "w") as sprites:
        for number, concept in enumerate(CONCEPTS):
            for style in STYLE_SETS:
                sprites.writestr(f"{style}/{concept.name}.webp", discs[number % len(discs)])
    write_examples(folder, examples=examples, sentences=2)
    return folder
