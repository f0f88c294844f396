"""Measures the watermark methods side by side: quality, robustness, false positives, time.

    python -m benchmarks.pictures                    # fetch the pictures first
    python -m benchmarks.watermark                   # 200 held-out pictures: about two CPU hours
    python -m benchmarks.watermark --budget 540      # as much as fits into nine minutes; repeat
    python -m benchmarks.watermark --count 20        # a first look
    python -m benchmarks.watermark --render          # write the page from what was measured so far

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
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from benchmarks import watermark_page
from benchmarks.attacks import ATTACKS
from benchmarks.peers import register_peers
from benchmarks.pictures import HELD_OUT, TUNING, Named, drawn, load, pictures
from chopmark.errors import ChopmarkError
from chopmark.kit.pdq import pdq_hash
from chopmark.provenance.watermark import MarkKey, MarkResult, get_method, lattice
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice._code import PAYLOAD_BITS, encode
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import layout_of
from chopmark.provenance.watermark.lattice._statistic import TESTS, payload_vector, score

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = MarkKey(key_id="benchmark", secret=bytes(range(32)))
WRONG = MarkKey(key_id="wrong", secret=bytes(range(1, 33)))
PAYLOAD = bytes.fromhex("a3f09c1122334451")
# One picture in so many, and the greatest square root of the area, for methods that are slower.
SHARE = {
    "lattice": (1, 4096),
    "dwtDct": (8, 768),
    "dwtDctSvd": (8, 768),
    "blind-watermark": (25, 768),
    "rivaGan": (100, 512),
}
# In the averaging and the copying attack.
LEARNED, TRIED = 100, 40
TRIALS_AT_ONCE = 10_000
CACHE = Path.home() / ".cache" / "chopmark" / "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="pictures")
    parser.add_argument("--trials", type=int, default=100_000, help="random keys to try")
    parser.add_argument("--budget", type=float, default=math.inf, help="stop after these seconds")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, at most; one if others want the cores"
    )
    parser.add_argument("--tuning", action="store_true", help="the tuning pictures; no page")
    parser.add_argument("--only", default="", help="work whose name begins so: trials, averaging")
    parser.add_argument("--no-page", action="store_true", help="measure only")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--methods", nargs="*", default=list(SHARE), choices=list(SHARE))
    parser.add_argument("--results", type=Path, default=CACHE / "watermark.jsonl")
    options = parser.parse_args()
    if options.tuning and options.results == CACHE / "watermark.jsonl":
        options.results = CACHE / "watermark-tuning.jsonl"
    sources = TUNING if options.tuning else HELD_OUT
    chosen = pictures(sources)[: options.count]
    if not any(one.path for one in chosen):
        sys.exit("the pictures are not there: run `python -m benchmarks.pictures` first")
    if "blind-watermark" in options.methods:
        # Here and not in the workers: its import sets multiprocessing's start method, once.
        register_peers()
    state = _state()
    if not options.render:
        left = measure(work_for(options, chosen), options, state)
        print(f"{left} pieces of work left" if left else "all done", file=sys.stderr)
    if options.no_page:
        return
    rows = [row for row in _rows(options.results) if row["state"] == state]
    if options.tuning:
        print(watermark_page.text(rows))
    else:
        watermark_page.write(rows, command="python -m benchmarks.watermark")


def work_for(options: argparse.Namespace, chosen: list[Named]) -> dict[str, Callable[[], Any]]:
    """Return all pieces of work by name, in the order in which they are to be done."""
    work: dict[str, Callable[[], Any]] = {}
    _add_pictures(work, options, chosen, 0, 100)
    for start in range(0, options.trials, TRIALS_AT_ONCE):
        size = min(TRIALS_AT_ONCE, options.trials - start)
        work[f"trials {start}"] = partial(wrong_keys, chosen[:4], size, start)
    work["averaging"] = partial(averaging, chosen)
    work["copying"] = partial(copying, chosen)
    _add_pictures(work, options, chosen, 100, len(chosen))
    return work


def _add_pictures(
    work: dict[str, Callable[[], Any]],
    options: argparse.Namespace,
    chosen: list[Named],
    first: int,
    end: int,
) -> None:
    for number, named in enumerate(chosen[first:end], first):
        for method in options.methods:
            share, largest = SHARE[method]
            if number % share == 0:
                work[f"{method} {named.name}"] = partial(one_picture, method, named, largest)


def measure(work: dict[str, Callable[[], Any]], options: argparse.Namespace, state: str) -> int:
    """Do what is not done yet, keep each result as it comes, and return how much is left."""
    path: Path = options.results
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {row["name"] for row in _rows(path) if row["state"] == state}
    todo = {
        name: piece
        for name, piece in work.items()
        if name not in known and name.startswith(options.only)
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
    files += [Path(__file__).with_name(name) for name in ("attacks.py", "pictures.py")]
    trees = [ast.dump(ast.parse(file.read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256("".join(trees).encode()).hexdigest()[:16]


def one_picture(method: str, named: Named, largest: int) -> dict[str, Any]:
    """Mark one picture and try every attack on it."""
    cv2.setNumThreads(1)
    picture = _at_most(load(named), largest)
    watermarker = get_method(method)
    row: dict[str, Any] = {"method": method, "kind": named.kind, "size": list(picture.size)}
    row["tests"] = TESTS
    watermarker.embed(picture.crop((0, 0, 256, 256)), PAYLOAD, KEY)  # loads what it loads
    started = time.process_time()
    try:
        marked = watermarker.embed(picture, PAYLOAD, KEY)
    except ChopmarkError as error:
        return {**row, "error": error.code}
    row["encode_s"] = time.process_time() - started
    row["psnr"], row["ssim"] = psnr(picture, marked), ssim(picture, marked)
    outcomes, seconds = {}, {}
    for name, attack in ATTACKS.items():
        attacked = attack(marked)
        started = time.process_time()
        outcomes[name] = _log10_p(_look(method, attacked, KEY), PAYLOAD)
        seconds[name] = time.process_time() - started
    started = time.process_time()
    clean = _look(method, picture, KEY)
    seconds["unmarked"] = time.process_time() - started
    other = _look(method, marked, WRONG)
    return {
        **row,
        "log10_p": outcomes,
        "decode_s": seconds,
        "clean": [clean.detected, clean.details.get("z", 0)],
        "wrong_key": [other.detected, other.details.get("z", 0)],
    }


def _look(method: str, picture: Image.Image, key: MarkKey) -> MarkResult:
    # rivaGan can only confirm a payload it is told; that makes its task easier, not harder.
    candidates = [PAYLOAD] if method == "rivaGan" else None
    try:
        return get_method(method).detect(picture, key, candidates=candidates)
    except ChopmarkError:
        return MarkResult(detected=False, payload=None, p_value=1.0, method=method)


def _log10_p(result: MarkResult, payload: bytes) -> float:
    """log10 of the p-value if the right payload was detected, else 0."""
    right = result.detected and result.payload == payload
    return round(math.log10(max(result.p_value, 1e-300)), 2) if right else 0.0


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    factor = side / math.sqrt(picture.width * picture.height)
    if factor >= 1:
        return picture
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.LANCZOS)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Over all three channels, in dB."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-9)))


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Structural similarity, mean of the three channels.

    Wang et al. 2004: Gaussian window of 1.5, 11 x 11. Of all channels, because some peers mark
    colour alone.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    a, b = (np.asarray(picture, np.float32) for picture in (one, other))
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(index[5:-5, 5:-5].mean(dtype=np.float64))


def wrong_keys(chosen: list[Named], trials: int, seed: int) -> dict[str, Any]:
    """How often one payload test under a random key passes t, on unmarked pictures."""
    random = np.random.default_rng(seed)
    lumas = [luma_of(load(named)) for named in chosen] + [luma_of(drawn(seed)) for seed in (1, 3)]
    shown = [Tiles.of(residual(canonical(luma, 0))) for luma in lumas]
    statistics = np.empty(trials)
    for trial in range(trials):
        layout = layout_of(random.bytes(32))
        coefficients = shown[trial % len(shown)].at(layout.payload).sum(axis=0)
        word = encode(random.integers(0, 2, PAYLOAD_BITS).astype(np.uint8))
        entry = int(random.integers(0, len(layout.codebook)))
        values = layout.payload_values(entry, word)
        statistics[trial] = score(payload_vector(coefficients), values)
    levels = [1.0, 2.0, 3.0, 4.0]
    passing = [int((statistics >= level).sum()) for level in levels]
    return {
        "trials": trials,
        "levels": levels,
        "passing": passing,
        "largest": float(statistics.max()),
    }


def averaging(chosen: list[Named]) -> dict[str, Any]:
    """What 100 marks have in common, subtracted from others and stamped on unmarked pictures.

    The attacker is given more than a real one has: the unmarked originals of what is averaged.
    """
    cv2.setNumThreads(1)
    squares = [_square(load(named)) for named in chosen[: LEARNED + TRIED]]
    learned, tried = squares[:-TRIED], squares[-TRIED:]
    random = np.random.default_rng(9)
    method = get_method("lattice")
    differences = [
        np.asarray(method.embed(square, random.bytes(8), KEY), np.float32)
        - np.asarray(square, np.float32)
        for square in learned
    ]
    common = np.mean(differences, axis=0)
    marked = [(payload := random.bytes(8), method.embed(one, payload, KEY)) for one in tried]
    outcome: dict[str, Any] = {"learned": len(learned), "tried": len(tried)}
    for cost in (42, 39, 36):
        step = common * (255 * 10 ** (-cost / 20) / np.sqrt((common**2).mean()))
        survived = [
            method.detect(_moved(picture, -step), KEY).payload == payload
            for payload, picture in marked
        ]
        forged = [method.detect(_moved(picture, step), KEY).detected for picture in tried]
        outcome[f"{cost} dB"] = [sum(survived), sum(forged)]
    return outcome


def copying(chosen: list[Named]) -> dict[str, Any]:
    """A mark cut out of one picture, its original known, and laid on the next one."""
    cv2.setNumThreads(1)
    squares = [_square(load(named)) for named in chosen[: TRIED + 1]]
    random = np.random.default_rng(10)
    method = get_method("lattice")
    own, content, distance = [], [], []
    for source, victim in pairwise(squares):
        payload = random.bytes(8)
        marked = method.embed(source, payload, KEY)
        own.append(method.detect(marked, KEY).details["content_bits_agreeing"])
        mark = np.asarray(marked, np.float32) - np.asarray(source, np.float32)
        forged = _moved(victim, mark)
        found = method.detect(forged, KEY)
        if found.payload != payload:
            continue
        content.append(found.details["content_bits_agreeing"])
        hashes = [pdq_hash(np.asarray(picture))[0] for picture in (marked, forged)]
        distance.append(int((hashes[0] != hashes[1]).sum()))
    return {"tried": len(own), "own": own, "content": content, "distance": distance}


def _moved(picture: Image.Image, step: np.ndarray) -> Image.Image:
    values = np.asarray(picture, np.float32) + step
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((512, 512))


if __name__ == "__main__":
    main()
