from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.tenancy import shared_state
from chopmark.tenancy.rates import Rates
from chopmark.tenancy.shared_state import MemoryState, SharedState
from tests.unit.tenancy.conftest import Clock

if TYPE_CHECKING:
    import pytest


def test_a_window_fills_and_starts_again(state: SharedState, clock: Clock) -> None:
    rates, begun = Rates(state), clock.now
    taken = [rates.take("acme", 2) for _ in range(3)]
    assert [rate.allowed for rate in taken] == [True, True, False]
    assert [rate.remaining for rate in taken] == [1, 0, 0]
    assert taken[2].reset_s == 60
    assert rates.take("other", 2).allowed
    assert Rates(state, "pages").take("acme", 2).allowed
    clock.now = begun + 59.9
    assert not rates.take("acme", 2).allowed
    clock.now = begun + 60.0
    assert rates.take("acme", 2).remaining == 1


def test_a_clock_that_is_set_back_shuts_nobody_out(state: SharedState, clock: Clock) -> None:
    assert Rates(state).take("acme", 1).allowed
    clock.now -= 3600
    assert Rates(state).take("acme", 1).allowed
    assert not Rates(state).take("acme", 1).allowed


def test_old_windows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "_MOST_WINDOWS", 100)
    state = MemoryState(clock := Clock())
    for number in range(100):
        state.take(f"t{number}", 1)
    clock.now += 61
    state.take("late", 1)
    assert len(state._windows) == 1
