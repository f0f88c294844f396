"""The table of the model card: a source that is left out of the calibration has no say in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.head import GROUPS
from training.safety.calibrate import calibrate
from training.safety.data import Row
from training.safety.report import left_out, reached, write_card

if TYPE_CHECKING:
    from pathlib import Path


def _row(source: str, *, benign: bool) -> Row:
    return Row(
        text=source,
        categories=frozenset() if benign else frozenset({"hate"}),
        unknown=frozenset(),
        source=source,
        kind="caption",
        lang="de",
        benign=benign,
        weak=False,
        variant=None,
    )


def test_a_source_is_judged_by_a_calibration_that_never_saw_it_and_the_worst_comes_first(
    tmp_path: Path,
) -> None:
    # "odd" is harmless and looks harmful: with it the bar lies high, without it low.
    sides = [("plain", True, -4.0), ("odd", True, 2.0), ("bad", False, 3.0)]
    rows = [_row(source, benign=benign) for source, benign, _ in sides for _ in range(30)]
    dice = np.random.default_rng(1)
    logits = np.full((len(rows), len(MODEL_CATEGORIES)), -6.0, np.float32)
    heights = np.repeat([height for *_, height in sides], 30)
    logits[:, MODEL_CATEGORIES.index("hate")] = heights + dice.normal(0, 0.3, len(rows))
    groups = np.full(len(rows), GROUPS.index("other"))

    said = reached(calibrate(logits, rows, groups), logits, rows, groups)
    without = left_out(logits, rows, groups)

    def share(table: dict[str, dict[str, list[float]]], source: str) -> float:
        return sum(table["other"][source][1:])

    odd = "harmless: odd, caption"
    assert said["other"][odd][0] == without["other"][odd][0] == 30
    assert share(without, odd) > share(said, odd)

    card = tmp_path / "CARD.md"
    card.write_text("before\n<!-- prompts:begin -->\nold\n<!-- prompts:end -->\nafter\n", "utf-8")
    write_card(card, said, without)
    text = card.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    order = [text.index(source) for source in ("harmful: bad", "harmless: odd", "harmless: plain")]
    assert order == sorted(order)

    card.write_text("no place", "utf-8")
    with pytest.raises(ValueError, match="no place for the table"):
        write_card(card, said, without)
