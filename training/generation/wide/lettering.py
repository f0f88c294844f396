"""Short words, letters and figures as drawings: "the word HELLO in big letters"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from training.generation.data import SPRITE
from training.generation.wide.clipart import fitted

if TYPE_CHECKING:
    import random

__all__ = ["WRITTEN", "ask_for", "draw_written"]

_WORDS: Final = """hello hi welcome thanks love yes no stop go open closed sale new free hot cold
big small happy party cafe bar shop pizza bread cake coffee tea milk fish cat dog home house school
art music book game play win team run fun sun moon star sea sky rain snow wow yay ok bye good bad
best cool nice peace hope dream joy smile friend mum dad exit push pull menu taxi bus zoo map top up
down left right red blue green one two three""".split()
#: What is written, in capitals: words, letters, figures.
WRITTEN: Final = (*(word.upper() for word in _WORDS), *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"0123456789")
_INK: Final = (32, 34, 44, 255)


def draw_written(text: str) -> Image.Image:
    """Return dark letters on nothing: RGBA, ``SPRITE`` pixels square, as large as they fit."""
    font = ImageFont.load_default(size=SPRITE)
    left, top, right, bottom = font.getbbox(text, stroke_width=8)
    size = (round(right - left) + 8, round(bottom - top) + 8)
    drawn = Image.new("RGBA", size, (*_INK[:3], 0))
    ImageDraw.Draw(drawn).text((4 - left, 4 - top), text, _INK, font, stroke_width=8)
    return fitted(drawn)


def ask_for(text: str, rng: random.Random) -> str:
    """Return words that ask for what is written."""
    if text.isdigit():
        return rng.choice((f"the number {text}", f"a big {text}", f"the figure {text}"))
    if len(text) == 1:
        return rng.choice((f"the letter {text}", f"a big letter {text}"))
    shown = rng.choice((text, text.lower(), text.capitalize()))
    forms = (
        f"the word {shown}",
        f"the word {shown} in big letters",
        f'the word "{shown}"',
        f"the text {shown}",
        f"a sign that says {shown}",
    )
    return rng.choice(forms)
