"""The page's part on false positives, averaging, and copies told from painted pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.watermark_rates import KINDS, percent
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.watermark_rates import Row

__all__ = ["false_positives"]

# The statistic at which p = 1e-9, blindly.
_NEEDED = math.sqrt(2 * (math.log(TESTS) + 64 * math.log(2) + 9 * math.log(10)))
# `verify` says "copied or painted over" from this distance on, where content could be compared.
_UNLIKE = 96
_FEW = 5


def false_positives(rows: Sequence[Row], ours: Sequence[Row]) -> Iterator[str]:
    """Yield one paragraph for each thing that was measured."""
    yield _looks(rows, ours)
    trials = [row for row in rows if "passing" in row]
    if trials:
        yield _tail(trials)
    yield from (_averaging(row) for row in rows if row["name"] == "averaging")
    pairs = [row for row in rows if row["name"].startswith("copying")]
    if pairs:
        yield _copying(pairs)


def _looks(rows: Sequence[Row], ours: Sequence[Row]) -> str:
    made = [row for row in rows if "looks" in row]
    counts = {kind: sum(row["looks"].get(kind, 0) for row in made) for kind in KINDS}
    hits = sum(sum(row["hits"].values()) for row in made)
    z = [value for row in made for values in row["z"].values() for value in values]
    others = [row[kind] for row in ours if "clean" in row for kind in ("clean", "wrong_key")]
    hits += sum(hit for hit, _ in others)
    z += [value for _, value in others]
    told = ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in counts.items() if count)
    # With no hit in n looks the true rate is under 3 / n with 95 % confidence.
    sure = f" No hit in {len(z):,} says with 95 % confidence: under {3 / max(len(z), 1):.1e} each."
    return (
        f"The whole detector: {hits} false positives in {len(z):,} looks: {sum(counts.values()):,} "
        f"at unmarked pictures under random keys ({told or 'none yet'}; 10,000 are wanted), and "
        f"{len(others)} at the pictures above, unmarked, and marked but under a wrong key. The "
        f"largest statistic was z = {max(z, default=0):.1f}; detection needs {_NEEDED:.1f}. By the "
        "bound one look is wrong with a probability of at most 1e-9, so that looks can only show "
        f"mistakes of the program.{'' if hits else sure}"
    )


def _tail(trials: Sequence[Row]) -> str:
    count = sum(row["trials"] for row in trials)
    passing = np.sum([row["passing"] for row in trials], axis=0)
    shares = ", ".join(
        f"t = {level:.0f}: {passed / count:.2e} (bound {math.exp(-level * level / 2):.2e})"
        for level, passed in zip(trials[0]["levels"], passing, strict=True)
    )
    largest = max(row["largest"] for row in trials)
    return (
        f"One payload test, {count:,} random keys on unmarked pictures, share with z >= t: "
        f"{shares}; largest z = {largest:.2f}."
    )


def _averaging(row: Row) -> str:
    costs = [cost for cost in row if cost.endswith("dB")]
    survived = ", ".join(f"{cost}: {row[cost][0]} of {row['tried']}" for cost in costs)
    forged = ", ".join(f"{cost}: {row[cost][1]} of {row['tried']}" for cost in costs)
    return (
        f"Averaging: what {row['learned']} marks have in common, their originals known to "
        f"the attacker, subtracted from {row['tried']} other marked pictures, by what that "
        f"costs them; exact ids that survive: {survived}. The same stamped on unmarked "
        f"pictures; taken for marked: {forged}."
    )


def _copying(pieces: Sequence[Row]) -> str:
    found = {
        name: [one for row in pieces for one in row[name]] for name in ("own", "copied", "painted")
    }
    shares = np.array([share for row in pieces for share in row["share"]])
    few = {name: _share(name, found, lambda one: one[1] <= _FEW) for name in found}
    far = {name: _share(name, found, lambda one: one[2] > _UNLIKE) for name in found}
    read = {name: sum(one[0] for one in some) for name, some in found.items()}
    painted = found["painted"]
    by_share = ", ".join(
        f"{low:.0%} to {high:.0%} of the area: {_part(painted, shares, low, high)}"
        for low, high in ((0.05, 0.15), (0.15, 0.25), (0.25, 0.4))
    ).replace("%", " %")
    count = len(found["own"])
    return (
        f"Copying: the mark of one picture (its original known) laid on another, {count} pairs: "
        f"the id is read in {read['copied']}, as from any symmetric watermark. Painting over: 5 to "
        f"40 % of the area of a marked picture covered with a part of another, {count} pictures: "
        f"the id is read in {read['painted']}. What `verify` calls *copied or painted over* (the "
        "mark stands where it was struck, and the fingerprint is over 96 of 256 bits away): "
        f"{far['copied']} of the copies, {far['painted']} of the painted ones, {far['own']} of the "
        f"untouched. At most 5 of 8 content bits agree in {few['copied']} of the copies, "
        f"{few['painted']} of the painted ones and {few['own']} of the untouched. Painted ones "
        f"that are over 96 bits away, by what was covered: {by_share}."
    )


def _share(name: str, found: dict[str, list[list[int]]], holds: object) -> str:
    compared = [one for one in found[name] if one[0] and one[1] is not None]
    assert callable(holds)
    return percent(sum(holds(one) for one in compared) / max(len(compared), 1))


def _part(painted: list[list[int]], shares: np.ndarray, low: float, high: float) -> str:
    some = [one for one, share in zip(painted, shares, strict=True) if low <= share < high]
    return f"{sum(one[2] > _UNLIKE for one in some)} of {len(some)}"
