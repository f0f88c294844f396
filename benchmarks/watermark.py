"""Measures the watermark methods side by side: quality, robustness, false positives, time.

    python -m benchmarks.watermark                 # 10 pictures, less than ten minutes on one core
    python -m benchmarks.watermark --fetch --full  # 200 held-out pictures, hours
    python -m benchmarks.watermark --render        # write the page from what was measured so far

Each finished picture is one line in ``--results``; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.attacks import ATTACKS
from benchmarks.pictures import drawn, fetch, held_out
from benchmarks.report import PAGE, write_section
from chopmark.errors import ChopmarkError
from chopmark.provenance.watermark import MarkKey, MarkResult, get_method
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice._code import PAYLOAD_BITS, encode
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import layout_of
from chopmark.provenance.watermark.lattice._statistic import payload_vector, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY = MarkKey(key_id="benchmark", secret=bytes(range(32)))
WRONG = MarkKey(key_id="wrong", secret=bytes(range(1, 33)))
PAYLOAD = bytes.fromhex("a3f09c1122334451")
# One picture in so many, and the greatest side, for methods that are too slow for all.
SHARE = {"lattice": (1, 4096), "dwtDct": (5, 1024), "dwtDctSvd": (5, 1024), "rivaGan": (50, 512)}
PLOT = PAGE.parent / "watermark.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10, help="pictures")
    parser.add_argument("--trials", type=int, default=2_000, help="random keys to try")
    parser.add_argument("--full", action="store_true", help="200 pictures, 100,000 trials")
    parser.add_argument("--fetch", action="store_true", help="get the held-out packages first")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--methods", nargs="*", default=list(SHARE), choices=list(SHARE))
    cache = Path.home() / ".cache" / "chopmark" / "benchmark"
    parser.add_argument("--pictures", type=Path, default=cache / "pictures")
    parser.add_argument("--results", type=Path, default=cache / "watermark.jsonl")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    count, trials = (200, 100_000) if options.full else (options.count, options.trials)
    if options.fetch:
        fetch(options.pictures)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if not options.render:
        measure(options, count, trials)
    lines = options.results.read_text(encoding="utf-8").splitlines()
    render([json.loads(line) for line in lines])


def measure(options: argparse.Namespace, count: int, trials: int) -> None:
    path: Path = options.results
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    done = {(row["kind"], row.get("method"), row.get("number")) for row in map(json.loads, known)}

    def keep(kind: str, work: Callable[[], dict[str, Any]], **names: object) -> None:
        if (kind, names.get("method"), names.get("number")) in done:
            return
        row = {"kind": kind, **names, **work()}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(kind, *names.values(), flush=True)

    for number, (name, picture) in enumerate(held_out(options.pictures, count)):
        for method in options.methods:
            share, largest = SHARE[method]
            if number % share:
                continue
            fitted = _at_most(picture, largest)
            work = partial(one_picture, method, fitted)
            keep("picture", work, method=method, number=number, name=name)
    keep("trials", lambda: wrong_keys(trials))
    keep("averaging", lambda: averaging(options.pictures, 100, 20))


def one_picture(method: str, picture: Image.Image) -> dict[str, Any]:
    """Mark one picture and try every attack on it."""
    watermarker = get_method(method)
    row: dict[str, Any] = {"size": list(picture.size)}
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
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return smaller


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-9)))


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Structural similarity of the lumas (Wang et al. 2004: Gaussian window of 1.5, 11 x 11)."""

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    a, b = (np.asarray(picture.convert("L"), np.float64) for picture in (one, other))
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(index[5:-5, 5:-5].mean())


def wrong_keys(trials: int) -> dict[str, Any]:
    """How often one test under a random key passes t, beside the bound exp(-t^2 / 2)."""
    random = np.random.default_rng(5)
    planes = [residual(canonical(luma_of(drawn(seed)), 0)) for seed in (1, 3, 5, 7)]
    pictures = [Tiles.of(plane) for plane in planes]
    largest = np.empty(trials)
    for trial in range(trials):
        layout = layout_of(random.bytes(32))
        coefficients = pictures[trial % 4].at(layout.payload).sum(axis=0)
        word = encode(random.integers(0, 2, PAYLOAD_BITS).astype(np.uint8))
        entry = int(random.integers(0, len(layout.codebook)))
        vector = payload_vector(coefficients)
        largest[trial] = score(vector, layout.payload_values(entry, word))
    levels = (1.0, 2.0, 3.0, 4.0)
    return {
        "trials": trials,
        "levels": levels,
        "seen": [float((largest >= level).mean()) for level in levels],
        "bound": [math.exp(-level * level / 2) for level in levels],
        "largest": float(largest.max()),
    }


def averaging(folder: Path, learned: int, tried: int) -> dict[str, Any]:
    """Average what 100 marks have in common, subtract it from others at a cost under 40 dB.

    The attacker is given more than a real one has: the unmarked originals of what is averaged.
    """
    squares = [_square(picture) for _, picture in held_out(folder, learned + tried)]
    random = np.random.default_rng(9)
    lattice = get_method("lattice")
    marks = []
    for square in squares:
        payload = random.bytes(8)
        marks.append((payload, lattice.embed(square, payload, KEY)))
    differences = [
        np.asarray(marked, np.float32) - np.asarray(square, np.float32)
        for square, (_, marked) in zip(squares[:learned], marks[:learned], strict=True)
    ]
    common = np.mean(differences, axis=0)
    outcome: dict[str, Any] = {"learned": learned, "tried": tried}
    for cost in (42, 39, 36):
        strength = 255 * 10 ** (-cost / 20) / np.sqrt((common**2).mean())
        found = 0
        for payload, marked in marks[learned:]:
            values = np.asarray(marked, np.float32) - strength * common
            attacked = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
            found += lattice.detect(attacked, KEY).payload == payload
        outcome[f"{cost} dB"] = found / tried
    return outcome


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((512, 512))


