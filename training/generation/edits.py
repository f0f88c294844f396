"""Training examples for pictures and edits: a target, its words, and up to two references.

The edits are drawn from the same sprites as the pictures, so that before and after differ in one
thing only: the ground, the paint, the style, the thing itself (swap), one thing more (add), or two
pictures become one (combine).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from training.generation.captions import Layout, Scene, article, describe, held_out, sample_scene
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, PAINTS, STYLE_SETS, STYLE_WORDS

if TYPE_CHECKING:
    import random

Kind = Literal["picture", "ground", "paint", "style", "swap", "add", "combine"]
KINDS: Final[tuple[Kind, ...]] = (
    "picture", "ground", "paint", "style", "swap", "add", "combine",
)  # fmt: skip
_SINGLE: Final[tuple[Layout, ...]] = ("large", "large", "large", "centre", "two", "three")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One thing to learn.

    Attributes:
        kind: what is asked for.
        words: sentences that ask for it, each as good as the others.
        target: what the answer shows.
        references: what the caller gives: none, one, or two to combine.
    """

    kind: Kind
    words: tuple[str, ...]
    target: Scene
    references: tuple[Scene, ...] = ()


def sample_example(rng: random.Random, kind: Kind, *, sentences: int = 1) -> Example:
    """Draw an example at random; no target is of a combination that is held out.

    Args:
        rng: source of chance.
        kind: of example.
        sentences: how many to write for it.
    """
    while True:
        example = _MAKERS[kind](rng, sentences)
        scene = example.target
        if not any(held_out(name, scene.style, scene.background) for name in scene.concepts):
            return example


def _write(rng: random.Random, count: int, choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(rng.choice(choices) for _ in range(count))


def _picture(rng: random.Random, sentences: int) -> Example:
    scene = sample_scene(rng)
    words = tuple(describe(scene, rng) for _ in range(sentences))
    return Example(kind="picture", words=words, target=scene)


def _ground(rng: random.Random, sentences: int) -> Example:
    before = sample_scene(rng)
    colour = rng.choice([name for name in BACKGROUNDS if name != before.background])
    words = (
        f"make the background {colour}",
        f"change the background to {colour}",
        f"put it on {article(colour)} background",
        f"{colour} background",
    )
    target = replace(before, background=colour)
    return Example(
        kind="ground", words=_write(rng, sentences, words), target=target, references=(before,)
    )


def _paint(rng: random.Random, sentences: int) -> Example:
    before = sample_scene(rng, layouts=_SINGLE)
    colour = rng.choice([name for name in PAINTS if name != before.paint])
    thing = before.concepts[0]
    words = (
        f"make it {colour}",
        f"make the {thing} {colour}",
        f"paint the {thing} {colour}",
        f"paint it {colour}",
        f"turn the {thing} {colour}",
    )
    target = replace(before, paint=colour)
    return Example(
        kind="paint", words=_write(rng, sentences, words), target=target, references=(before,)
    )


def _style(rng: random.Random, sentences: int) -> Example:
    before = sample_scene(rng)
    style = rng.choice([name for name in STYLE_SETS if name != before.style])
    word = rng.choice(STYLE_WORDS[style])
    words = (
        f"make it {article(word)}",
        f"in {word} style",
        f"as {article(word)}",
        f"change the style to {word}",
        f"turn it into {article(word)}",
    )
    target = replace(before, style=style)
    return Example(
        kind="style", words=_write(rng, sentences, words), target=target, references=(before,)
    )


def _swap(rng: random.Random, sentences: int) -> Example:
    before = replace(sample_scene(rng), paint=None)
    old = before.concepts[0]
    new = rng.choice([c.name for c in CONCEPTS if c.name not in before.concepts])
    words: tuple[str, ...] = (
        f"turn the {old} into {article(new)}",
        f"replace the {old} with {article(new)}",
        f"change the {old} to {article(new)}",
    )
    if len(before.concepts) == 1:
        words += (f"make it {article(new)}",)
    target = replace(before, concepts=(new, *before.concepts[1:]))
    return Example(
        kind="swap", words=_write(rng, sentences, words), target=target, references=(before,)
    )


def _add(rng: random.Random, sentences: int) -> Example:
    before = replace(sample_scene(rng, layouts=("left", "large")), paint=None)
    (first,) = before.concepts
    second = rng.choice([c.name for c in CONCEPTS if c.name != first])
    words = (
        f"add {article(second)}",
        f"add {article(second)} on the right",
        f"put {article(second)} next to the {first}",
        f"{article(second)} beside it",
    )
    target = replace(before, concepts=(first, second), layout="pair")
    return Example(
        kind="add", words=_write(rng, sentences, words), target=target, references=(before,)
    )


def _combine(rng: random.Random, sentences: int) -> Example:
    first = replace(sample_scene(rng, layouts=("large",)), paint=None)
    second = replace(sample_scene(rng, layouts=("large",)), paint=None, style=first.style)
    if second.concepts == first.concepts:
        return _combine(rng, sentences)
    left, right = first.concepts[0], second.concepts[0]
    words = (
        "put both together",
        "combine the two pictures",
        "put them side by side",
        f"the {left} and the {right} side by side",
    )
    target = replace(first, concepts=(left, right), layout="pair")
    return Example(
        kind="combine",
        words=_write(rng, sentences, words),
        target=target,
        references=(first, second),
    )


_MAKERS: Final = {
    "picture": _picture,
    "ground": _ground,
    "paint": _paint,
    "style": _style,
    "swap": _swap,
    "add": _add,
    "combine": _combine,
}
