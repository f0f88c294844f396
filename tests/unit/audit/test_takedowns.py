"""Demands to take pictures down: a queue before all others, and a time for each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import Rule, verify_log
from chopmark.audit.desk.takedowns import TAKEDOWN
from chopmark.errors import DuplicateRecord, InvalidRequest, NotPermitted, RecordNotFound
from chopmark.service.review_rules import hours_for
from chopmark.settings import Settings
from tests.unit.audit.test_desk import actor, book

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.audit.test_desk import OpenLog

ARRIVED = "2026-03-01T10:00:00Z"


def hours_between(first: str, then: object) -> float:
    passed = datetime.fromisoformat(str(then)) - datetime.fromisoformat(first)
    return passed / timedelta(hours=1)


def test_the_clock_runs_from_the_arrival_and_what_is_intimate_comes_first(
    open_log: OpenLog,
) -> None:
    log = open_log()
    first, second, third = (book(log, f"prompt {n}", action="review") for n in range(3))
    desk = log.desk(actor("Ada", "reader", "reviewer"), purpose="takedowns")
    desk.review.route([Rule(queue="review", decision="review", priority=5000)])
    order = desk.review.takedown(
        first, "order", reference="court, 17/26", hours=3, received=ARRIVED
    )
    intimate = desk.review.takedown(
        f"{second[:-1]}{second[-1]}", "intimate", reference="a person", hours=2
    )
    assert hours_between(ARRIVED, order.public["due"]) == 3
    assert order.public["demand"] == "order"
    assert "court" not in str(order.public)
    told = log.private(order.index)
    assert told is not None
    assert told["reference"] == "court, 17/26"
    waiting = desk.review.tasks(TAKEDOWN, only_open=True)
    assert [task.record_id for task in waiting] == [second, first]
    assert [task.late for task in waiting] == [False, True]
    assert waiting[0].to_dict()["due"] == intimate.public["due"]
    assert desk.review.overdue() == 1
    leased = desk.review.lease(TAKEDOWN)
    assert leased is not None
    assert leased.record_id == second
    assert [task.due for task in desk.review.tasks("review")] == [None]
    assert desk.review.tasks("review")[0].record_id == third


def test_what_is_passed_on_keeps_its_time_and_a_decision_ends_it(
    open_log: OpenLog, tmp_path: Path
) -> None:
    log = open_log()
    record_id = book(log, "prompt", action="review")
    desk = log.desk(actor("Ada", "reader", "reviewer"), purpose="takedowns")
    booked = desk.review.takedown(record_id, "order", reference="x", hours=3, received=ARRIVED)
    with pytest.raises(DuplicateRecord):
        desk.review.takedown(record_id, "intimate", reference="y", hours=2)
    desk.review.lease(TAKEDOWN)
    desk.review.decide(record_id, "escalated", rationale="counsel must look")
    [task] = desk.review.tasks("escalated", only_open=True)
    assert (task.due, task.late) == (booked.public["due"], True)
    assert desk.review.overdue() == 1
    desk.review.lease("escalated")
    desk.review.decide(record_id, "confirmed", rationale="taken down")
    assert desk.review.overdue() == 0
    assert not desk.review.tasks(record_id=record_id)[0].late
    # Once it is decided another demand about it may come.
    again = desk.review.takedown(record_id, "order", reference="z", hours=None)
    assert "due" not in again.public
    log.close()
    assert verify_log(tmp_path).ok


def test_what_is_no_demand(open_log: OpenLog) -> None:
    log = open_log()
    record_id = book(log, "prompt", tenant="a")
    desk = log.desk(actor("Ada", "reviewer"), purpose="takedowns")
    with pytest.raises(InvalidRequest, match="who makes it"):
        desk.review.takedown(record_id, "order", reference=" ", hours=3)
    with pytest.raises(InvalidRequest, match="future"):
        desk.review.takedown(
            record_id, "order", reference="x", hours=3, received="2999-01-01T00:00:00Z"
        )
    with pytest.raises(RecordNotFound):
        log.desk(actor("Bea", "reviewer", tenant="b"), purpose="p").review.takedown(
            record_id, "order", reference="x", hours=3
        )
    with pytest.raises(NotPermitted):
        log.desk(actor("Cy", "reader"), purpose="p").review.takedown(
            record_id, "order", reference="x", hours=3
        )


def test_hours_are_those_of_the_settings(home: Path) -> None:
    india = Settings(home=home, profile="india")
    assert (hours_for(india, "order"), hours_for(india, "intimate")) == (3.0, 2.0)
    plain = Settings(home=home)
    assert (hours_for(plain, "order"), hours_for(plain, "intimate")) == (None, None)
    one = Settings(home=home, takedown_hours=24)
    assert hours_for(one, "intimate") == 24.0
