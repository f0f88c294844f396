"""Train the tiny klein: ``python -m chopmark.generation.training.klein_run --out out/klein``.

Meant for one GPU and 25 minutes. Where a call may last ten minutes only, ``--minutes 9`` leaves
what it cannot finish to the next call of the same command, which goes on from ``OUT/state.pt``. The
last call writes ``OUT/embedded`` (packed weights, grids, model card), ready to take the place of
``generation/weights/embedded``. Needs the ``train`` extra; ``--cache`` may hold the npm tarballs
already, for a machine without a network.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions
from chopmark.generation.embedded import write_folder
from chopmark.generation.training import evaluate, klein
from chopmark.generation.training.data import PACKAGES, Sprites
from chopmark.generation.training.klein_data import Kind, sample_example
from chopmark.generation.training.klein_train import Schedule, Trainer
from chopmark.generation.training.vocabulary import BACKGROUNDS, CONCEPTS, STYLE_SETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation.training.klein_data import Example

#: What a test and a laptop can do: every line of the way, and no picture worth looking at.
SMOKE: Final = (
    klein.KleinConfig(
        native_size=256,
        double_blocks=1,
        single_blocks=1,
        heads=2,
        head_width=16,
        latent_channels=4,
        encoder_widths=(8, 8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        version="smoke",
    ),
    Schedule(steps=2, batch=(2, 2, 2, 2), device="cpu"),
)
GPU: Final = (klein.KleinConfig(), Schedule())


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", choices=("gpu", "smoke"), default="gpu")
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and result")
    parser.add_argument("--cache", type=Path, help="folder with npm tarballs (default: OUT/npm)")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of this call at most")
    parser.add_argument("--device", help="torch device (default: the preset's)")
    options = parser.parse_args()
    config, schedule = GPU if options.preset == "gpu" else SMOKE
    if options.device:
        schedule = dataclasses.replace(schedule, device=options.device)
    cache = options.cache or options.out / "npm"
    drawers = (Sprites(cache), Sprites(cache, scale=2))
    train_and_export(options.out, config, schedule, drawers, minutes=options.minutes)


def train_and_export(
    out: Path,
    config: klein.KleinConfig,
    schedule: Schedule,
    drawers: tuple[Any, Any],
    *,
    minutes: float,
) -> bool:
    """Train as long as there is time; when all is done, export and measure.

    Returns:
        whether the model is finished.
    """
    until = time.monotonic() + 60.0 * minutes
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("a", encoding="utf-8") as lines:

        def log(line: str) -> None:
            line = f"{time.strftime('%H:%M:%S')} {line}"
            print(line, flush=True)
            print(line, file=lines, flush=True)

        log(json.dumps({**klein.describe_config(config), **dataclasses.asdict(schedule)}))
        pipeline = klein.build(config)
        trainer = Trainer(pipeline, drawers, schedule, state=out / "state.pt", log=log)
        if not trainer.run(until=until):
            return False
        pipeline.to("cpu")
        size = klein.export(pipeline, out / "embedded", config)
        log(f"packed weights: {size / 2**20:.1f} MiB")
        measure(out, schedule, drawers, log)
    return True


def measure(
    out: Path, schedule: Schedule, drawers: tuple[Any, Any], log: Callable[[str], None]
) -> None:
    """Load the export as anybody would, draw its grids, let the judge look, write the card."""
    shutil.rmtree(out / "plain", ignore_errors=True)
    write_folder(out / "embedded", out / "plain")
    options = LoadOptions(device=schedule.device, dtype="float32", quantization="none")
    generator = DiffusersGenerator.load(out / "plain", name="embedded", options=options)
    quick = schedule.steps is not None
    prompts = evaluate.PROMPTS[:2] if quick else evaluate.PROMPTS
    evaluate.draw_grid(generator, prompts, out / "embedded" / "grid.png")
    judge = evaluate.train_judge(drawers[0], steps=3 if quick else 1500, log=log)
    score = evaluate.concept_accuracy(generator, judge, drawers[0], limit=2 if quick else 200)
    edits = edit_accuracy(generator, judge, drawers[1], out / "embedded", count=1 if quick else 60)
    log(json.dumps({**dataclasses.asdict(score), "edits": edits}))
    (out / "score.json").write_text(
        json.dumps({**dataclasses.asdict(score), "edits": edits}, indent=2) + "\n", "utf-8"
    )
    (out / "embedded" / "MODEL_CARD.md").write_text(card(score, edits, generator), "utf-8")


def edit_accuracy(
    generator: DiffusersGenerator,
    judge: evaluate.Judge,
    drawer: Any,
    folder: Path,
    *,
    count: int,
) -> dict[str, float]:
    """Return how often an edit of each kind does what was said; draws ``edits.png`` as well.

    A swap is right if the judge sees the new thing, a recolour if it still sees the old thing on a
    ground within 40 of 255 of the asked colour. Add and combine are only drawn, for a person.
    """
    names = [concept.name for concept in CONCEPTS]
    rng = random.Random(11)
    right: dict[str, float] = {}
    shown: list[list[Image.Image]] = []
    kinds: tuple[Kind, ...] = ("swap", "recolour", "add", "combine")
    for kind in kinds:
        good = 0
        for number in range(count):
            example = _large(rng, kind)
            before = [Image.fromarray(drawer.compose(scene)) for scene in example.references]
            job = GenerationJob(
                prompt=example.words, seed=number, width=256, height=256, images=tuple(before)
            )
            after = generator.generate(job)[0]
            if number < 3:
                blank = [Image.new("RGB", (256, 256), "white")] * (2 - len(before))
                shown.append([*before, *blank, after])
            seen = names[evaluate.see(judge, after)]
            colour = np.asarray(after)[:8, :8].reshape(-1, 3).mean(axis=0)
            ground = np.abs(colour - BACKGROUNDS[example.target.background]).max() < 40
            good += seen == example.target.concepts[0] and (kind == "swap" or bool(ground))
        if kind in {"swap", "recolour"}:
            right[kind] = good / count
    _sheet(shown).save(folder / "edits.png", optimize=True)
    return right


def _large(rng: random.Random, kind: Kind) -> Example:
    while True:
        example = sample_example(rng, kind)
        if kind in {"add", "combine"} or example.target.layout == "large":
            return example


def _sheet(rows: list[list[Image.Image]], side: int = 128) -> Image.Image:
    sheet = Image.new("RGB", (3 * side, len(rows) * side), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture.resize((side, side)), (x * side, y * side))
    return sheet


def card(score: evaluate.Score, edits: dict[str, float], generator: DiffusersGenerator) -> str:
    """Return the model card, with what was measured and nothing else."""
    info = generator.info
    packages = "\n".join(
        f"- {p.name} {p.version}, {p.licence}, {p.source}, SHA-256 `{p.sha256}`"
        for p in (PACKAGES[name] for name in STYLE_SETS.values())
    )
    changed = "\n".join(
        f"| edits ({kind}) that do what was said, by the judge | {100 * share:.0f} % |"
        for kind, share in edits.items()
    )
    return f"""# Chopmark embedded model, version {info.version}

A tiny FLUX.2 klein (stock `Flux2KleinPipeline`), {info.default_steps} steps,
{info.native_size} px. Text to image, edits with one reference, two references joined.

![prompts of the card](grid.png)
![edits: references and result](edits.png)

| measured | |
|---|---|
| held-out (concept, style, background) triples | {score.asked} |
| the judge sees the asked concept | {100 * score.first:.1f} % |
| among its first five | {100 * score.first_five:.1f} % |
| the judge on real renders of the same | {100 * score.real:.1f} % |
{changed}

It knows {len(CONCEPTS)} things on {len(BACKGROUNDS)} grounds and draws nothing else: no people,
no text, no photographs.

Made by `python -m chopmark.generation.training.klein_run` from these drawings:

{packages}

The text encoder is all-MiniLM-L6-v2 (Apache-2.0), unchanged. Weights: Apache-2.0.
"""


if __name__ == "__main__":
    main()
