"""Measures the watermark methods side by side: quality, robustness, false positives, time.

    python -m benchmarks.pictures                      # fetch the pictures first
    python -m benchmarks.watermark --write             # all of it: about two CPU hours
    python -m benchmarks.watermark --budget 540        # as much as fits into nine minutes; repeat
    python -m benchmarks.watermark --only own          # work whose name begins so
    python -m benchmarks.watermark --sheets            # docs/watermark-sheet.jpg, to look at
    python -m benchmarks.watermark --render --write    # the page from what was measured so far

Each finished piece of work is one line in ``--results``, so a run that was stopped goes on where it
was. Lines of another state of the method or of the attacks (a digest) are not mixed in.
``benchmarks/watermark_page.py`` turns the lines into the page and the plot.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import watermark_page
from benchmarks.peers import register_peers
from benchmarks.pictures import HELD_OUT, pictures
from benchmarks.watermark_curve import curve
from benchmarks.watermark_forgery import averaging, copying, looks, wrong_keys
from benchmarks.watermark_marked import attacked
from benchmarks.watermark_sets import FLATS, OWN, subjects
from chopmark.provenance.watermark import lattice

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pictures import Named
    from benchmarks.watermark_sets import Subject

# One picture in so many, and the greatest square root of the area, for methods that are slower.
SHARE = {
    "lattice": (1, 4096),
    "dwtDct": (8, 768),
    "dwtDctSvd": (8, 768),
    "blind-watermark": (25, 768),
    "rivaGan": (100, 512),
}
# One picture in so many goes through the embedded model, which takes ten seconds of CPU.
REGENERATED = {"own": 1, "flat": 4, "natural": 4}
# So many pictures of each kind come before all else.
FIRST = 4
TRIALS_AT_ONCE = 10_000
LOOKS_AT_ONCE = 100
PAIRS, PAIRS_AT_ONCE = 500, 50
CACHE = Path.home() / ".cache" / "chopmark" / "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="photographs and other pictures")
    parser.add_argument("--own", type=int, default=len(OWN), help="pictures of our own")
    parser.add_argument("--flat", type=int, default=FLATS, help="flat graphics")
    parser.add_argument("--low-band", type=int, default=4, help="pictures of that experiment")
    parser.add_argument("--noise", type=int, default=3, help="prompts of that experiment")
    parser.add_argument("--curves", type=int, default=4, help="pictures of each kind: rate on dB")
    parser.add_argument("--sheets", action="store_true", help="only draw docs/watermark-sheet.jpg")
    parser.add_argument("--trials", type=int, default=100_000, help="random keys to try")
    parser.add_argument("--looks", type=int, default=10_000, help="looks at unmarked pictures")
    parser.add_argument("--budget", type=float, default=math.inf, help="stop after these seconds")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, at most; one if others want the cores"
    )
    parser.add_argument("--only", default="", help="work whose name begins so: trials, own, looks")
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--methods", nargs="*", default=list(SHARE), choices=list(SHARE))
    parser.add_argument("--results", type=Path, default=CACHE / "watermark.jsonl")
    options = parser.parse_args()
    if not any(one.path for one in pictures(HELD_OUT)):
        sys.exit("the pictures are not there: run `python -m benchmarks.pictures` first")
    if "blind-watermark" in options.methods and not options.render:
        # Here and not in the workers: its import sets multiprocessing's start method, once.
        register_peers()
    if options.sheets:
        from benchmarks.watermark_sheets import draw_sheet

        draw_sheet(watermark_page.SHEET)
        return
    state = _state()
    if not options.render:
        left = measure(work_for(options), options, state)
        print(f"{left} pieces of work left" if left else "all done", file=sys.stderr)
    rows = [row for row in _rows(options.results) if row["state"] == state]
    if not any(row.get("kind") == "natural" and "psnr" in row for row in rows):
        sys.exit("no photograph was measured yet in this state of the method and the attacks")
    if options.write:
        watermark_page.write(rows, command="python -m benchmarks.watermark --write")
    else:
        print(watermark_page.text(rows))


def work_for(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return all pieces of work by name, in the order in which they are to be done."""
    everything = subjects(options.own, options.flat, options.count)
    everything.sort(key=lambda subject: subject.number)  # all kinds, however soon it is stopped
    held_out = pictures(HELD_OUT)
    all_of_them = subjects(len(OWN), FLATS, len(held_out))
    work: dict[str, Callable[[], Any]] = {}
    for subject in everything:
        if subject.number == FIRST:
            _add_others(work, options, held_out, all_of_them)
        for method in options.methods:
            share, largest = SHARE[method]
            if subject.number % share or (method != "lattice" and subject.kind != "natural"):
                continue
            again = method == "lattice" and subject.number % REGENERATED[subject.kind] == 0
            piece = partial(attacked, method, subject, largest, regenerated=again)
            work[f"{method} {subject.name}"] = piece
    _add_others(work, options, held_out, all_of_them)
    for start in range(0, options.looks, LOOKS_AT_ONCE):
        work[f"looks {start}"] = partial(looks, all_of_them, LOOKS_AT_ONCE, start)
    return work


