"""What the watermark benchmark's lines say: rates by kind and attack, and tables of them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.attacks import ATTACKS
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["KINDS", "Row", "by_method", "counted", "detected", "percent", "rate", "shortfalls"]
__all__ += ["by_kind", "table", "wrong"]

DETECTED = -9.0
KINDS = {"own": "our own", "flat": "flat graphics", "natural": "photographs and others"}
Row = dict[str, Any]


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The pictures of each method, ours first; methods that marked none are left out."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.get("method") != "lattice"):
        if "method" in row:
            found[row["method"]].append(row)
    return {name: some for name, some in found.items() if any("psnr" in row for row in some)}


def detected(row: Row, attack: str) -> bool:
    """Whether the right id was read with p <= 1e-9; a picture without a mark has lost it."""
    log10_p: float = row.get("log10_p", {}).get(attack, 0)
    if row["method"] == "lattice":  # as if the detector of now had made all of its tests
        log10_p += math.log10(TESTS / row["tests"])
    return log10_p <= DETECTED


def _tried(rows: Iterable[Row], attack: str) -> list[Row]:
    return [row for row in rows if "psnr" not in row or attack in row["log10_p"]]


def rate(rows: Sequence[Row], attacks: Iterable[str]) -> float:
    """The share of ids that survive, of all pictures and attacks."""
    outcomes = [detected(row, attack) for attack in attacks for row in _tried(rows, attack)]
    return sum(outcomes) / max(len(outcomes), 1)


def counted(rows: Sequence[Row], attack: str) -> str:
    """As "3 of 16", or a dash where it was not tried."""
    tried = _tried(rows, attack)
    return f"{sum(detected(row, attack) for row in tried)} of {len(tried)}" if tried else "-"


def wrong(rows: Sequence[Row]) -> int:
    """How many looks gave another id than the one that was struck."""
    return sum(value > 0 for row in rows for value in row.get("log10_p", {}).values())


def percent(share: float) -> str:
    """As a percentage with one decimal, except for none and all."""
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shortfalls(ours: Sequence[Row]) -> str:
    """Every attack that some picture's mark did not survive, the worst first, by kind."""
    order = list(dict.fromkeys(name for row in ours for name in row.get("log10_p", {})))
    kinds = {kind: [row for row in ours if row["kind"] == kind] for kind in KINDS}
    means = {
        name: np.mean([rate(rows, [name]) for rows in kinds.values() if _tried(rows, name)])
        for name in order
    }
    lines = []
    for name in sorted((name for name in order if means[name] < 1), key=lambda name: means[name]):
        harm = [row["harm_db"][name] for row in ours if name in row.get("harm_db", {})]
        cost = f"{np.median(harm):.1f}" if harm else "-"
        lines.append([name, *(counted(rows, name) for rows in kinds.values()), cost])
    others = len(order) - len(lines)
    head = ["attack", *KINDS.values(), "its own PSNR, dB"]
    return (
        f"{table(head, lines)}\n\nThe other {others} attacks of {len(order)} lost no id. *Its own "
        "PSNR*: median of what the attack did to the marked picture, where it kept its size. A "
        f"wrong id was read in {wrong(ours)} of "
        f"{sum(len(row.get('log10_p', {})) for row in ours):,} looks."
    )


def by_kind(ours: Sequence[Row]) -> str:
    """Quality of what was marked, by kind and content, the most visible first."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in ours:
        if "psnr" in row:
            found[KINDS.get(str(row["content"]), str(row["content"]))].append(row)
    lines = []
    for kind, rows in sorted(found.items(), key=lambda one: np.mean([r["psnr"] for r in one[1]])):
        values = [row["psnr"] for row in rows]
        similar = np.mean([row["ssim"] for row in rows])
        spread = f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
        lines.append([kind, str(len(rows)), spread, f"{similar:.4f}", percent(rate(rows, ATTACKS))])
    head = ["kind", "pictures", "PSNR, dB", "SSIM", f"ids read, of {len(ATTACKS)} attacks"]
    return table(head, lines)
