"""Scenes and the sentences that describe them.

A scene is one thing (large, or small at a named place), two to four of the same thing, or two
different things side by side; in one style, on one background colour. The caption says only some of
it, as people do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.generation.training.data import CANVAS, CELL, LARGE, SMALL
from chopmark.generation.training.vocabulary import (
    BACKGROUNDS,
    CONCEPTS,
    STYLE_SETS,
    STYLE_WORDS,
    Style,
)

if TYPE_CHECKING:
    import random

Layout = Literal[
    "large", "centre", "left", "right", "top", "bottom", "two", "three", "four", "pair"
]

_MID: Final = (CANVAS - CELL) // 2
_FAR: Final = CANVAS - CELL
#: Origins of the cells of each layout, in pixels. All are multiples of 16, the side of a latent
#: cell, so that a small sprite gives the same latents wherever it stands; that makes layouts far
#: easier to learn.
CELLS: Final[dict[Layout, tuple[tuple[int, int], ...]]] = {
    "centre": ((_MID, _MID),),
    "left": ((0, _MID),),
    "right": ((_FAR, _MID),),
    "top": ((_MID, 0),),
    "bottom": ((_MID, _FAR),),
    "two": ((0, _MID), (_FAR, _MID)),
    "pair": ((0, _MID), (_FAR, _MID)),
    "three": ((_MID, 0), (0, _FAR), (_FAR, _FAR)),
    "four": ((0, 0), (_FAR, 0), (0, _FAR), (_FAR, _FAR)),
}
_PLACES: Final[dict[Layout, tuple[str, ...]]] = {
    "centre": ("", " in the middle", " in the centre"),
    "left": (" on the left", " on the left side"),
    "right": (" on the right", " on the right side"),
    "top": (" at the top",),
    "bottom": (" at the bottom",),
}
_SMALL: Final = ("small", "tiny", "little")
_LARGE: Final = ("big", "large")
_IDLE: Final = ("cute", "nice", "happy", "beautiful", "simple", "cartoon", "colourful")
_OPENINGS: Final = (
    "a picture of ",
    "a drawing of ",
    "an image of ",
    "a photo of ",
    "an icon of ",
    "an emoji of ",
    "an illustration of ",
    "draw ",
    "draw me ",
    "please draw ",
)
_GROUNDS: Final = (
    " on {article} background",
    " on {article} background",
    " on {article} background",
    " on {colour}",
    " with {article} background",
    " in front of {article} background",
)
_NAMES: Final = {concept.name: concept.names for concept in CONCEPTS}
_MASS_NOUNS: Final = frozenset(
    {"grapes", "fries", "french fries", "scissors", "corn", "bread", "cheese", "cherries"}
)
_PLURALS: Final = {
    "wolf": "wolves",
    "mouse": "mice",
    "fish": "fish",
    "octopus": "octopuses",
    "cactus": "cacti",
    "butterfly": "butterflies",
    "puppy": "puppies",
    "kitty": "kitties",
    "doggy": "doggies",
    "bunny": "bunnies",
    "pony": "ponies",
    "strawberry": "strawberries",
    "cherry": "cherries",
    "loaf of bread": "loaves of bread",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
    "cup of coffee": "cups of coffee",
    "bunch of grapes": "bunches of grapes",
    "ear of corn": "ears of corn",
    "piece of cheese": "pieces of cheese",
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one training picture shows: one concept, or two in the layout ``pair``."""

    concepts: tuple[str, ...]
    layout: Layout
    style: Style
    background: str

    def placed(self) -> list[tuple[str, int, int, int]]:
        """Return ``(concept, size, left, top)`` in pixels for each sprite to draw."""
        if self.layout == "large":
            margin = (CANVAS - LARGE) // 2
            return [(self.concepts[0], LARGE, margin, margin)]
        margin = (CELL - SMALL) // 2
        return [
            (self.concepts[index % len(self.concepts)], SMALL, left + margin, top + margin)
            for index, (left, top) in enumerate(CELLS[self.layout])
        ]


