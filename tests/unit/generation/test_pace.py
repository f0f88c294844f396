"""Pictures share a call where that was measured to be faster, and else they do not."""

from __future__ import annotations

import pytest

from chopmark.generation.pace import Pace


def learned(alone: float, joined: float) -> Pace:
    """Return a pace that saw three calls of each sort, the first of each slow."""
    pace = Pace(8)
    for slow in (10.0, 1.0, 1.0):
        pace.note("kind", pictures=1, seconds=slow * alone)
        pace.note("kind", pictures=4, seconds=slow * 4 * joined)
    return pace


def test_until_both_are_known_it_tries_what_is_not() -> None:
    pace = Pace(8)
    assert pace.limit("kind") == 8
    for _ in range(2):
        pace.note("kind", pictures=8, seconds=1.0)
    assert pace.limit("kind") == 1
    assert pace.limit("another") == 8


@pytest.mark.parametrize(("joined", "limit"), [(0.2, 8), (0.9, 8), (0.99, 1), (1.5, 1)])
def test_it_takes_what_is_faster(joined: float, limit: int) -> None:
    assert learned(1.0, joined).limit("kind") == limit


@pytest.mark.parametrize(("joined", "usual", "pictures"), [(0.5, 8, 8), (1.0, 1, 1), (2.0, 1, 1)])
def test_the_slower_sort_is_tried_again_now_and_then(
    joined: float, usual: int, pictures: int
) -> None:
    pace = learned(1.0, joined)
    limits = []
    for _ in range(200):
        limits.append(pace.limit("kind"))
        made = pictures if limits[-1] == usual else (1 if pictures > 1 else 8)
        each = 1.0 if made == 1 else joined
        pace.note("kind", pictures=made, seconds=made * each)
    assert 2 <= sum(limit != usual for limit in limits) <= 4


def test_it_changes_its_mind() -> None:
    pace = learned(1.0, 0.5)
    for _ in range(20):
        pace.note("kind", pictures=4, seconds=4 * 3.0)
    assert pace.limit("kind") == 1


def test_it_forgets_kinds_that_are_not_asked_for_any_more() -> None:
    pace = learned(1.0, 2.0)
    for other in range(40):
        pace.note(other, pictures=1, seconds=1.0)
    assert pace.limit("kind") == 8
