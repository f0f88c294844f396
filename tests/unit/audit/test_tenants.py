"""A person of one tenant: what is another's does not exist, whatever call is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from chopmark.audit import Actor, AuditLog, Event, Query, Role, Rule, StatementTemplate, verify_log
from chopmark.errors import ErasureRefused, InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.ids import new_record_id
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.audit import EventKind

    OpenLog = Callable[..., AuditLog]

TEMPLATE = StatementTemplate(reference="Terms", explanation="Not allowed.")
PDQ = "5a" * 32


def person(name: str, tenant: str | None) -> Actor:
    return Actor(name=name, roles=frozenset(get_args(Role)), tenant=tenant)


def refused(log: AuditLog, tenant: str, *categories: str) -> str:
    record_id = new_record_id()
    listed: list[Any] = list(categories or ("violence",))
    members: dict[str, Any] = {
        "record_id": record_id,
        "tenant": tenant,
        "subject": f"{tenant}:7",
    }
    log.append(
        Event(
            kind="request.received",
            public={"model": "m@1"},
            private={"prompt": f"a prompt of {tenant}"},
            **members,
        )
    )
    log.append(
        Event(
            kind="request.refused",
            public={"stage": "input", "categories": listed},
            private={"pdq": {record_id: PDQ}},
            **members,
        )
    )
    return record_id


class Two:
    """A log with one refusal of each of two tenants, queued and appealed against."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self.a, self.b = refused(log, "a"), refused(log, "b")
        self.operator = log.desk(person("Olga", None), purpose="p")
        self.operator.review.route([Rule(queue="q")])
        for record_id in (self.a, self.b):
            log.appeals.open(record_id, statement="look again")
        self.desk = log.desk(person("Ada", "a"), purpose="p")


@pytest.fixture
def two(open_log: OpenLog) -> Two:
    return Two(open_log())


def test_only_ones_own_is_found(two: Two) -> None:
    for query in (Query(), Query(text="prompt"), Query(similar_to=PDQ), Query(decision="block")):
        assert [hit.record_id for hit in two.desk.search(query)] == [two.a], query
        assert {hit.tenant for hit in two.operator.search(query)} == {"a", "b"}
    assert two.desk.search(Query(subject="b:7")) == []
    assert {record.tenant for record in two.desk.entries()} == {"a"}
    assert {record.tenant for record in two.operator.entries()} == {"a", "b", "chopmark"}
    assert [task.record_id for task in two.desk.review.tasks()] == [two.a]
    assert [appeal.record_id for appeal in two.desk.appeals.listed()] == [two.a]
    assert two.desk.export.report()["requests"] == {"received": 1, "refused": 1}
    assert two.operator.export.report()["requests"] == {"received": 2, "refused": 2}
    two.operator.queries.save("mine", Query(text="secret"))
    assert two.desk.queries.newest() == []


FORBIDDEN: dict[str, Callable[[Two], object]] = {
    "search": lambda two: two.desk.search(Query(tenant="b")),
    "save": lambda two: two.desk.queries.save("x", Query(tenant="b")),
    "records": lambda two: two.desk.records(two.b),
    "view": lambda two: two.desk.view(two.b),
    "unblur": lambda two: two.desk.unblur(two.b),
    "seal": lambda two: two.desk.seal(two.b, reason="r"),
    "unseal": lambda two: two.desk.unseal(two.b, second=person("Max", "a"), reason="r"),
    "renew": lambda two: two.desk.review.renew(two.b),
    "release": lambda two: two.desk.review.release(two.b),
    "decide": lambda two: two.desk.review.decide(two.b, "confirmed", rationale="r"),
    "appeal": lambda two: two.desk.appeals.decide(two.b, "upheld", rationale="r"),
    "state": lambda two: two.log.appeals.state(two.b, tenant="a"),
    "appealing": lambda two: two.log.appeals.open(two.b, statement="mine", tenant="a"),
    "export": lambda two: two.desk.export.records(
        Query(tenant="b"), paths_of(two.log).home / "x", second=person("Max", "a")
    ),
    "second": lambda two: two.operator.export.records(
        Query(), paths_of(two.log).home / "x", second=person("Max", "a")
    ),
    "erase": lambda two: two.desk.erase("b:7", second=person("Max", "a"), reason="r"),
    "hold": lambda two: two.desk.place_hold("b:7", basis="b"),
    "hold of nobody": lambda two: two.desk.place_hold("b:8", basis="b"),
    "retention": lambda two: two.desk.expire({}),
    "looked at": lambda two: two.desk.view(
        two.log.find(kind="review.queued", tenant="b")[0].record_id
    ),
    "system": lambda two: two.desk.view(two.log.find(tenant="chopmark")[0].record_id),
}


def test_what_is_anothers_is_not_there(two: Two) -> None:
    two.desk.search(Query())  # so that there is an entry of the log's own
    for name, call in FORBIDDEN.items():
        with pytest.raises((NotPermitted, RecordNotFound)):
            pytest.fail(f"{name} gave {call(two)}")
    kinds = [record.kind for record in two.log.find(tenant="b")]
    assert kinds == ["appeal.opened", "review.queued", "request.refused", "request.received"]
    assert two.log.private(two.log.records(two.b)[0].index) is not None


def test_leases_stay_with_the_tenant(two: Two) -> None:
    task = two.desk.review.lease("q")
    assert task is not None
    assert task.record_id == two.a
    assert two.desk.review.lease("q") is None
    namesake = two.log.desk(person("Ada", "b"), purpose="p")
    assert namesake.review.lease("q") is not None
    for record_id in (two.a, two.b):
        one, other = (two.desk, namesake) if record_id == two.a else (namesake, two.desk)
        with pytest.raises(NotPermitted):
            other.review.decide(record_id, "confirmed", rationale="r")
        one.review.decide(record_id, "confirmed", rationale="r")
    appeal = two.log.desk(person("Max", "a"), purpose="p").appeals.lease()
    assert appeal is not None
    assert appeal.record_id == two.a
    assert two.log.desk(person("Moritz", "a"), purpose="p").appeals.lease() is None


