"""The watermark benchmark's page: tables in ``docs/``, and a plot as PNG."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import watermark_curve
from benchmarks.attacks import ATTACKS, EASY, HARD
from benchmarks.pictures import HELD_OUT
from benchmarks.report import PAGE, write_section
from benchmarks.watermark_false import false_positives
from benchmarks.watermark_plot import draw_rates
from benchmarks.watermark_rates import (
    KINDS,
    Row,
    by_kind,
    by_method,
    percent,
    rate,
    shortfalls,
    table,
)
from benchmarks.watermark_sets import FLAT
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["text", "write"]

SUMMARY = PAGE.parent / "watermark.md"
PLOT = PAGE.parent / "watermark.png"
SHEET = PAGE.parent / "watermark-sheet.jpg"


def write(rows: list[Row], *, command: str) -> None:
    """Write the section of ``docs/benchmarks.md``, the tables of ``docs/watermark.md``, the plot.

    Raises:
        ValueError: A page has no markers.
    """
    write_section("watermark", text(rows), command=command)
    page = SUMMARY.read_text(encoding="utf-8")
    begin, end = (f"<!-- watermark-summary:{side} -->" for side in ("begin", "end"))
    head, _, rest = page.partition(begin)
    tail = rest.partition(end)[2]
    ours = [row for row in rows if row.get("method") == "lattice"]
    tables = f"{shortfalls(ours)}\n\n{by_kind(ours)}\n\n{_summary(rows)}"
    SUMMARY.write_text(f"{head}{begin}\n{tables}\n{end}{tail}", encoding="utf-8")
    methods = _of_natural(rows)
    rates = {f"{name} ({len(found)})": _rates(found) for name, found in methods.items()}
    draw_rates(rates, PLOT)


def text(rows: list[Row]) -> str:
    """Return the section as Markdown; ``rows`` must have a photograph that we marked."""
    methods = _of_natural(rows)
    ours = [row for row in rows if row.get("method") == "lattice"]
    parts = [
        _sample(methods, ours),
        "### Where the mark is lost (lattice)\n\n" + shortfalls(ours),
        "### What it costs the eye (lattice)\n\n" + by_kind(ours),
        f"![Parts of pictures at twice their size: as they were, marked, and the difference times "
        f"ten]({SHEET.name})",
        "### Quality and speed\n\n" + _quality(methods),
        "### Robustness\n\nShare of pictures whose exact 64-bit id is read, blindly, with "
        "p <= 1e-9; photographs and others only, since the peers had no other. A picture that "
        "could not be marked counts as lost under every attack.",
        _robustness(methods),
        f"![exact-id rates of all methods]({PLOT.name})",
        "### Aims\n\n" + _aims(ours, rows),
        *_experiments(rows),
        "### False positives, averaging, copying\n\n" + "\n\n".join(false_positives(rows, ours)),
        "Not tested, because no such model was at hand: regeneration by a large diffusion model or "
        "by another autoencoder than the embedded one, which draws photographs badly. Screens were "
        "photographed in a simulation only; nothing was printed.",
    ]
    return "\n\n".join(parts)


def _experiments(rows: list[Row]) -> list[str]:
    from benchmarks import watermark_latent, watermark_low_band  # they load torch

    found = []
    for key, told in (
        ("strengths", watermark_curve.text),
        ("points", watermark_low_band.text),
        ("noise_left", watermark_latent.text),
    ):
        some = [row for row in rows if key in row]
        found += [told(some)] if some else []
    return found


def _of_natural(rows: list[Row]) -> dict[str, list[Row]]:
    return by_method([row for row in rows if row.get("kind") == "natural"])


def _rates(rows: list[Row]) -> dict[str, float]:
    return {attack: rate(rows, [attack]) for attack in ATTACKS}


def _sample(methods: dict[str, list[Row]], ours: list[Row]) -> str:
    sides = [math.sqrt(row["size"][0] * row["size"][1]) for row in methods["lattice"]]
    kinds = Counter(row["kind"] for row in ours)
    contents = Counter(row["content"] for row in methods["lattice"])
    others = ", ".join(f"{name} {len(rows)}" for name, rows in methods.items() if name != "lattice")
    older = Counter(row["tests"] for row in ours if row["tests"] != TESTS)
    said = "".join(
        f" {count} of the pictures were read before the detector's last change, when it counted "
        f"{tests} tests instead of {TESTS}: their p-values are multiplied by {TESTS}/{tests} here, "
        "and what the present one reads beyond that is not counted."
        for tests, count in older.items()
    )
    packages = ", ".join(f"{source.package} ({source.licence})" for source in (*HELD_OUT, FLAT))
    return (
        f"{len(ours)} held-out pictures. {kinds['own']} of our own: made by the embedded model at "
        f"512 pixels. {kinds['flat']} flat graphics at 512 pixels: clip art on white, and one in "
        f"three drawn shapes. {kinds['natural']} others "
        f"({', '.join(f'{n} {kind}' for kind, n in contents.items())}), {min(sides):.0f} to "
        f"{max(sides):.0f} pixels (square root of the area). They come from the Debian 12 packages "
        f"{packages}, and from a script (drawn). A wallpaper may give two pictures: its whole and "
        "its upper left quarter. What tuning saw stands in `benchmarks/pictures.py` and "
        "`watermark_sets.py`; no picture is in both sets. The peers ran on fewer of the same "
        f"pictures, scaled to at most 768 pixels ({others or 'none'}; rivaGan at 512), because "
        f"they are slow.{said} rivaGan's 32 bits cannot hold an id: it was given the payload "
        "and had to confirm it. The others carry 64 bits and a 40-bit check, as Chopmark uses them."
    )


def _quality(methods: dict[str, list[Row]]) -> str:
    lines = []
    for name, rows in methods.items():
        good = [row for row in rows if "psnr" in row]
        psnrs = [row["psnr"] for row in good]

        def per_megapixel(seconds: Iterable[float], good: list[Row] = good) -> str:
            sizes = (row["size"][0] * row["size"][1] / 1e9 for row in good)
            return f"{np.median([s / size for s, size in zip(seconds, sizes, strict=True)]):.0f}"

        def decode(attack: str, good: list[Row] = good) -> list[float]:
            return [row["decode_s"][attack] for row in good]

        lines.append(
            [
                name,
                f"{len(good)} of {len(rows)}",
                f"{np.mean(psnrs):.1f} ({min(psnrs):.1f})",
                f"{np.mean([row['ssim'] for row in good]):.4f}",
                per_megapixel(row["encode_s"] for row in good),
                *(
                    f"{1e3 * np.median(decode(a)):.0f} ({per_megapixel(decode(a))})"
                    for a in ("none", "rotate -5", "unmarked")
                ),
            ]
        )
    head = ["method", "marked", "PSNR dB, mean (least)", "SSIM", "encode ms/MP"]
    head += ["decode aligned: ms (ms/MP)", "turned by 5 degrees", "unmarked"]
    return table(head, lines) + "\n\nCPU time of one thread, medians over the pictures."


def _robustness(methods: dict[str, list[Row]]) -> str:
    rates = {name: _rates(rows) for name, rows in methods.items()}
    lines = ([attack, *(percent(rates[name][attack]) for name in rates)] for attack in ATTACKS)
    return table(["attack", *rates], lines)


def _summary(rows: list[Row]) -> str:
    """The short table: what each method costs the picture, and what survives."""
    groups = {
        "unharmed": ["none"],
        "JPEG 75, 50, 30": ["jpeg 75", "jpeg 50", "jpeg 30"],
        "WebP 75, 50": ["webp 75", "webp 50"],
        "resized": [name for name in ATTACKS if name.startswith("resize")],
        "cropped to 90, 75, 50 %": ["crop 90 %", "crop 75 %", "crop 50 %"],
        "turned, flipped, stretched": [
            name
            for name in ATTACKS
            if name.startswith(("rotate ", "flip", "aspect")) and "," not in name
        ],
        "noise 15, blur 2": ["noise 15", "blur 2"],
        "screenshot, social media, messenger": ["screenshot", "social media", "messenger"],
        "chains": [name for name in ATTACKS if "," in name],
    }
    lines = []
    for name, some in _of_natural(rows).items():
        good = [row for row in some if "psnr" in row]
        quality = f"{np.mean([row['psnr'] for row in good]):.1f}"
        shares = (percent(rate(some, attacks)) for attacks in groups.values())
        lines.append([name, str(len(some)), quality, *shares])
    return table(["method", "photographs and others", "PSNR", *groups], lines)


def _aims(ours: list[Row], everything: list[Row]) -> str:
    kinds = {kind: [row for row in ours if row["kind"] == kind] for kind in _LEAST}
    natural = [row for row in kinds["natural"] if "psnr" in row]
    made = kinds["own"] + kinds["flat"]

    def told(rows: list[Row], *attacks: str) -> str:
        return ", ".join(f"{name} {percent(rate(rows, [name]))}" for name in attacks)

    psnrs = [row["psnr"] for row in ours if "psnr" in row]
    encode = np.median([r["encode_s"] / (r["size"][0] * r["size"][1]) * 1e9 for r in natural])
    seconds = [1e3 * float(np.median([r["decode_s"][n] for r in natural])) for n in _LOOKS]
    lines = [
        [
            "our own and flat: JPEG 50 100 %, JPEG 30 and WebP 55 95 %",
            told(made, "jpeg 50", "jpeg 30", "webp 55"),
        ],
        [
            "our own: autoencoder 90 %, image to image 0.15 80 %",
            told(kinds["own"], "own autoencoder, 512", "image to image 0.15"),
        ],
        *(
            [f"{KINDS[kind]}: {100 * aim:.0f} % under each of {len(EASY)} attacks", missed]
            for kind, aim in _LEAST.items()
            for missed in [_missed(kinds[kind], aim)]
        ),
        ["all: 95 % at 25 % of a page", told(ours, "in a page, 25 %")],
        ["photographs and others: JPEG 10 80 %, crop to 35 % 90 %", told(natural, *HARD)],
        ["mean PSNR 42 dB", f"{np.mean(psnrs):.2f}, least {min(psnrs):.2f}"],
        ["encode 60 ms per megapixel", f"{encode:.0f} ms"],
        [
            "decode aligned 20 ms, turned 200, unmarked 350, in a page 1500",
            ", ".join(f"{value:.0f}" for value in seconds) + " ms",
        ],
    ]
    for row in everything:
        if row["name"] == "averaging":
            survived = row["39 dB"][0] / row["tried"]
            lines.append(["95 % after averaging, cost under 40 dB", percent(survived)])
    return table(["aim", "reached"], lines)


_LEAST = {"own": 0.95, "flat": 0.95, "natural": 0.99}
_LOOKS = ("none", "rotate -5", "unmarked", "in a page, 25 %")


def _missed(rows: list[Row], aim: float) -> str:
    rates = {name: rate(rows, [name]) for name in EASY}
    missed = [f"{name} {percent(share)}" for name, share in rates.items() if share < aim]
    return f"{len(EASY) - len(missed)} reach it" + (f"; not {', '.join(missed)}" if missed else "")