def render(rows: list[dict[str, Any]]) -> None:
    """Write the section of the page and the plot."""
    by_method: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "picture":
            by_method[row["method"]].append(row)
    shown = {name: rows for name, rows in by_method.items() if any("psnr" in r for r in rows)}
    rates = {name: _rates(rows) for name, rows in shown.items()}
    text = [
        _quality(shown),
        "Share of pictures whose exact 64-bit id is read with p <= 1e-9:\n",
        _table(["attack", *rates], ([a, *(_percent(rates[m][a]) for m in rates)] for a in ATTACKS)),
        f"![exact-id rates]({PLOT.name})",
        _prose(rows, shown),
    ]
    write_section("watermark", "\n\n".join(text), command="python -m benchmarks.watermark")
    plot(rates)


def _rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    read = [row["log10_p"] for row in rows if "log10_p" in row]
    # A picture that could not be marked counts as lost under every attack.
    return {name: sum(one.get(name, 0) <= -9 for one in read) / len(rows) for name in ATTACKS}


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %" if 0 < rate < 1 else f"{100 * rate:.0f} %"


def _quality(shown: dict[str, list[dict[str, Any]]]) -> str:
    table = []
    for name, rows in shown.items():
        good = [row for row in rows if "psnr" in row]
        megapixels = [row["size"][0] * row["size"][1] / 1e6 for row in good]
        psnrs = [row["psnr"] for row in good]
        encode_ms = 1e3 * sum(row["encode_s"] for row in good) / sum(megapixels)

        def decode_ms(attack: str, good: list[dict[str, Any]] = good) -> str:
            return f"{1e3 * float(np.median([row['decode_s'][attack] for row in good])):.0f}"

        table.append(
            [
                name,
                f"{len(good)} of {len(rows)}",
                f"{np.mean(psnrs):.1f} ({min(psnrs):.1f})",
                f"{np.mean([row['ssim'] for row in good]):.4f}",
                f"{encode_ms:.0f}",
                decode_ms("none"),
                decode_ms("rotate -5"),
                decode_ms("unmarked"),
            ]
        )
    head = ["method", "marked", "PSNR mean (least)", "SSIM", "encode ms/MP"]
    return _table([*head, "decode ms: aligned", "turned", "unmarked (medians)"], table)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _prose(rows: list[dict[str, Any]], shown: dict[str, list[dict[str, Any]]]) -> str:
    parts = []
    sizes = [row["size"] for row in shown.get("lattice", [])]
    if sizes:
        sides = [math.sqrt(width * height) for width, height in sizes]
        parts.append(
            f"lattice: {len(sizes)} held-out pictures, {min(sides):.0f} to {max(sides):.0f} pixels "
            "(square root of the area), one in five drawn by script (flat art, gradients), the "
            "rest desktop photographs and illustrations; which is which, and what tuning saw, "
            "stands in `benchmarks/pictures.py`. The slower peers ran on one picture in "
            + ", ".join(f"{share} ({name})" for name, (share, _) in SHARE.items() if share > 1)
            + "; rivaGan, with 32 bits, was told the payload to confirm. blind-watermark was not "
            "in the package index of this machine, and was not run."
        )
        looks = [row[kind] for row in shown["lattice"] for kind in ("clean", "wrong_key")]
        parts.append(
            f"False positives of the whole detector: {sum(hit for hit, _ in looks)} in "
            f"{len(looks)} looks (unmarked pictures, and marked ones under a wrong key); the "
            f"largest statistic was z = {max(z for _, z in looks):.1f}, detection needs 11.6."
        )
    for row in rows:
        if row["kind"] == "trials":
            pairs = ", ".join(
                f"t = {level:.0f}: {seen:.2e} (bound {bound:.2e})"
                for level, seen, bound in zip(row["levels"], row["seen"], row["bound"], strict=True)
            )
            parts.append(
                f"One test under {row['trials']:,} random keys, share of z >= t: {pairs}; largest "
                f"z = {row['largest']:.2f}."
            )
        if row["kind"] == "averaging":
            costs = ", ".join(f"{k}: {_percent(v)}" for k, v in row.items() if k.endswith("dB"))
            parts.append(
                f"Averaging attack: what {row['learned']} marks have in common (their originals "
                f"known to the attacker) subtracted from {row['tried']} others, by what it costs "
                f"them; exact ids that survive: {costs}."
            )
    parts.append(
        "Not tested, because no such model was at hand: regeneration by a diffusion model or VAE, "
        "and printing and photographing."
    )
    return "\n\n".join(parts)


def plot(rates: dict[str, dict[str, float]]) -> None:
    """Draw the table of rates as a picture: dark green is 1, white is 0."""
    font = ImageFont.load_default(14)
    left, cell, line, top = 270, 110, 22, 40
    size = left + cell * len(rates) + 10, top + line * len(ATTACKS) + 10
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for column, method in enumerate(rates):
        pen.text((left + cell * column + 8, 12), method, "black", font)
        for row, attack in enumerate(ATTACKS):
            x, y = left + cell * column, top + line * row
            rate = rates[method][attack]
            shade = tuple(round(255 + rate * (full - 255)) for full in (26, 122, 76))
            pen.rectangle((x, y, x + cell - 3, y + line - 3), shade, (220, 220, 220))
            ink = "white" if rate > 0.6 else "black"
            pen.text((x + 36, y + 1), _percent(rate), ink, font)
    for row, attack in enumerate(ATTACKS):
        pen.text((10, top + line * row + 1), attack, "black", font)
    picture.save(PLOT, optimize=True)


if __name__ == "__main__":
    main()
