"""What the model can do: a grid of prompts to look at, and a judge that never saw its pictures.

The judge is a small classifier of concepts, trained on real renders only, apart from the generator.
It is asked about generated pictures of combinations of concept, style and background that the
generator's training left out. To run both::

    python -m chopmark.generation.training.evaluate --out DIR
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from chopmark.generation.interface import GenerationJob
from chopmark.generation.loading import load_generator
from chopmark.generation.training.captions import Scene, article, held_out
from chopmark.generation.training.data import Sprites
from chopmark.generation.training.vocabulary import (
    BACKGROUNDS,
    CONCEPTS,
    STYLE_SETS,
    STYLE_WORDS,
    Style,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.generation.interface import Generator
    from chopmark.generation.training.klein_data import Draws

#: The prompts of the grid in the model card.
PROMPTS: Final = (
    "a red apple",
    "a cat",
    "a puppy",
    "a frog",
    "a banana",
    "a slice of pizza",
    "a rose",
    "a whale",
    "a car",
    "a house",
    "a guitar",
    "a hamburger",
    "a lion, flat icon",
    "a cartoon of a fox",
    "an octopus on a blue background",
    "a cactus on a pink background",
    "a tiger on a green background",
    "a carrot on a yellow background",
    "a cup of coffee",
    "a sailboat",
    "two apples",
    "three stars on a blue background",
    "a cat and a dog",
    "a small rocket on the left",
)
_SIDE: Final = 64


def draw_grid(
    generator: Generator,
    prompts: Sequence[str],
    file: Path,
    *,
    columns: int = 6,
    side: int = 192,
    seed: int = 1,
) -> None:
    """Write a picture of all ``prompts``, drawn with the model's defaults and one seed."""
    rows = -(-len(prompts) // columns)
    grid = Image.new("RGB", (columns * side, rows * side), "white")
    for index, prompt in enumerate(prompts):
        job = GenerationJob(prompt=prompt, seed=seed, width=side, height=side)
        row, column = divmod(index, columns)
        grid.paste(generator.generate(job)[0], (column * side, row * side))
    grid.save(file, optimize=True)


class Judge(nn.Module):
    """Classifier of concepts for pictures of shape (n, 3, 64, 64) in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 96), (96, 128)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(128 * 16, len(CONCEPTS))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return one logit for each concept, in the order of the vocabulary."""
        features = self.features(pictures).flatten(1)
        scores: Tensor = self.head(functional.dropout(features, 0.3, self.training))
        return scores


def _small(picture: Image.Image) -> Tensor:
    array = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(array).permute(2, 0, 1) / 127.5 - 1.0


def train_judge(
    sprites: Draws, *, steps: int = 1500, seed: int = 1, log: Callable[[str], None] = print
) -> Judge:
    """Train a judge on renders of single large things, shifted, blurred and tinted at random."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    index = {concept.name: number for number, concept in enumerate(CONCEPTS)}
    renders: list[Tensor] = []
    labels: list[int] = []
    for name, label in index.items():
        for style in STYLE_SETS:
            for background in BACKGROUNDS:
                scene = Scene(concepts=(name,), layout="large", style=style, background=background)
                renders.append(_small(Image.fromarray(sprites.compose(scene))))
                labels.append(label)
    pictures, truth = torch.stack(renders), torch.tensor(labels)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(pictures), (48,))
        batch = _disturb(pictures[chosen], rng)
        loss = functional.cross_entropy(judge(batch), truth[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            log(f"judge step {step} loss {loss.item():.3f}")
    return judge.eval()


def see(judge: Judge, picture: Image.Image) -> int:
    """Return which concept of the vocabulary the judge sees in a picture."""
    with torch.no_grad():
        return int(judge(_small(picture)[None])[0].argmax())


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
    """How often the judge sees what was asked for, in 0 to 1."""

    asked: int
    first: float
    first_five: float
    real: float
    missed: tuple[str, ...]


def held_out_triples() -> list[tuple[str, Style, str]]:
    """Return every combination of concept, style and background that training left out."""
    return [
        (concept.name, style, background)
        for concept in CONCEPTS
        for style in STYLE_SETS
        for background in BACKGROUNDS
        if held_out(concept.name, style, background)
    ]


@torch.no_grad()
def concept_accuracy(
    generator: Generator, judge: Judge, sprites: Draws, *, limit: int = 200, seed: int = 11
) -> Score:
    """Ask the judge about generated pictures of held-out combinations, and about their renders."""
    triples = held_out_triples()
    random.Random(seed).shuffle(triples)
    triples = triples[:limit]
    names = [concept.name for concept in CONCEPTS]
    side = generator.info.native_size
    first = five = real = 0
    missed = []
    for number, (name, style, background) in enumerate(triples):
        prompt = f"{article(STYLE_WORDS[style][0])} of {article(name)} on a {background} background"
        job = GenerationJob(prompt=prompt, seed=seed + number, width=side, height=side)
        ranks = judge(_small(generator.generate(job)[0])[None])[0].argsort(descending=True).tolist()
        first += ranks[0] == names.index(name)
        five += names.index(name) in ranks[:5]
        if ranks[0] != names.index(name):
            missed.append(f"{name} ({style}, {background}) seen as {names[ranks[0]]}")
        scene = Scene(concepts=(name,), layout="large", style=style, background=background)
        render = _small(Image.fromarray(sprites.compose(scene)))
        real += int(judge(render[None])[0].argmax()) == names.index(name)
    count = len(triples)
    return Score(count, first / count, five / count, real / count, tuple(missed))


def main() -> None:
    """Draw the grid of the model card and measure the committed model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for grid.png and score.json"
    )
    parser.add_argument("--home", type=Path, help="where the model is unpacked (default: OUT)")
    parser.add_argument("--cache", type=Path, help="folder for npm packages (default: OUT/npm)")
    parser.add_argument("--grid-only", action="store_true", help="draw, but do not measure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(home=options.home or options.out)
    draw_grid(generator, PROMPTS, options.out / "grid.png")
    if options.grid_only:
        return
    sprites = Sprites(options.cache or options.out / "npm")
    score = concept_accuracy(generator, train_judge(sprites), sprites)
    text = json.dumps(asdict(score), indent=2)
    print(text)
    (options.out / "score.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
