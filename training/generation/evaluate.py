"""A judge of the embedded model that never saw its pictures.

The judge is a small classifier of concepts and styles, trained on real renders only, apart from the
generator. It is asked about generated pictures of combinations of concept, style and background
that the generator's training left out, and about edits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from chopmark.generation.interface import GenerationJob
from training.generation.canvas import rows_of
from training.generation.captions import (
    CANVAS,
    CELL,
    CELLS,
    Layout,
    Scene,
    article,
    describe,
    held_out,
    sample_scene,
)
from training.generation.edits import Example, Kind, sample_example
from training.generation.vocabulary import (
    BACKGROUNDS,
    CONCEPTS,
    PAINTS,
    STYLE_SETS,
    STYLE_WORDS,
    Style,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation.interface import Generator
    from training.generation.canvas import Canvas

_SIDE: Final = 64
_NAMES: Final = tuple(concept.name for concept in CONCEPTS)
_STYLES: Final = tuple(STYLE_SETS)
#: A ground is right within this distance of each channel, of 255.
_NEAR: Final = 40


@dataclass(frozen=True)
class Seen:
    """What the judge sees: concepts from the likeliest on, and a style."""

    concepts: tuple[str, ...]
    style: Style


class Judge(nn.Module):
    """Classifier for pictures of shape (n, 3, 64, 64) in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 32), (32, 64), (64, 128), (128, 192)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.concept = nn.Linear(192 * 16, len(CONCEPTS))
        self.style = nn.Linear(192 * 16, len(_STYLES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of concepts and of styles, in the order of the vocabulary."""
        features = self.features(pictures).flatten(1)
        features = functional.dropout(features, 0.3, self.training)
        return self.concept(features), self.style(features)

    @torch.no_grad()
    def see(self, picture: Image.Image) -> Seen:
        """Return what is in a picture."""
        small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        array = torch.from_numpy(np.asarray(small, dtype=np.float32) / 127.5 - 1.0)
        concepts, styles = self(array.permute(2, 0, 1)[None])
        order = concepts[0].argsort(descending=True)[:5].tolist()
        return Seen(tuple(_NAMES[number] for number in order), _STYLES[int(styles[0].argmax())])


def train_judge(
    canvas: Canvas, *, steps: int = 3000, seed: int = 1, log: Callable[[str], None] = print
) -> Judge:
    """Train a judge on renders of single large things, painted, shifted and blurred at random."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(1, steps + 1):
        scenes = [_single(rng) for _ in range(64)]
        pictures = functional.avg_pool2d(canvas.compose(rows_of(scenes), scale=1), 2)
        concepts, styles = judge(_disturb(pictures, rng))
        loss = functional.cross_entropy(
            concepts, torch.tensor([_NAMES.index(scene.concepts[0]) for scene in scenes])
        ) + 0.3 * functional.cross_entropy(
            styles, torch.tensor([_STYLES.index(scene.style) for scene in scenes])
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            log(f"judge step {step} loss {loss.item():.3f}")
    return judge.eval()


def _single(rng: random.Random) -> Scene:
    return Scene(
        concepts=(rng.choice(_NAMES),),
        layout="large",
        style=rng.choice(_STYLES),
        background=rng.choice(tuple(BACKGROUNDS)),
        paint=rng.choice(tuple(PAINTS)) if rng.random() < 0.2 else None,
    )


def _disturb(batch: Tensor, rng: random.Random) -> Tensor:
    batch = torch.roll(batch, (rng.randint(-4, 4), rng.randint(-4, 4)), dims=(2, 3))
    if rng.random() < 0.5:
        # As soft as an upscaled or unsure picture.
        small = functional.interpolate(batch, scale_factor=rng.choice((0.25, 0.5)), mode="area")
        batch = functional.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    batch = batch * rng.uniform(0.8, 1.1) + rng.uniform(-0.1, 0.1)
    return batch + rng.choice((0.0, 0.1, 0.25)) * torch.randn_like(batch)


@dataclass(frozen=True)
class Score:
    """How often the judge sees what was asked for, in 0 to 1.

    Attributes:
        asked: pictures.
        first: it sees the concept.
        first_five: among the five likeliest.
        style: it sees the style.
        ground: the corners have the colour.
        real: it sees the concept in the true renders.
        missed: what it saw instead.
    """

    asked: int
    first: float
    first_five: float
    style: float
    ground: float
    real: float
    missed: tuple[str, ...]


def held_out_triples() -> list[tuple[str, Style, str]]:
    """Return every combination of concept, style and background that training left out."""
    return [
        (name, style, background)
        for name in _NAMES
        for style in _STYLES
        for background in BACKGROUNDS
        if held_out(name, style, background)
    ]


def concept_accuracy(
    generator: Generator, judge: Judge, canvas: Canvas, *, limit: int = 300, seed: int = 11
) -> Score:
    """Ask the judge about generated pictures of held-out combinations, and about their renders."""
    triples = held_out_triples()
    random.Random(seed).shuffle(triples)
    triples = triples[:limit]
    side = generator.info.native_size
    first = five = styles = grounds = real = 0
    missed = []
    for number, (name, style, background) in enumerate(triples):
        prompt = f"{article(STYLE_WORDS[style][0])} of {article(name)} on {article(background)}"
        job = GenerationJob(
            prompt=f"{prompt} background", seed=seed + number, width=side, height=side
        )
        picture = generator.generate(job)[0]
        seen = judge.see(picture)
        first += seen.concepts[0] == name
        five += name in seen.concepts
        styles += seen.style == style
        grounds += _ground_is(picture, background)
        if seen.concepts[0] != name:
            missed.append(f"{name} ({style}, {background}) seen as {seen.concepts[0]}")
        scene = Scene(concepts=(name,), layout="large", style=style, background=background)
        real += judge.see(draw(canvas, scene)).concepts[0] == name
    count = len(triples)
    return Score(
        count,
        first / count,
        five / count,
        styles / count,
        grounds / count,
        real / count,
        tuple(missed),
    )


def scene_accuracy(
    generator: Generator, judge: Judge, canvas: Canvas, *, count: int = 40, seed: int = 13
) -> dict[str, float]:
    """Return how often scenes other than one large thing are right, by sort.

    The judge looks into each cell where a thing should stand, and all must be right (``pair``,
    ``several``, ``small``); painted things must be seen, and have the mean colour of the true
    render, within 40 of 255.
    """
    rng = random.Random(seed)
    sorts: dict[str, tuple[Layout, ...]] = {
        "pair": ("pair",),
        "several": ("two", "three", "four"),
        "small": ("left", "right", "top", "bottom", "centre"),
        "painted": ("large",),
    }
    right: dict[str, float] = {}
    for sort, layouts in sorts.items():
        good = 0
        for number in range(count):
            scene = sample_scene(rng, layouts=layouts)
            paint = rng.choice(tuple(PAINTS)) if sort == "painted" else None
            scene = replace(scene, paint=paint)
            job = GenerationJob(prompt=describe(scene, rng), seed=number, width=256, height=256)
            picture = generator.generate(job)[0]
            if sort == "painted":
                true = np.asarray(draw(canvas, scene), dtype=np.float32)
                thing = np.abs(true - true[0, 0]).max(axis=-1) > _NEAR
                off = np.asarray(picture, dtype=np.float32)[thing].mean(0) - true[thing].mean(0)
                good += judge.see(picture).concepts[0] == scene.concepts[0] and bool(
                    np.abs(off).max() < _NEAR
                )
            else:
                good += _cells_show(judge, picture, scene)
        right[sort] = good / count
    return right


def _cells_show(judge: Judge, picture: Image.Image, scene: Scene) -> bool:
    scale = picture.width // CANVAS
    for place, (left, top) in enumerate(CELLS[scene.layout]):
        x, y, side = left * scale, top * scale, CELL * scale
        seen = judge.see(picture.crop((x, y, x + side, y + side)))
        if seen.concepts[0] != scene.concepts[place % len(scene.concepts)]:
            return False
    return True


def edit_accuracy(
    generator: Generator, judge: Judge, canvas: Canvas, *, count: int = 60, seed: int = 12
) -> dict[Kind, float]:
    """Return how often an edit of a single large thing does what was said, by kind.

    Right is: the thing that should be there (the new one after a swap) on the ground that should be
    there; after a change of style also the style. Whether paint, added and combined things are
    right is for a person to see.
    """
    rng = random.Random(seed)
    kinds: tuple[Kind, ...] = ("ground", "style", "swap")
    right: dict[Kind, float] = {}
    for kind in kinds:
        good = 0
        for number in range(count):
            example, target = _large(rng, kind)
            picture = generator.generate(edit_job(canvas, example, seed=number))[0]
            seen = judge.see(picture)
            good += (
                seen.concepts[0] == target.concepts[0]
                and _ground_is(picture, target.background)
                and (kind != "style" or seen.style == target.style)
            )
        right[kind] = good / count
    return right


def edit_job(canvas: Canvas, example: Example, *, seed: int) -> GenerationJob:
    """Return what a caller would send for an edit."""
    pictures = tuple(draw(canvas, scene) for scene in example.references)
    return GenerationJob(prompt=example.words[0], seed=seed, width=256, height=256, images=pictures)


def draw(canvas: Canvas, scene: Scene) -> Image.Image:
    """Return the true render of a scene, 256 pixels square."""
    picture = canvas.compose(rows_of([scene]))[0].add(1).mul(127.5).round().byte()
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


def _large(rng: random.Random, kind: Kind) -> tuple[Example, Scene]:
    while True:
        example = sample_example(rng, kind)
        if example.target.layout == "large":
            return example, example.target


def _ground_is(picture: Image.Image, background: str) -> bool:
    corner = np.asarray(picture.convert("RGB"))[:8, :8].reshape(-1, 3).mean(axis=0)
    return bool(np.abs(corner - BACKGROUNDS[background]).max() < _NEAR)
