"""Training examples for pictures and edits: a target, its words, and up to two references.

The four edits are drawn from the same sprites as the pictures, so that before and after differ in
one thing only: the ground (recolour), the thing (swap), one thing more (add), or two pictures
become one (combine).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from chopmark.generation.training.captions import (
    Scene,
    article,
    describe,
    held_out,
    sample_scene,
)
from chopmark.generation.training.vocabulary import BACKGROUNDS, CONCEPTS

if TYPE_CHECKING:
    import random

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["picture", "recolour", "swap", "add", "combine"]
KINDS: Final[tuple[Kind, ...]] = ("picture", "recolour", "swap", "add", "combine")


class Draws(Protocol):
    """Whatever turns a scene into pixels; :class:`.data.Sprites` does."""

    def compose(self, scene: Scene) -> NDArray[np.uint8]:
        """Return the picture, (side, side, 3)."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One thing to learn.

    Attributes:
        kind: what is asked for.
        words: the prompt.
        target: what the answer shows.
        references: what the caller gives: none, one, or two to combine.
    """

    kind: Kind
    words: str
    target: Scene
    references: tuple[Scene, ...] = ()


def sample_example(rng: random.Random, kind: Kind) -> Example:
    """Draw an example at random; no target is of a combination that is held out."""
    while True:
        example = _MAKERS[kind](rng)
        scene = example.target
        if not any(held_out(name, scene.style, scene.background) for name in scene.concepts):
            return example


def _picture(rng: random.Random) -> Example:
    scene = sample_scene(rng)
    return Example(kind="picture", words=describe(scene, rng), target=scene)


def _recolour(rng: random.Random) -> Example:
    before = sample_scene(rng)
    colour = rng.choice([name for name in BACKGROUNDS if name != before.background])
    words = rng.choice(
        (
            f"make the background {colour}",
            f"change the background to {colour}",
            f"put it on {article(colour)} background",
            f"{colour} background",
        )
    )
    target = replace(before, background=colour)
    return Example(kind="recolour", words=words, target=target, references=(before,))


def _swap(rng: random.Random) -> Example:
    before = sample_scene(rng)
    old = before.concepts[0]
    new = rng.choice([c.name for c in CONCEPTS if c.name not in before.concepts])
    words = rng.choice(
        (
            f"turn the {old} into {article(new)}",
            f"replace the {old} with {article(new)}",
            f"make it {article(new)}",
            f"change the {old} to {article(new)}",
        )
    )
    target = replace(before, concepts=(new, *before.concepts[1:]))
    return Example(kind="swap", words=words, target=target, references=(before,))


def _add(rng: random.Random) -> Example:
    first, second = rng.sample([c.name for c in CONCEPTS], 2)
    ground = rng.choice(tuple(BACKGROUNDS))
    before = Scene(concepts=(first,), layout="left", style="flat", background=ground)
    words = rng.choice(
        (
            f"add {article(second)}",
            f"add {article(second)} on the right",
            f"put {article(second)} next to the {first}",
            f"{article(second)} beside it",
        )
    )
    target = replace(before, concepts=(first, second), layout="pair")
    return Example(kind="add", words=words, target=target, references=(before,))


def _combine(rng: random.Random) -> Example:
    first, second = rng.sample([c.name for c in CONCEPTS], 2)
    grounds = [rng.choice(tuple(BACKGROUNDS)) for _ in range(2)]
    references = tuple(
        Scene(concepts=(name,), layout="large", style="flat", background=ground)
        for name, ground in zip((first, second), grounds, strict=True)
    )
    words = rng.choice(
        (
            "put both together",
            "combine the two pictures",
            "put them side by side",
            f"the {first} and the {second} side by side",
        )
    )
    target = Scene(concepts=(first, second), layout="pair", style="flat", background=grounds[0])
    return Example(kind="combine", words=words, target=target, references=references)


_MAKERS: Final = {
    "picture": _picture,
    "recolour": _recolour,
    "swap": _swap,
    "add": _add,
    "combine": _combine,
}
