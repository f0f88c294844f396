from __future__ import annotations

import pytest

from chopmark.errors import CoolingDown
from chopmark.tenancy.velocity import Rule, Velocity

RULE = Rule(blocks=3, within_s=60, wait_s=100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_within_so_long_begin_a_wait() -> None:
    clock = Clock()
    velocity = Velocity(clock=clock)
    assert not velocity.refused("a", RULE)
    clock.now = 30
    assert not velocity.refused("a", RULE)
    clock.now = 61  # the first one is forgotten
    assert not velocity.refused("a", RULE)
    velocity.check("a")
    clock.now = 62
    assert velocity.refused("a", RULE)
    with pytest.raises(CoolingDown) as caught:
        velocity.check("a")
    assert caught.value.retry_after_s == 100
    velocity.check("b")
    clock.now = 162
    velocity.check("a")
    assert not velocity.refused("a", RULE)


def test_without_a_rule_nobody_waits() -> None:
    velocity = Velocity()
    for _ in range(100):
        assert not velocity.refused("a", Rule(blocks=0, within_s=1, wait_s=1))
    velocity.check("a")


def test_the_number_of_people_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chopmark.tenancy.velocity._MOST_PEOPLE", 10)
    velocity = Velocity()
    for number in range(100):
        velocity.refused(str(number), RULE)
    assert len(velocity._people) == 10
