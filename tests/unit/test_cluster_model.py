"""The model of a cluster gives what queueing theory and plain arithmetic give."""

from __future__ import annotations

import pytest

from benchmarks.cluster_model import Station, arrivals, callers, run
from benchmarks.cluster_simulation import Measured, most, read_stages, sized, stations
from benchmarks.report import PAGE


def test_callers_who_ask_again_keep_every_generator_busy() -> None:
    made = {"generators": Station(3, 6.0), "log": Station(1, 0.001)}
    ran = run(made, ("log", "generators", "log"), callers(9), again=True, seconds=600.0)
    assert ran.rate == pytest.approx(3 / 6.0, rel=0.02)
    assert ran.p50_s == pytest.approx(18.0, rel=0.01)  # its own turn and two before it
    assert (ran.waiting, ran.used["generators"] > 0.99) == (9, True)


def test_one_server_waits_as_pollaczek_and_khinchine_say() -> None:
    # M/D/1: half of the busy time's share over what is left of it.
    made = {"one": Station(1, 0.1)}
    ran = run(made, ("one",), arrivals(rate=7.0, seconds=2000.0, seed=3))
    assert ran.used["one"] == pytest.approx(0.7, abs=0.02)
    assert ran.mean_s == pytest.approx(0.1 + 0.7 * 0.1 / (2 * 0.3), rel=0.08)
    again = run(made, ("one",), arrivals(rate=7.0, seconds=2000.0, seed=3))
    assert again == ran


def test_what_goes_together_goes_further() -> None:
    alone = run({"log": Station(1, 0.0001, round_s=0.01)}, ("log",),
                arrivals(rate=200.0, seconds=20.0, seed=1), seconds=20.0)  # fmt: skip
    together = run({"log": Station(1, 0.0001, round_s=0.01, batch=2000)}, ("log",),
                   arrivals(rate=200.0, seconds=20.0, seed=1), seconds=20.0)  # fmt: skip
    assert alone.rate == pytest.approx(99.0, rel=0.02)
    assert together.rate == pytest.approx(200.0, rel=0.05)
    assert (alone.waiting > 1500, together.waiting < 10) == (True, True)


def test_the_page_still_has_the_service_times() -> None:
    stages, site = read_stages(PAGE.read_text("utf-8"))
    assert sorted(stages) == ["mark", "picture", "prompt", "sign"]
    assert all(0.001 < needs < 1 for needs in (*stages.values(), site))
    found = Measured(stages=stages, site=site, book_round=0.003, book_each=0.0001, store=0.001)
    cores, generators = sized(found, 100.0, 1.0)
    assert 20 < cores < 100
    assert generators == 143
    made = stations(found, cores=9, generators=1, picture_s=1)
    assert {"log", "running", "guards: mark"} < set(made)
    assert most(found)["running"] < most(found)["log"]
