"""Scenes and the sentences that describe them.

A scene is one thing (large, or small at a named place), two to four of the same thing, or two
different things side by side; in one style, on one background colour, perhaps painted. The caption
leaves out what goes without saying: a white ground, the first style, the thing's own colours. So a
sentence means one picture, which a few steps can draw.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from training.generation.vocabulary import (
    BACKGROUNDS,
    CONCEPTS,
    PAINTS,
    STYLE_SETS,
    STYLE_WORDS,
    Style,
)

if TYPE_CHECKING:
    import random

Layout = Literal[
    "large", "centre", "left", "right", "top", "bottom", "two", "three", "four", "pair",
    "above", "front", "empty",
]  # fmt: skip

#: Side of a small training picture in pixels; a large one has twice as many.
CANVAS: Final = 128
#: A single large sprite is drawn at this size, centred.
LARGE: Final = 112
#: Small sprites are drawn at this size, centred in a cell of ``CELL`` pixels whose origin lies on
#: the latent grid.
SMALL: Final = 56
CELL: Final = 64

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
    # They touch: what stands on something does not hang in the air.
    "above": ((_MID, 16), (_MID, _FAR)),
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
_IDLE: Final = ("cute", "nice", "happy", "beautiful", "simple", "lovely", "colourful")
_OPENINGS: Final = (
    "a picture of ",
    "an image of ",
    "a photo of ",
    "an icon of ",
    "an emoji of ",
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
    """grapes|fries|french fries|scissors|corn|bread|cheese|cherries|garlic|pancakes|bacon|popcorn|
    salad|spaghetti|pasta|sushi|honey|milk|tea|beer|soda|earth|planet earth|saturn|fire|glasses|
    eyeglasses|sunglasses|jeans|trousers|gloves|socks|headphones|books|scales|soap|money|bowling|
    bowling pins|ping pong|table tennis|badminton|luggage|poop|ramen|chocolate|broccoli|
    statue of liberty|santa claus|santa|yarn|lightning|heart eyes face""".replace(
        "\n    ", ""
    ).split("|")
)
_PLURALS: Final = {
    "wolf": "wolves",
    "sheep": "sheep",
    "mouse": "mice",
    "goose": "geese",
    "fish": "fish",
    "tropical fish": "tropical fish",
    "ox": "oxen",
    "octopus": "octopuses",
    "cactus": "cacti",
    "die": "dice",
    "dice": "dice",
    "loaf of bread": "loaves of bread",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
    "slice of cake": "slices of cake",
    "piece of cheese": "pieces of cheese",
    "cup of coffee": "cups of coffee",
    "cup of tea": "cups of tea",
    "bunch of grapes": "bunches of grapes",
    "bunch of flowers": "bunches of flowers",
    "bowl of salad": "bowls of salad",
    "bowl of noodles": "bowls of noodles",
    "ear of corn": "ears of corn",
    "glass of milk": "glasses of milk",
    "glass of wine": "glasses of wine",
    "mug of beer": "mugs of beer",
    "cup with a straw": "cups with straws",
    "stack of pancakes": "stacks of pancakes",
    "stack of books": "stacks of books",
    "spool of thread": "spools of thread",
    "ball of yarn": "balls of yarn",
    "bow and arrow": "bows and arrows",
    "maple leaf": "maple leaves",
    "leaf": "leaves",
    "elf": "elves",
    "man": "men",
    "woman": "women",
    "person": "people",
    "tooth": "teeth",
    "foot": "feet",
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one training picture shows: one concept, or two in the layout ``pair``.

    Attributes:
        concepts: canonical nouns.
        layout: how many, how large and where.
        style: whose drawings.
        background: colour of the ground.
        paint: colour of the thing, if not its own; never in a pair.
    """

    concepts: tuple[str, ...]
    layout: Layout
    style: Style
    background: str
    paint: str | None = None


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
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def _subject(scene: Scene, rng: random.Random) -> str:
    names = [_NAMES[c][0] if rng.random() < 0.6 else rng.choice(_NAMES[c]) for c in scene.concepts]
    if scene.layout == "pair":
        return f"{article(names[0])} and {article(names[1])}"
    paint = f"{scene.paint} " if scene.paint else ""
    if scene.layout in {"two", "three", "four"}:
        return f"{scene.layout} {paint}{plural(names[0])}"
    if scene.layout == "large":
        # Words that change nothing must be met in training to be passed over in use.
        word = rng.choice(_LARGE) if rng.random() < 0.1 else ""
        word = rng.choice(_IDLE) if not word and rng.random() < 0.15 else word
        return article(f"{word} {paint}{names[0]}".strip())
    place = rng.choice(_PLACES[scene.layout])
    # A small thing in the middle can only be told from a large one by the word.
    small = f"{rng.choice(_SMALL)} " if scene.layout == "centre" or rng.random() < 0.5 else ""
    return article(f"{small}{paint}{names[0]}") + place


