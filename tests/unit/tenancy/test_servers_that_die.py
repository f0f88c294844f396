"""Several servers with one database: what a dead one left open is closed, by one of the others."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from chopmark.audit import Event, LogUnavailable
from chopmark.pipeline.in_flight_shared import SharedInFlight
from chopmark.pipeline.lost import close_lost
from chopmark.pipeline.parts import Parts
from chopmark.service.lease import leased, taker
from chopmark.settings import Settings
from chopmark.tenancy.shared_state import SharedState
from tests.unit.tenancy.conftest import ONLY_POSTGRES, Clock


def test_one_holds_a_lease_until_it_gives_it_back_or_falls_silent(
    state: SharedState, clock: Clock
) -> None:
    mine, give_back = taker(state, "reconcile", lasts_s=30)
    theirs, _ = taker(state, "reconcile", lasts_s=30)
    other, _ = taker(state, "retention", lasts_s=30)
    assert [mine(), theirs(), other(), mine()] == [True, False, True, True]
    clock.now += 29
    assert [theirs(), mine()] == [False, True]
    clock.now += 30
    assert [theirs(), mine()] == [True, False]
    give_back()  # of what is another's by now: nothing
    assert not mine()
    clock.now += 30
    assert mine()
    give_back()
    assert theirs()


def test_what_a_process_works_on_is_left_when_it_falls_silent(
    tmp_path: Path, clock: Clock, database: str
) -> None:
    with (
        closing(SharedInFlight(tmp_path, database, clock=clock, beating=False)) as one,
        closing(SharedInFlight(tmp_path, database, clock=clock, beating=False)) as other,
    ):
        for record_id in ("a0", "b0", "c0"):
            one.begin(record_id)
        one.end("b0")
        clock.now += 11
        one.beat()
        clock.now += 11
        assert list(other.left_behind()) == []
        clock.now += 2
        assert [sorted(left.record_ids) for left in other.left_behind()] == [["a0", "c0"]]
        assert list(one.left_behind()) == []  # nobody is dead to themselves
        one.beat()  # it was only slow
        assert list(other.left_behind()) == []
        clock.now += 80
        assert len(list(other.left_behind())) == 1
        assert list(other.left_behind()) == []  # settled, and forgotten
        one.begin("d0")
        one.end("d0")
    with closing(SharedInFlight(tmp_path, database, clock=clock, beating=False)) as other:
        clock.now += 100
        # One that ended with work on its hands left that work.
        assert [left.record_ids for left in other.left_behind()] == [()]


@ONLY_POSTGRES
def test_another_server_closes_what_a_dead_one_left_in_the_log(
    tmp_path: Path, database: str
) -> None:
    dies = Parts(Settings(home=tmp_path / "a", database=database))
    record_id = "00000000000000c0"
    dies.in_flight.begin(record_id)
    dies.log.append(Event(kind="request.received", record_id=record_id, tenant="default"))
    sockets = shutil.ignore_patterns("*.sock")
    shutil.copytree(tmp_path / "a" / "audit", tmp_path / "b" / "audit", ignore=sockets)
    lives = Parts(Settings(home=tmp_path / "b", database=database))
    try:
        assert close_lost(lives) == []
        running = lives.in_flight
        assert isinstance(running, SharedInFlight)
        running._clock = lambda: time.time() + 13.0
        with leased(lives, "reconcile", lasts_s=30) as is_mine:
            assert is_mine()
            (closed,) = close_lost(lives)
            with leased(dies, "reconcile", lasts_s=30) as is_theirs:
                assert not is_theirs()
        # It was only slow: what it sends now is not written, whatever it is.
        size = lives.log.size
        another = Event(kind="request.received", record_id="00000000000000d0", tenant="default")
        with pytest.raises(LogUnavailable, match="taken over"):
            dies.log.append(another)
        assert lives.log.size == size
        # Then it says that it is there again, and knows what it has lost.
        slow = dies.in_flight
        assert isinstance(slow, SharedInFlight)
        slow.beat()
        assert dies.log.append(another).index == size
        assert (closed.kind, closed.public) == ("request.failed", {"code": "lost"})
        assert close_lost(lives) == []
    finally:
        dies.close()
        lives.close()
