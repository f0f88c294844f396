"""Draws the grids of a trained model, asks the judge, and writes the model card."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from typing import TYPE_CHECKING

from PIL import Image
from safetensors.torch import load_file, save_file

from chopmark.generation.diffusers_engine import DiffusersGenerator
from chopmark.generation.embedded import write_folder
from chopmark.generation.interface import GenerationJob
from training.generation import evaluate
from training.generation.canvas import Canvas
from training.generation.edits import KINDS, sample_example
from training.generation.prepare import PROMPTS, SPRITES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.generation.interface import Generator


def measure(
    data: Path,
    out: Path,
    *,
    judge_steps: int = 3000,
    triples: int = 300,
    edits: int = 60,
    prompts: Sequence[str] = PROMPTS,
) -> None:
    """Load ``out/embedded`` as anybody would; leave grids in it and ``score.json`` in ``out``.

    Args:
        data: folder with the sprites.
        out: folder of the training run.
        judge_steps: how long the judge learns.
        triples: held-out combinations to ask for.
        edits: of each kind to ask for, and scenes of each sort.
        prompts: of the grid.
    """
    canvas = Canvas.load(data / SPRITES)
    shutil.rmtree(out / "plain", ignore_errors=True)
    write_folder(out / "embedded", out / "plain")
    generator = DiffusersGenerator.load(out / "plain", name="embedded")
    draw_grid(generator, prompts, out / "embedded" / "grid.png")
    draw_edits(generator, canvas, out / "embedded" / "edits.png")
    judge = _judge(canvas, out / "judge.safetensors", judge_steps)
    score = evaluate.concept_accuracy(generator, judge, canvas, limit=triples)
    scenes = evaluate.scene_accuracy(generator, judge, canvas, count=edits)
    changes = evaluate.edit_accuracy(generator, judge, canvas, count=edits)
    found = {**dataclasses.asdict(score), "scenes": scenes, "edits": changes}
    text = json.dumps(found, indent=2)
    print(text)
    (out / "score.json").write_text(text + "\n", "utf-8")


def _judge(canvas: Canvas, file: Path, steps: int) -> evaluate.Judge:
    """Return the judge of this run, trained if it is not there yet."""
    if not file.exists():
        save_file(evaluate.train_judge(canvas, steps=steps).state_dict(), file)
    judge = evaluate.Judge()
    judge.load_state_dict(load_file(file))
    return judge.eval()


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
    native = generator.info.native_size
    rows = -(-len(prompts) // columns)
    grid = Image.new("RGB", (columns * side, rows * side), "white")
    for index, prompt in enumerate(prompts):
        job = GenerationJob(prompt=prompt, seed=seed, width=native, height=native)
        row, column = divmod(index, columns)
        picture = generator.generate(job)[0].resize((side, side), Image.Resampling.LANCZOS)
        grid.paste(picture, (column * side, row * side))
    grid.save(file, optimize=True)


def draw_edits(
    generator: Generator, canvas: Canvas, file: Path, *, each: int = 2, side: int = 144
) -> None:
    """Write a picture of edits of every kind: what was given, then what came back."""
    rng = random.Random(4)
    cells: list[list[Image.Image]] = []
    for kind in KINDS[1:]:
        for number in range(each):
            example = sample_example(rng, kind)
            job = evaluate.edit_job(canvas, example, seed=number)
            blank = [Image.new("RGB", (side, side), "white")] * (2 - len(job.images))
            cells.append([*blank, *job.images, generator.generate(job)[0]])
            print(f"{kind}: {example.words[0]}")
    sheet = Image.new("RGB", (3 * each * side + 24 * (each - 1), len(KINDS[1:]) * side), "white")
    for number, row in enumerate(cells):
        y, place = divmod(number, each)
        for x, picture in enumerate(row):
            left = place * (3 * side + 24) + x * side
            sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (left, y * side))
    sheet.save(file, optimize=True)