def _add_others(
    work: dict[str, Callable[[], Any]],
    options: argparse.Namespace,
    held_out: list[Named],
    everything: list[Subject],
) -> None:
    """Add what is not one picture's; does nothing the second time."""
    for number in range(options.low_band):
        work[f"low band {number}"] = partial(_low_band, number)
    for number in range(options.noise):
        work[f"noise {number}"] = partial(_noise, number)
    for subject in subjects(options.curves, options.curves, options.curves):
        work[f"curve {subject.name}"] = partial(curve, subject)
    for number, start in enumerate(range(0, PAIRS, PAIRS_AT_ONCE)):
        # Every tenth, so that each piece has all kinds; what is too few goes round.
        some = (everything[number :: PAIRS // PAIRS_AT_ONCE] * 3)[:PAIRS_AT_ONCE]
        work[f"copying {start}"] = partial(copying, some, number)
    for start in range(0, options.trials, TRIALS_AT_ONCE):
        size = min(TRIALS_AT_ONCE, options.trials - start)
        work[f"trials {start}"] = partial(wrong_keys, held_out[:4], size, start)
    work["averaging"] = partial(averaging, held_out)


def _low_band(number: int) -> dict[str, Any]:
    from benchmarks import watermark_low_band  # loads torch, which --render does without

    return watermark_low_band.curve(number)


def _noise(number: int) -> dict[str, Any]:
    from benchmarks import watermark_latent  # likewise

    return watermark_latent.noise_left(number)


def measure(work: dict[str, Callable[[], Any]], options: argparse.Namespace, state: str) -> int:
    """Do what is not done yet, keep each result as it comes, and return how much is left."""
    path: Path = options.results
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {row["name"] for row in _rows(path) if row["state"] == state}
    todo = {
        name: piece
        for name, piece in work.items()
        if name not in known and name.removeprefix("lattice ").startswith(options.only)
    }
    print(f"{len(todo)} of {len(work)} pieces of work to do", file=sys.stderr)
    until = time.monotonic() + options.budget
    left = iter(list(todo.items()))
    with ProcessPoolExecutor(options.workers) as pool, path.open("a", encoding="utf-8") as file:
        running = {pool.submit(piece): name for name, piece in islice(left, options.workers)}
        while running:
            done = next(as_completed(running))
            name = running.pop(done)
            row = {"name": name, "state": state, **done.result()}
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"done: {name}", file=sys.stderr, flush=True)
            todo.pop(name)
            if time.monotonic() < until:
                wanted = options.workers if _idle(len(running)) else 1
                for following, piece in islice(left, max(0, wanted - len(running))):
                    running[pool.submit(piece)] = following
    return len(todo)


def _idle(ours: int) -> bool:
    """Whether nothing but this program and ``ours`` of its workers wants to run now."""
    runnable = Path("/proc/loadavg").read_text(encoding="ascii").split()[3]
    return int(runnable.partition("/")[0]) <= 1 + ours


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _state() -> str:
    """A digest of what strikes marks and attacks pictures, comments left out.

    The detector is not in it: a line keeps its p-values and how many tests they count.
    """
    folder = Path(lattice.__file__).parent
    files = [
        folder / f"_{name}.py" for name in ("soft_binding", "code", "embed", "frame", "layout")
    ]
    own = ("attacks", "situations", "regeneration", "pictures", "watermark_sets")
    files += [Path(__file__).with_name(f"{name}.py") for name in own]
    trees = [ast.dump(ast.parse(file.read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256("".join(trees).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