def test_an_operators_namesake_holds_nothing_for_a_tenant(two: Two) -> None:
    operator = two.log.desk(person("Ada", None), purpose="p")
    task = operator.review.lease("q")
    assert task is not None
    assert task.record_id == two.a
    with pytest.raises(NotPermitted):
        two.desk.review.decide(two.a, "confirmed", rationale="r")


def test_exports_and_statements_hold_ones_own(two: Two, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    two.desk.export.records(Query(), folder, second=person("Max", "a"), content=True)
    text = (folder / "entries.jsonl").read_text()
    assert two.a in text
    assert two.b not in text
    assert "prompt of b" not in text
    statements = two.desk.export.statements(TEMPLATE, second=person("Max", "a"))
    assert [item["puid"] for item in statements] == [two.a]


def test_erasing_and_holding_ones_own(two: Two) -> None:
    hold = two.operator.place_hold("a:7", basis="court order")
    assert two.desk.holds() == []
    with pytest.raises(RecordNotFound):
        two.desk.release_hold(hold.index, reason="mine")
    with pytest.raises(ErasureRefused):
        two.desk.erase("a:7", second=person("Max", "a"), reason="asked")
    two.operator.release_hold(hold.index, reason="over")
    mine = two.desk.place_hold("a:7", basis="complaint")
    assert [item.index for item in two.desk.holds()] == [mine.index]
    two.desk.release_hold(mine.index, reason="over")
    two.desk.erase("a:7", second=person("Max", "a"), reason="asked")
    assert two.log.private(two.log.records(two.a)[0].index) is None
    for tenant in ("a", "b"):
        two.log.append(
            Event(
                kind="request.received",
                record_id=new_record_id(),
                tenant=tenant,
                subject="shared",
                private={"prompt": "x"},
            )
        )
    with pytest.raises(ErasureRefused, match="alone"):
        two.desk.erase("shared", second=person("Max", "a"), reason="asked")
    two.operator.erase("shared", second=person("Max", None), reason="asked")
    two.log.close()
    assert verify_log(paths_of(two.log).home).problems == ()


@pytest.mark.parametrize("tenant", ["", " ", "*", "chopmark"])
def test_nobody_is_of_such_a_tenant(tenant: str) -> None:
    with pytest.raises(InvalidRequest):
        person("Ada", tenant)


@pytest.mark.parametrize("tenant", ["*", "chopmark"])
def test_nobody_asks_as_every_tenant_or_as_the_log(tenant: str) -> None:
    with pytest.raises(InvalidRequest):
        Event(kind="request.received", record_id=new_record_id(), tenant=tenant)


def test_a_seal_takes_two_to_open(two: Two, tmp_path: Path) -> None:
    two.desk.view(two.a)
    two.desk.seal(two.a, reason="reported to the police")
    for call in (two.desk.view, two.desk.unblur, two.operator.view):
        with pytest.raises(NotPermitted, match="sealed"):
            call(two.a)
    two.desk.export.records(Query(), tmp_path / "x", second=person("Max", "a"), content=True)
    assert "a prompt of a" not in (tmp_path / "x" / "entries.jsonl").read_text()
    with pytest.raises(NotPermitted):
        two.desk.unseal(two.a, second=person("Ada", "a"), reason="asked by the court")
    two.desk.unseal(two.a, second=person("Max", "a"), reason="asked by the court")
    assert two.desk.view(two.a).private[0] == {"prompt": "a prompt of a"}
    two.log.search.rebuild()
    two.desk.view(two.a)
    two.desk.seal(two.a, reason="seen")
    with pytest.raises(NotPermitted, match="sealed"):
        two.desk.view(two.a)
    kinds = [record.kind for record in two.log.records(two.a)]
    assert kinds.count("record.sealed") == 2
    assert kinds.count("record.unsealed") == 1


@pytest.mark.parametrize("kind", ["request.completed", "moderation.completed"])
def test_what_is_restricted_is_sealed_however_it_ended(open_log: OpenLog, kind: EventKind) -> None:
    log, record_id = open_log(), new_record_id()
    if kind == "request.completed":
        log.append(Event(kind="request.received", record_id=record_id, tenant="a"))
    log.append(
        Event(
            kind=kind,
            record_id=record_id,
            tenant="a",
            public={"restricted": True},
            private={"texts": ["a text"]},
        )
    )
    desk = log.desk(person("Ada", None), purpose="p")
    desk.search(Query(tenant="a"))
    with pytest.raises(NotPermitted, match="sealed"):
        desk.view(record_id)


def test_what_concerns_minors_is_sealed_from_the_start(open_log: OpenLog) -> None:
    log = open_log()
    record_id = refused(log, "a", "sexual/minors")
    desk = log.desk(person("Ada", None), purpose="p")
    with pytest.raises(NotPermitted, match="sealed"):
        desk.view(record_id)
    log.appeals.open(record_id, statement="a mistake")
    with pytest.raises(NotPermitted, match="never excepted"):
        desk.appeals.decide(
            record_id, "overturned", rationale="r", allow_until="2999-01-01T00:00:00Z"
        )
    assert log.find(kind="appeal.decided") == []
    desk.appeals.decide(record_id, "overturned", rationale="a mistake of ours")
    assert log.exceptions.standing() == []
