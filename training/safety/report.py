"""What the calibrated head reaches on rows that were not trained on; the model card's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from chopmark.safety.text.head import GROUPS, score_of
from training.safety.calibrate import Calibrated, calibrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.safety.data import Row

__all__ = ["Reached", "left_out", "reached", "write_card"]

#: Of a kind of text, of each side and source: count, share of review, share of block.
Reached: TypeAlias = dict[str, dict[str, list[float]]]
#: A source of fewer rows says too little.
_ROWS: Final[int] = 20
_BEGIN: Final[str] = "<!-- prompts:begin -->"
_END: Final[str] = "<!-- prompts:end -->"


def reached(
    fitted: Calibrated,
    logits: NDArray[np.float32],
    rows: Sequence[Row],
    groups: NDArray[np.int64],
) -> Reached:
    """Return of each kind of text and source the count, and the shares of review and block.

    Args:
        fitted: The calibration.
        logits: (n, 11).
        rows: Whose logits they are.
        groups: Of each row its kind of text, as its number in ``GROUPS``.
    """
    odds = logits * fitted.scale[groups] + fitted.shift[groups]
    scores = score_of(odds.astype(np.float64)).max(axis=1)
    made: Reached = {}
    for number, name in enumerate(GROUPS):
        held: dict[str, list[float]] = {}
        for at in np.flatnonzero(groups == number).tolist():
            row = rows[at]
            side = "harmless" if row.benign else "harmful"
            held.setdefault(f"{side}: {row.source}, {row.kind}", []).append(float(scores[at]))
        made[name] = {
            source: [
                len(each),
                round(float(np.mean([0.3 <= one < 0.5 for one in each])), 4),
                round(float(np.mean([one >= 0.5 for one in each])), 4),
            ]
            for source, each in sorted(held.items())
        }
    return made


def left_out(
    logits: NDArray[np.float32], rows: Sequence[Row], groups: NDArray[np.int64]
) -> Reached:
    """Return the same of each source as a calibration without any row of that source gives it.

    The encoder is the one that was trained, with other rows of most of these sources.
    """
    sources = np.array([row.source for row in rows])
    made: Reached = {name: {} for name in GROUPS}
    for source in sorted(set(sources.tolist())):
        there = sources == source
        others = [row for row in rows if row.source != source]
        fitted = calibrate(logits[~there], others, groups[~there])
        these = [row for row in rows if row.source == source]
        for name, held in reached(fitted, logits[there], these, groups[there]).items():
            made[name] |= held
    return made


def write_card(card: Path, said: Reached, without: Reached) -> None:
    """Write the table of the model card, the worst of each side first.

    Args:
        card: A Markdown file with the two marks between which the table stands.
        said: Of the calibration that ships.
        without: Of calibrations without the source.

    Raises:
        ValueError: The file has no such marks.
    """
    lines: list[tuple[bool, float, str]] = []
    for kind, sources in said.items():
        for source, (n, review, block) in sources.items():
            if n < _ROWS:
                continue
            harmful = source.startswith("harmful")
            flagged = review + block
            other = sum(without[kind][source][1:])
            line = (
                f"| {source} | {kind} | {n:.0f} | {100 * review:.1f} | {100 * block:.1f} "
                f"| {_interval(flagged, n)} | {100 * other:.1f} |"
            )
            lines.append((not harmful, flagged if harmful else -flagged, line))
    table = [
        "| rows | kind | n | review % | block % | flagged %, 95 % | flagged %, source left out |",
        "|---|---|---|---|---|---|---|",
        *(line for _, _, line in sorted(lines)),
    ]
    text = card.read_text("utf-8")
    before, found, rest = text.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not found or not ended:
        raise ValueError(f"{card} has no place for the table: {_BEGIN} ... {_END}")
    card.write_text("\n".join([before + _BEGIN, *table, _END + after]), "utf-8")


def _interval(share: float, n: float) -> str:
    """Return a share in per cent with its 95 % interval (Wilson, 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    low, high = 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
    return f"{100 * share:.1f} ({low:.0f} to {high:.0f})"