def describe(scene: Scene, rng: random.Random) -> str:
    """Return one of the sentences that fit ``scene``."""
    subject = _subject(scene, rng)
    said_background = scene.background != "white" or rng.random() < 0.3
    ground = on_colour(scene.background, rng) if said_background else ""
    return in_style(subject, ground, scene.style, rng, short=scene.layout == "large")


def on_colour(colour: str, rng: random.Random) -> str:
    """Return words that put what goes before on a ground of one colour."""
    return rng.choice(_GROUNDS).format(article=article(colour), colour=colour)


def in_style(
    subject: str, ground: str, style: Style, rng: random.Random, *, short: bool = False
) -> str:
    """Return a sentence that asks for a subject on a ground in a style.

    Args:
        subject: with its article.
        ground: what follows it, or nothing.
        style: the first one mostly goes without saying.
        rng: source of chance.
        short: the article may be left out.
    """
    if style == next(iter(STYLE_SETS)) and rng.random() < 0.65:
        opening = rng.choice(_OPENINGS) if rng.random() < 0.5 else ""
        cut = not opening and rng.random() < 0.2 and short
        return opening + (subject.split(" ", 1)[-1] if cut else subject) + ground
    word = rng.choice(STYLE_WORDS[style])
    form = rng.randrange(3)
    if form == 0:
        return f"{article(word)} of {subject}{ground}"
    if form == 1:
        return f"{subject}{ground}, {word}"
    return f"{subject}, {word} style{ground}"


def held_out(concept: str, style: str, background: str) -> bool:
    """Tell whether this combination is kept out of training (5 % are), to test on unseen ones."""
    return hashlib.sha256(f"{concept}/{style}/{background}".encode()).digest()[0] % 20 == 0


#: How often each style is drawn.
_STYLE_SHARES: Final[dict[Style, float]] = {"3d": 0.4, "flat": 0.28, "cartoon": 0.32}


def sample_scene(rng: random.Random, *, layouts: tuple[Layout, ...] | None = None) -> Scene:
    """Draw a scene at random, never of a combination that is held out.

    Args:
        rng: source of chance.
        layouts: draw among these; otherwise three in five are one large thing, as most prompts ask.
    """
    first = rng.choice(CONCEPTS).name
    draw = rng.random()
    layout: Layout
    if layouts is not None:
        layout = rng.choice(layouts)
    elif draw < 0.62:
        layout = "large"
    elif draw < 0.73:
        layout = rng.choice(("centre", "left", "right", "top", "bottom"))
    elif draw < 0.85:
        layout = rng.choice(("two", "three", "four"))
    else:
        layout = "pair"
    concepts: tuple[str, ...] = (first,)
    paint = None
    if layout == "pair":
        concepts = (first, rng.choice([c.name for c in CONCEPTS if c.name != first]))
    elif rng.random() < 0.2:
        paint = rng.choice(tuple(PAINTS))
    while True:
        (style,) = rng.choices(tuple(_STYLE_SHARES), tuple(_STYLE_SHARES.values()))
        ground = "white" if rng.random() < 0.3 else rng.choice(tuple(BACKGROUNDS))
        if not any(held_out(name, style, ground) for name in concepts):
            return Scene(
                concepts=concepts, layout=layout, style=style, background=ground, paint=paint
            )
