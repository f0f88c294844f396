"""Servers that die at any moment: what was acknowledged is booked, a key leads to its record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.crash import MOMENTS, Campaign, check

FEW = (
    ("generate", "after"), ("sign", "after"), ("completed", "before"), ("completed", "after"),
    ("answer", "before"), ("answer", "after"),
)  # fmt: skip


def _campaign(home: Path, moments: list[tuple[str, str]], *, most: int) -> Campaign:
    chance = random.Random(5)  # noqa: S311  a drawing that can be made again
    with Campaign(home=home, chance=chance) as campaign:
        for moment in moments:
            campaign.kill(moment, after=chance.randint(1, most))
        assert campaign.settle() == []
    return campaign


def test_a_few_kills(home: Path) -> None:
    campaign = _campaign(home, list(FEW), most=2)
    assert campaign.kills == len(FEW)
    assert len(campaign.unanswered) >= len(FEW)
    check(home, campaign.acknowledged)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # five minutes on two quiet cores; a machine at load 8 takes longer
def test_a_hundred_kills_over_all_stages(home: Path) -> None:
    moments = [MOMENTS[number % len(MOMENTS)] for number in range(100)]
    campaign = _campaign(home, moments, most=6)
    assert campaign.kills == 100
    check(home, campaign.acknowledged)
