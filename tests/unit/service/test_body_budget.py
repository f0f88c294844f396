from __future__ import annotations

import pytest

from chopmark.errors import Busy
from chopmark.kit.limits import UNFINISHED
from chopmark.service.body_budget import Bodies


def test_nobody_has_more_than_half_but_one_body_alone_may() -> None:
    bodies = Bodies(100)
    large = bodies.begin("a", 80, known=True)
    with pytest.raises(Busy):
        bodies.begin("a", 1, known=True)
    bodies.begin("b", 20, known=True)
    with pytest.raises(Busy):
        bodies.begin("c", 1, known=True)
    large.release()
    assert bodies.held == 20
    first = bodies.begin("a", 30, known=True)
    bodies.begin("a", 20, known=True)
    with pytest.raises(Busy):
        bodies.begin("a", 1, known=True)
    first.release()
    bodies.begin("a", 30, known=True)


def test_all_strangers_together_leave_half_to_those_with_a_key() -> None:
    bodies = Bodies(100)
    for number in range(5):
        bodies.begin(f"from {number}", 10, known=False)
    with pytest.raises(Busy):
        bodies.begin("from 5", 1, known=False)
    bodies.begin("a", 50, known=True)


def test_what_comes_beyond_the_declared_length_is_counted_as_it_comes() -> None:
    bodies = Bodies(100)
    body = bodies.begin("a", 0, known=False)
    body.grow(30)
    body.grow(15)
    assert bodies.held == 45
    with pytest.raises(Busy):
        body.grow(60)
    body.release()
    body.release()
    assert bodies.held == 0


def test_a_caller_has_so_many_unfinished_bodies_and_no_more() -> None:
    bodies = Bodies(10_000, dice=lambda: 0.5)
    begun = [bodies.begin("a", 1, known=True) for _ in range(UNFINISHED.most)]
    with pytest.raises(Busy) as caught:
        bodies.begin("a", 1, known=True)
    assert caught.value.retry_after_s == 2.5
    bodies.begin("b", 1, known=True).release()
    begun[0].complete()
    begun[0].complete()
    bodies.begin("a", 1, known=True)
    assert bodies.unfinished == UNFINISHED.most
