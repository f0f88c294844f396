from __future__ import annotations

from chopmark.tenancy.rates import Rates


def test_a_window_fills_and_starts_again() -> None:
    now = 100.0
    rates = Rates(clock=lambda: now)
    taken = [rates.take("acme", 2) for _ in range(3)]
    assert [rate.allowed for rate in taken] == [True, True, False]
    assert [rate.remaining for rate in taken] == [1, 0, 0]
    assert taken[2].reset_s == 60
    assert rates.take("other", 2).allowed
    now = 159.9
    assert not rates.take("acme", 2).allowed
    now = 160.0
    assert rates.take("acme", 2).remaining == 1


def test_old_windows_are_forgotten() -> None:
    now = 0.0
    rates = Rates(clock=lambda: now)
    for number in range(10_000):
        rates.take(f"t{number}", 1)
    now = 61.0
    rates.take("late", 1)
    assert len(rates._windows) == 1
