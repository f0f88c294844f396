"""Search, review and appeals: people at work, and every look booked."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import Actor, AuditLog, Event, Query, Rule, verify_log
from chopmark.errors import (
    DuplicateRecord,
    InvalidRequest,
    NotPermitted,
    RecordNotFound,
)
from chopmark.kit.ids import new_record_id
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Role

    OpenLog = Callable[..., AuditLog]

EVERY: tuple[Role, ...] = ("reader", "reviewer", "investigator", "exporter", "eraser")


def actor(name: str = "Ada", *roles: Role, tenant: str | None = None) -> Actor:
    return Actor(name=name, roles=frozenset(roles or EVERY), tenant=tenant)


def book(
    log: AuditLog,
    prompt: str,
    *,
    tenant: str = "default",
    subject: str = "p",
    action: str = "allow",
    scores: dict[str, float] | None = None,
    pdq: str | None = None,
) -> str:
    """Book a whole request as the pipeline does; return its record id."""
    record_id = new_record_id()
    members: dict[str, Any] = {"record_id": record_id, "tenant": tenant, "subject": subject}
    verdict: dict[str, Any] = {"stage": "prompt", "action": action, "scores": scores or {}}
    log.append(
        Event(
            kind="request.received",
            public={"model": "embedded@1"},
            private={"prompt": prompt},
            **members,
        )
    )
    log.append(
        Event(
            kind="request.decided",
            public={"policy": "aa" * 32, "verdicts": [verdict]},
            **members,
        )
    )
    log.append(
        Event(
            kind="request.refused" if action == "block" else "request.completed",
            public={"verdict": verdict},
            private={"pdq": {record_id: pdq}} if pdq else {},
            **members,
        )
    )
    return record_id


@pytest.fixture
def stocked(open_log: OpenLog) -> tuple[AuditLog, dict[str, str]]:
    log = open_log()
    near = "f" * 63 + "e"
    ids = {
        "dragon": book(log, "A red dragon over the sea", scores={"violence": 0.2}, pdq="f" * 64),
        "dragons": book(log, "three Dragons, sleeping", tenant="b", subject="q", pdq=near),
        "blocked": book(log, "a dragon bleeding", action="block", scores={"violence": 0.9}),
        "review": book(log, "café at night", action="review", scores={"self_harm": 0.5}),
        "far": book(log, "a red apple", pdq="0" * 64),
    }
    return log, ids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(), ["far", "review", "blocked", "dragons", "dragon"]),
        (Query(text="dragon"), ["blocked", "dragons", "dragon"]),  # words in any form
        (Query(text="dragon*"), ["blocked", "dragons", "dragon"]),
        (Query(text="red DRAGON"), ["dragon"]),
        (Query(text='"red dragon"'), ["dragon"]),
        (Query(text='"dragon red"'), []),
        (Query(text="cafe"), ["review"]),
        (Query(tenant="b"), ["dragons"]),
        (Query(subject="q"), ["dragons"]),
        (Query(subject="nobody"), []),
        (Query(decision="block"), ["blocked"]),
        (Query(decision="review"), ["review"]),
        (Query(category="violence"), ["blocked", "dragon"]),
        (Query(category="violence", min_score=0.5), ["blocked"]),
        (Query(category="violence", max_score=0.5), ["dragon"]),
        (Query(min_score=0.4, max_score=0.6), ["review"]),
        (Query(model="embedded@1", text="apple"), ["far"]),
        (Query(model="other"), []),
        (Query(policy="aa" * 32, text="apple"), ["far"]),
        (Query(since="2000-01-01T00:00:00Z", until="2001-01-01T00:00:00Z"), []),
        (Query(similar_to="f" * 64), ["dragons", "dragon"]),
        (Query(similar_to="f" * 64, distance=0), ["dragon"]),
        (Query(similar_to="f" * 64, text="sleeping"), ["dragons"]),
        (Query(text='dragon" OR "apple'), []),
        (Query(text="apple NOT red"), []),
        (Query(text="words:apple"), []),
    ],
    ids=str,
)
def test_search(stocked: tuple[AuditLog, dict[str, str]], query: Query, names: list[str]) -> None:
    log, ids = stocked
    hits = log.desk(actor(), purpose="case 7").search(query)
    assert [hit.record_id for hit in hits] == [ids[name] for name in names]


def test_pages_and_what_a_hit_says(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, ids = stocked
    desk = log.desk(actor(), purpose="case 7")
    first = desk.search(Query(), limit=2)
    second = desk.search(Query(), limit=2, before=first[-1].index)
    assert [hit.record_id for hit in second] == [ids["blocked"], ids["dragons"]]
    assert second[0].categories == {"violence": 0.9}
    assert second[0].decision == "block"
    near = desk.search(Query(similar_to="f" * 64))
    assert [hit.distance for hit in near] == [1, 0]


@pytest.mark.parametrize(
    "query",
    [Query(text=""), Query(text="*"), Query(similar_to="xyz"), Query(similar_to="ff")],
    ids=str,
)
def test_queries_that_cannot_be_run(stocked: tuple[AuditLog, dict[str, str]], query: Query) -> None:
    with pytest.raises(InvalidRequest):
        stocked[0].desk(actor(), purpose="case 7").search(query)


def test_every_look_is_booked(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, ids = stocked
    desk = log.desk(actor("Ada"), purpose="case 7")
    desk.search(Query(text="dragon"))
    view = desk.view(ids["dragon"])
    assert view.private[0] == {"prompt": "A red dragon over the sea"}
    desk.unblur(ids["dragon"])
    kinds = [record.kind for record in log.find(limit=3)]
    assert kinds == ["access.unblurred", "access.viewed", "access.searched"]
    searched = log.find(kind="access.searched")[0]
    assert log.private(searched.index) == {
        "by": "Ada",
        "of": "*",
        "purpose": "case 7",
        "query": {"text": "dragon"},
    }
    assert searched.public == {}


def test_roles(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, ids = stocked
    reader = log.desk(actor("Rita", "reader"), purpose="p")
    reader.search(Query())
    auditor = log.desk(actor("Olga", "auditor"), purpose="p")
    reviewer = log.desk(actor("Rosa", "reviewer"), purpose="p")
    for refused in (
        lambda: reader.view(ids["dragon"]),
        lambda: reader.review.lease("q"),
        lambda: auditor.search(Query()),
        lambda: auditor.view(ids["dragon"]),
        lambda: reviewer.view(ids["dragon"]),  # not on lease
        lambda: reviewer.erase("p", second=actor("Max", "eraser"), reason="r"),
    ):
        with pytest.raises(NotPermitted):
            refused()
    for name, purpose in (("", "p"), ("Ada", " ")):
        with pytest.raises(InvalidRequest):
            log.desk(actor(name), purpose=purpose)


def test_erasure_at_the_desk_takes_two(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, _ = stocked
    desk = log.desk(actor("Ada", "eraser"), purpose="request 12")
    with pytest.raises(NotPermitted):
        desk.erase("p", second=actor("Max", "reader"), reason="asked")
    with pytest.raises(NotPermitted):
        desk.erase("p", second=actor("Ada", "eraser"), reason="asked")
    assert desk.erase("p", second=actor("Max", "eraser"), reason="asked").public["count"]


def test_projection_forgets_and_is_made_again(
    open_log: OpenLog, stocked: tuple[AuditLog, dict[str, str]]
) -> None:
    log, ids = stocked
    word = "zyzzyva" + os.urandom(4).hex()
    book(log, f"a {word} in the garden", subject="gone", pdq="5a" * 32)
    desk = log.desk(actor(), purpose="case 7")
    assert len(desk.search(Query(text=word))) == 1
    log.search.database.scrub()
    stored = paths_of(log).search.read_bytes()
    assert word.encode() in stored
    assert bytes.fromhex("5a" * 32) in stored
    log.custody.erase("gone", by=("Ada", "Max"), reason="asked")
    for path in paths_of(log).folder.rglob("*"):
        if path.is_file():
            assert word.encode() not in path.read_bytes(), path
            assert bytes.fromhex("5a" * 32) not in path.read_bytes(), path
    index = log.search
    assert index.find(Query(text=word)) == []
    assert index.find(Query(similar_to="5a" * 32)) == []
    before = index.find(Query())
    assert index.rebuild() == log.size
    assert index.find(Query()) == before
    assert [hit.record_id for hit in index.find(Query(text="apple"))] == [ids["far"]]
    log.close()
    assert verify_log(paths_of(log).home).problems == ()


def test_saved_queries_have_versions(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log = stocked[0]
    desk = log.desk(actor(), purpose="case 7")
    one, two = Query(text="dragon"), Query(text="dragon", min_score=0.5, decision="block")
    assert desk.queries.save("dragons", one) == 1
    assert desk.queries.save("dragons", two) == 2
    assert desk.queries.save("apples", Query(text="apple")) == 1
    assert desk.queries.get("dragons").query == two
    assert desk.queries.get("dragons", 1).query == one
    log.search.rebuild()  # they are in the log, like everything else
    assert [item.name for item in desk.queries.newest()] == ["apples", "dragons"]
    assert desk.queries.newest()[1] == desk.queries.get("dragons", 2)
    with pytest.raises(RecordNotFound):
        desk.queries.get("unicorns")
    with pytest.raises(InvalidRequest):
        desk.queries.save(" ", one)
    with pytest.raises(InvalidRequest):
        Query.from_dict({"wrong": 1})


RULES = [
    Rule(queue="urgent", priority=9, category="violence", min_score=0.8),
    Rule(queue="general", decision="review"),
    Rule(queue="of b", tenant="b", decision="block"),
]


def test_routing_leases_and_decisions(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, ids = stocked
    desk = log.desk(actor("Ada"), purpose="review")
    other = log.desk(actor("Max", "reviewer"), purpose="review")
    assert len(desk.review.route(RULES)) == 2
    assert desk.review.route(RULES) == []
    task = desk.review.lease("urgent")
    assert task is not None
    assert (task.record_id, task.holder) == (ids["blocked"], "Ada")
    assert other.review.lease("urgent") is None
    with pytest.raises(NotPermitted):
        other.review.decide(ids["blocked"], "confirmed", rationale="clear")
    with pytest.raises(InvalidRequest):
        desk.review.decide(ids["blocked"], "confirmed", rationale="  ")
    record = desk.review.decide(ids["blocked"], "confirmed", rationale="clear")
    assert log.private(record.index) == {
        "by": "Ada",
        "of": "*",
        "purpose": "review",
        "rationale": "clear",
    }
    with pytest.raises(NotPermitted):
        desk.review.decide(ids["blocked"], "overturned", rationale="again")
    assert desk.review.lease("urgent") is None
    assert [(item.queue, item.decision) for item in desk.review.tasks()] == [
        ("general", None),
        ("urgent", "confirmed"),
    ]
    task = other.review.lease("general")
    assert task is not None
    assert other.view(task.record_id).private[0] == {"prompt": "café at night"}
    other.review.release(task.record_id)
    assert desk.review.lease("general") is not None
    log.close()
    assert verify_log(paths_of(log).home).problems == ()


def test_a_lease_ends(stocked: tuple[AuditLog, dict[str, str]]) -> None:
    log, _ = stocked
    desk = log.desk(actor("Ada"), purpose="review")
    other = log.desk(actor("Max"), purpose="review")
    desk.review.route(RULES)
    task = desk.review.lease("urgent", duration=timedelta(seconds=-1))
    assert task is not None
    with pytest.raises(NotPermitted):
        desk.review.decide(task.record_id, "confirmed", rationale="too late")
    again = other.review.lease("urgent")
    assert again is not None
    assert again.holder == "Max"


def test_no_two_people_ever_hold_one_task(open_log: OpenLog) -> None:
    logs = [open_log(), open_log()]
    for number in range(12):
        book(logs[0], f"prompt {number}", action="review")
    logs[0].desk(actor(), purpose="review").review.route([Rule(queue="q", decision="review")])
    held: list[str] = []

    def work(log: AuditLog, name: str) -> None:
        desk = log.desk(actor(name), purpose="review")
        while (task := desk.review.lease("q")) is not None:
            held.append(task.record_id)

    threads = [
        threading.Thread(target=work, args=(logs[number % 2], f"person {number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == len(set(held)) == 12


def test_an_appeal_is_overturned_and_makes_an_exception(
    stocked: tuple[AuditLog, dict[str, str]],
) -> None:
    log, ids = stocked
    log.appeals.open(ids["blocked"], statement="it is a film poster")
    with pytest.raises(DuplicateRecord):
        log.appeals.open(ids["blocked"], statement="once more")
    with pytest.raises(InvalidRequest):
        log.appeals.open(ids["dragon"], statement="nothing was refused")
    with pytest.raises(InvalidRequest):
        log.appeals.open(ids["blocked"], statement="")
    with pytest.raises(RecordNotFound):
        log.appeals.open(new_record_id(), statement="what is this")
    desk = log.desk(actor("Ada"), purpose="appeals")
    assert [(item.record_id, item.outcome) for item in desk.appeals.listed()] == [
        (ids["blocked"], None)
    ]
    assert log.exceptions.find("a dragon bleeding", tenant="default") is None
    desk.appeals.decide(
        ids["blocked"], "overturned", rationale="a poster", allow_until="2999-01-01T00:00:00Z"
    )
    assert desk.appeals.listed() == []
    assert desk.appeals.listed(only_open=False)[0].outcome == "overturned"
    granted = log.exceptions.find("A  Dragon bleeding", tenant="default")
    assert granted is not None
    assert granted.kind == "exception.granted"
    assert log.exceptions.find("a dragon bleeding", tenant="b") is None
    assert log.exceptions.find("another dragon", tenant="default") is None
    with pytest.raises(RecordNotFound):
        desk.appeals.decide(ids["blocked"], "upheld", rationale="again")
    log.custody.erase("p", by=("Ada", "Max"), reason="asked")
    assert log.exceptions.find("a dragon bleeding", tenant="default") is None


def test_who_reviewed_does_not_decide_the_appeal(
    stocked: tuple[AuditLog, dict[str, str]],
) -> None:
    log, ids = stocked
    desk = log.desk(actor("Ada"), purpose="review")
    desk.review.route(RULES)
    desk.review.lease("urgent")
    desk.review.decide(ids["blocked"], "confirmed", rationale="clear")
    log.appeals.open(ids["blocked"], statement="please look again")
    with pytest.raises(NotPermitted):
        desk.appeals.decide(ids["blocked"], "upheld", rationale="as before")
    with pytest.raises(InvalidRequest):
        desk.appeals.decide(ids["blocked"], "upheld", rationale="no", allow_until="2999")
    other = log.desk(actor("Max"), purpose="appeals")
    other.appeals.decide(ids["blocked"], "upheld", rationale="it is what it is")
    log.close()
    assert verify_log(paths_of(log).home).problems == ()