def article(noun: str) -> str:
    """Return ``noun`` with its indefinite article, if it takes one."""
    if noun in _MASS_NOUNS:
        return noun
    vowel = noun[0] in "aeio" or (noun[0] == "u" and not noun.startswith(("uni", "ufo")))
    return f"{'an' if vowel else 'a'} {noun}"


def plural(noun: str) -> str:
    """Return the plural of ``noun``."""
    if noun in _MASS_NOUNS:
        return noun
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    return f"{noun}s"


def _subject(scene: Scene, rng: random.Random) -> str:
    names = [_NAMES[c][0] if rng.random() < 0.6 else rng.choice(_NAMES[c]) for c in scene.concepts]
    if scene.layout == "pair":
        return f"{article(names[0])} and {article(names[1])}"
    if scene.layout in {"two", "three", "four"}:
        return f"{scene.layout} {plural(names[0])}"
    if scene.layout == "large":
        # Words that change nothing must be met in training to be passed over in use.
        word = rng.choice(_LARGE) if rng.random() < 0.12 else ""
        word = rng.choice(_IDLE) if not word and rng.random() < 0.15 else word
        return article(f"{word} {names[0]}".strip())
    place = rng.choice(_PLACES[scene.layout])
    # A small thing in the middle can only be told from a large one by the word.
    small = scene.layout == "centre" or rng.random() < 0.5
    return article(f"{rng.choice(_SMALL)} {names[0]}" if small else names[0]) + place


def describe(scene: Scene, rng: random.Random) -> str:
    """Return one of the sentences that fit ``scene``; white grounds and styles may go unsaid."""
    subject = _subject(scene, rng)
    said_background = scene.background != "white" or rng.random() < 0.3
    ground = ""
    if said_background:
        colour = scene.background
        ground = rng.choice(_GROUNDS).format(article=article(colour), colour=colour)
    if rng.random() >= 0.25:
        opening = rng.choice(_OPENINGS) if rng.random() < 0.5 else ""
        short = not opening and rng.random() < 0.2 and scene.layout == "large"
        return opening + (subject.split(" ", 1)[-1] if short else subject) + ground
    style = rng.choice(STYLE_WORDS[scene.style])
    form = rng.randrange(3)
    if form == 0:
        return f"{article(style)} of {subject}{ground}"
    if form == 1:
        return f"{subject}{ground}, {style}"
    return f"{subject}, {style} style{ground}"


def held_out(concept: str, style: Style, background: str) -> bool:
    """Tell whether this combination is kept out of training (5 % are), to test on unseen ones."""
    return hashlib.sha256(f"{concept}/{style}/{background}".encode()).digest()[0] % 20 == 0


def sample_scene(
    rng: random.Random, *, concept: str | None = None, style: Style | None = None
) -> Scene:
    """Draw a scene at random; two in three are one large thing, as most prompts ask for."""
    first = concept or rng.choice(CONCEPTS).name
    draw = rng.random()
    layout: Layout
    if draw < 0.66:
        layout = "large"
    elif draw < 0.78:
        layout = rng.choice(("centre", "left", "right", "top", "bottom"))
    elif draw < 0.89:
        layout = rng.choice(("two", "three", "four"))
    else:
        layout = "pair"
    concepts: tuple[str, ...] = (first,)
    if layout == "pair":
        concepts = (first, rng.choice([c.name for c in CONCEPTS if c.name != first]))
    while True:
        drawn: Style = rng.choice(tuple(STYLE_SETS)) if style is None else style
        scene = Scene(
            concepts=concepts,
            layout=layout,
            style=drawn,
            background="white" if rng.random() < 0.25 else rng.choice(tuple(BACKGROUNDS)),
        )
        if not any(held_out(name, scene.style, scene.background) for name in concepts):
            return scene
