"""Servers that die in the middle of batches: every line is answered, and nothing is made twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.batch_crash import LINE_MOMENTS, survive

FEW = (("completed", "after"), ("answer", "after"), ("line", "after"))


def test_a_few_kills_in_a_small_batch(home: Path) -> None:
    chance = random.Random(7)  # noqa: S311  a drawing that can be made again
    figures = survive(home, moderations=12, pictures=4, moments=FEW, most=1, chance=chance)
    assert figures["kills"] == len(FEW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_moderations_and_a_hundred_pictures(home: Path) -> None:
    chance = random.Random(8)  # noqa: S311
    moments = [*LINE_MOMENTS, *LINE_MOMENTS]
    figures = survive(home, moderations=1000, pictures=100, moments=moments, most=60, chance=chance)
    assert figures["kills"] >= len(LINE_MOMENTS)
