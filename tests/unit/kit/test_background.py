"""Work after the answer: in order, counted, said once, drained."""

from __future__ import annotations

import threading

import pytest

from chopmark.kit.background import Afterwards, AfterwardsWarning


def test_work_is_done_in_order_and_counted() -> None:
    later, done = Afterwards("a test"), []
    for number in range(20):
        later.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert later.drain(120)
    assert done == list(range(20))
    assert later.counts == {"done": 20}
    assert later.waiting == 0


def test_what_fails_is_counted_each_time_and_said_once_until_something_works() -> None:
    later = Afterwards("a test")

    def fails() -> None:
        raise OSError("the disk is full")

    def do_all() -> None:
        for work in (fails, fails, lambda: None, fails):
            later.do(work)
        assert later.drain(120)

    with pytest.warns(AfterwardsWarning, match="a test: OSError: the disk is full") as said:
        do_all()
    assert len(said) == 2
    assert later.counts == {"failed": 3, "done": 1}


def test_a_full_line_and_a_closed_one_lose_what_they_say_they_lose() -> None:
    later, go = Afterwards("a test", most=2), threading.Event()
    begun = threading.Event()

    def hangs() -> None:
        begun.set()
        go.wait(20)

    later.do(hangs)
    assert begun.wait(10)
    later.do(lambda: None)
    later.do(lambda: None)
    with pytest.warns(AfterwardsWarning, match="more than 2 wait"):
        later.do(lambda: None)
    assert later.counts == {"lost": 1}
    assert not later.drain(0.05)
    with pytest.warns(AfterwardsWarning, match=r"3 were not done within 0\.05 s"):
        later.close(0.05)
    assert later.counts["lost"] == 4
    go.set()
    assert later.drain(120)
    later.close(0)
