"""Queues that flow: what is escalated waits again, many at once, prompts allowed, tasks skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import Actor, Rule
from tests.support.desk_house import BLOCKED, DeskHouse, code_of, open_house
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from chopmark import Pipeline

QUEUE = "blocks"
RULES = f"- queue: {QUEUE}\n  decision: block\n  escalate_to: senior\n"


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline], tmp_path: Path) -> Iterator[DeskHouse]:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    pipeline = open_pipeline(
        generator=StandIn(), requests_per_minute=0, abuse="none", review_rules=rules
    )
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def _refused(house: DeskHouse, tenant: str = "acme", count: int = 1) -> list[str]:
    key = house.key(tenant)
    names = [
        house.ask(key, f"{BLOCKED} {number}").json()["error"]["decision_id"]
        for number in range(count)
    ]
    actor = Actor(name="router", roles=frozenset({"writer"}), tenant=None)
    desk = house.pipeline.parts.log.desk(actor, purpose="test")
    desk.review.route([Rule(queue=QUEUE, decision="block")])
    return names


def _lease(client: httpx.Client, queue: str = QUEUE) -> Any:
    return client.post("/api/v1/review/lease", json={"queue": queue}).json()["task"]


def _decide(client: httpx.Client, record: str, decision: str, **more: Any) -> httpx.Response:
    body = {"decision": decision, "rationale": "a note for you", **more}
    return client.post(f"/api/v1/review/{record}/decide", json=body)


def test_what_is_escalated_waits_in_the_next_queue_with_its_note(house: DeskHouse) -> None:
    (record,) = _refused(house)
    rex, sue = (house.sign_in(name, "acme", "reviewer") for name in ("rex", "sue"))
    since = _lease(rex)["queued"]
    assert _decide(rex, record, "escalated").status_code == 200
    (task,) = sue.get("/api/v1/review/tasks").json()["tasks"]
    assert (task["queue"], task["decision"], task["holder"]) == ("senior", None, None)
    assert task["queued"] == since  # it has waited since its request ended
    assert _lease(sue, "senior")["record_id"] == record
    look = {"evidence": "true", "purpose": "review"}
    events = sue.get(f"/api/v1/records/{record}", params=look).json()["events"]
    notes = [e["private"]["rationale"] for e in events if e["kind"] == "review.decided"]
    assert notes == ["a note for you"]
    assert _decide(sue, record, "confirmed").status_code == 200
    assert sue.get("/api/v1/review/tasks").json()["tasks"] == []


def test_an_overturned_refusal_lets_the_prompt_pass_for_a_time(house: DeskHouse) -> None:
    (record,) = _refused(house)
    rex, key = house.sign_in("rex", "acme", "reviewer"), house.key("acme")
    _lease(rex)
    early = _decide(rex, record, "confirmed", allow_until="2099-01-01T00:00:00Z")
    assert code_of(early) == "invalid_request"
    done = _decide(rex, record, "overturned", allow_until="2099-01-01T00:00:00Z")
    assert done.status_code == 200, done.text
    assert house.ask(key, f"{BLOCKED} 0").status_code == 200
    assert house.ask(key, f"{BLOCKED} 1").status_code == 400
    assert house.ask(house.key("globex"), f"{BLOCKED} 0").status_code == 400
    # And back: the exception ends, with a reason, on the record that it was granted on.
    (one,) = rex.get("/api/v1/review/exceptions").json()["exceptions"]
    assert one["record_id"] == record
    end = f"/api/v1/review/exceptions/{one['index']}/revoke"
    assert house.sign_in("gus", "globex", "reviewer").get("/api/v1/review/exceptions").json() == {
        "exceptions": []
    }
    ended = rex.post(end, json={"rationale": "a mistake"})
    assert (ended.status_code, ended.json()["event"]["record_id"]) == (200, record), ended.text
    assert house.ask(key, f"{BLOCKED} 0").status_code == 400
    assert code_of(rex.post(end, json={"rationale": "again"})) == "record_not_found"


def test_many_are_decided_for_one_reason_each_as_an_entry_of_its_own(house: DeskHouse) -> None:
    mine, theirs = _refused(house, "acme", 4), _refused(house, "globex")
    rex, sue = (house.sign_in(name, "acme", "reviewer") for name in ("rex", "sue"))
    held = _lease(sue)["record_id"]
    asked = [*mine, mine[1], theirs[0], "0123456789abcde0"]
    body = {"records": asked, "decision": "confirmed", "rationale": "the same template"}
    said = rex.post("/api/v1/review/bulk", json=body)
    assert said.status_code == 200, said.text
    results = said.json()["results"]
    assert [one["record_id"] for one in results] == asked
    codes = [one["error"]["code"] if "error" in one else None for one in results]
    free = dict.fromkeys(mine) | {held: "not_permitted"}
    wanted = [free[name] for name in mine]
    assert codes == [*wanted, "duplicate_record", "record_not_found", "record_not_found"]
    assert said.json()["decided"] == 3
    log = house.pipeline.parts.log
    for name in mine:
        decided = [entry for entry in log.records(name) if entry.kind == "review.decided"]
        assert len(decided) == (name != held)
    many = {**body, "records": ["0" * 16] * 1001}
    assert code_of(rex.post("/api/v1/review/bulk", json=many)) == "invalid_request"
    ron = house.sign_in("ron", "acme", "reader")
    assert code_of(ron.post("/api/v1/review/bulk", json=body)) == "missing_scope"


def test_a_task_that_was_skipped_goes_to_somebody_else(house: DeskHouse) -> None:
    (record,) = _refused(house)
    rex, sue = (house.sign_in(name, "acme", "reviewer") for name in ("rex", "sue"))
    skip = f"/api/v1/review/{record}/skip"
    assert code_of(rex.post(skip, json={"reason": "x"})) == "not_permitted"
    _lease(rex)
    assert rex.post(skip, json={"reason": "I know them"}).status_code == 200
    assert _lease(rex) is None
    assert _lease(sue)["record_id"] == record
    said = {"text": "see the other one"}
    assert rex.post(f"/api/v1/records/{record}/comments", json=said).status_code == 200
    assert house.pipeline.parts.log.records(record)[-1].kind == "review.commented"


def test_a_server_routes_what_ended_by_itself(house: DeskHouse) -> None:
    from tests.support.wait import until

    key, rex = house.key("acme"), house.sign_in("rex", "acme", "reviewer")
    record = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    until(lambda: bool(rex.get("/api/v1/review/tasks").json()["tasks"]))
    assert rex.get("/api/v1/review/tasks").json()["tasks"][0]["record_id"] == record
