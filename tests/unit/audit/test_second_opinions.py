"""Second opinions: drawn by lot, given blind, by somebody else; what two disagree on goes on."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import Actor, AuditLog, Desk, Event, Rule
from chopmark.audit.desk.agreement import Agreement, cohens_kappa
from chopmark.errors import NotPermitted
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Role

RULES = (Rule(queue="q", decision="block", escalate_to="senior", second_opinions=1.0),)
NONE = (Rule(queue="q", decision="block", escalate_to="senior"),)


def _desk(log: AuditLog, name: str, *roles: Role) -> Desk:
    actor = Actor(name=name, roles=frozenset(roles or ("reviewer",)), tenant=None)
    return log.desk(actor, purpose="test")


@pytest.fixture
def log(open_log: Callable[..., AuditLog]) -> AuditLog:
    return open_log()


def _refused(log: AuditLog, count: int = 1) -> list[str]:
    names, booked = [], []
    for _ in range(count):
        members: dict[str, Any] = {"record_id": new_record_id(), "tenant": "acme", "subject": "p"}
        received = Event(kind="request.received", private={"prompt": "a prompt"}, **members)
        booked.append(log.submit(received))
        refused: Any = {"stage": "input", "action": "block", "categories": ["hate"]}
        booked.append(log.submit(Event(kind="request.refused", public=refused, **members)))
        names.append(members["record_id"])
    for one in booked:
        one.result()
    _desk(log, "router", "writer").review.route(RULES)
    return names


def _decide(log: AuditLog, name: str, record: str, decision: Any, **more: Any) -> Any:
    desk = _desk(log, name)
    task = desk.review.lease(more.pop("queue", "q"))
    assert task is not None
    assert task.record_id == record
    return desk.review.decide(record, decision, rationale=f"says {name}", rules=RULES, **more)


def test_the_second_person_is_another_one_and_sees_nothing_of_the_first(log: AuditLog) -> None:
    (record,) = _refused(log)
    rex, sue = _desk(log, "rex"), _desk(log, "sue")
    rex.review.lease("q")
    rex.review.comment(record, text="clearly fine")
    rex.review.decide(
        record, "overturned", rationale="a museum", rules=RULES, allow_until="2099-01-01T00:00:00Z"
    )
    assert rex.review.lease("q") is None  # not to the same person
    (refused,) = rex.review.bulk([record], "confirmed", rationale="x", rules=RULES)
    assert isinstance(refused, NotPermitted)
    task = sue.review.lease("q")
    assert task is not None
    assert task.decision is None
    view = sue.view(record)
    kinds = Counter(entry.kind for entry in view.records)
    assert set(kinds) == {
        "request.received", "request.refused", "review.queued", "review.leased"
    }  # fmt: skip
    assert kinds["review.queued"] == 1
    assert "museum" not in str(view.private)
    assert "fine" not in str(view.private)
    assert sue.entries(kind="review.decided") == []
    shown = {entry.kind for entry in sue.records(record)}
    assert "review.decided" not in shown
    # Whoever decided, and whoever decides on nothing, sees it.
    assert "review.decided" in {entry.kind for entry in rex.records(record)}
    ida = _desk(log, "ida", "investigator")
    assert "museum" in str(ida.view(record).private)

    booked = sue.review.decide(record, "overturned", rationale="yes", rules=RULES)
    assert booked.public == {"decision": "overturned", "second": True}
    (task,) = sue.review.tasks(record_id=record)
    assert (task.queue, task.decision) == ("q", "overturned")
    assert "review.decided" in {entry.kind for entry in sue.records(record)}
    assert sue.review.agreement()["q"].to_dict()["agreed"] == 1


def test_what_two_disagree_on_goes_to_the_next_queue_and_a_third_person(log: AuditLog) -> None:
    (record,) = _refused(log)
    _decide(log, "rex", record, "confirmed")
    _decide(log, "sue", record, "overturned")
    for name in ("rex", "sue"):
        assert _desk(log, name).review.lease("senior") is None
    _decide(log, "tom", record, "confirmed", queue="senior")
    (task,) = _desk(log, "tom").review.tasks(record_id=record)
    assert (task.queue, task.decision) == ("senior", "confirmed")
    counted = _desk(log, "tom").review.agreement()["q"].to_dict()
    assert (counted["n"], counted["agreed"]) == (1, 0)
    report: Any = _desk(log, "ann", "auditor").export.report()
    assert report["second_opinions"]["table"]["confirmed"]["overturned"] == 1
    assert report["reviews"] == {"confirmed": 2}  # a second opinion is counted by itself


def test_the_share_decides_how_many_and_none_is_drawn_twice(log: AuditLog) -> None:
    records = _refused(log, 40)
    desk = _desk(log, "rex")
    half = (Rule(queue="q", decision="block", second_opinions=0.5),)
    desk.review.bulk(records, "confirmed", rationale="x", rules=half)
    again = [task.record_id for task in desk.review.tasks(only_open=True)]
    assert 3 < len(again) < 37  # 1 in 50 million that chance alone breaks it
    sue = _desk(log, "sue")
    sue.review.bulk(again, "confirmed", rationale="x", rules=RULES)
    assert sue.review.tasks(only_open=True) == []
    assert sue.review.day() == {"confirmed": len(again)}
    (record,) = _refused(log)
    assert desk.review.lease("q") is not None
    desk.review.decide(record, "confirmed", rationale="x", rules=NONE)
    assert desk.review.tasks(only_open=True) == []


def test_a_first_decision_stands_until_another_one_does(log: AuditLog) -> None:
    (record,) = _refused(log)
    ida = _desk(log, "ida", "investigator")

    def strikes() -> list[str]:
        return [one.record_id for one in ida.people.view("p").refusals]

    assert strikes() == [record]
    _decide(log, "rex", record, "overturned")
    assert strikes() == []
    _decide(log, "sue", record, "confirmed")
    assert strikes() == [record]


def test_kappa_and_its_error_are_those_of_the_sources() -> None:
    pairs = {("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10, ("b", "b"): 15}
    kappa, error = cohens_kappa(Counter(pairs)) or (0.0, 0.0)
    assert kappa == pytest.approx(0.4)
    assert error == pytest.approx(_by_delta_method(pairs), rel=1e-5)
    three = {("a", "a"): 44, ("a", "b"): 5, ("b", "b"): 20, ("c", "a"): 9, ("c", "c"): 12}
    assert (cohens_kappa(Counter(three)) or (0, 0))[1] == pytest.approx(
        _by_delta_method(three), rel=1e-5
    )
    assert cohens_kappa(Counter()) is None
    assert cohens_kappa(Counter({("a", "a"): 9})) is None  # chance alone agrees always
    told = Agreement()
    told.count("confirmed", "escalated")
    assert told.to_dict() | {"table": 0} == {
        "n": 0, "agreed": 0, "kappa": None, "interval": None, "table": 0, "passed_on": 1
    }  # fmt: skip


def _by_delta_method(pairs: dict[tuple[str, str], int]) -> float:
    """Return the error from numerical derivatives of kappa, another way than the formula's."""
    names = sorted({name for pair in pairs for name in pair})
    cells = [(a, b) for a in names for b in names]
    n = sum(pairs.values())
    share = {cell: pairs.get(cell, 0) / n for cell in cells}

    def kappa(of: dict[tuple[str, str], float]) -> float:
        observed = sum(of[name, name] for name in names)
        expected = sum(
            sum(of[name, b] for b in names) * sum(of[a, name] for a in names) for name in names
        )
        return (observed - expected) / (1 - expected)

    step = 1e-6
    slopes = {
        cell: (
            kappa(share | {cell: share[cell] + step}) - kappa(share | {cell: share[cell] - step})
        )
        / (2 * step)
        for cell in cells
    }
    mean = sum(share[cell] * slopes[cell] for cell in cells)
    return sqrt(sum(share[cell] * (slopes[cell] - mean) ** 2 for cell in cells) / n)
