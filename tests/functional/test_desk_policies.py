"""The policy workbench over HTTP: the effect on the past, golden cases, two persons to adopt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.safety.policy.load import policy_path
from tests.support.desk_house import BLOCKED, DeskHouse, code_of, open_house
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark import Pipeline

STRICT = policy_path("strict").read_text(encoding="utf-8")


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline]) -> Iterator[DeskHouse]:
    pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0, abuse="none")
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def test_a_policy_is_tried_on_the_past_and_adopted_by_two(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    harmless = "a soldier with a rifle in a ruined street"
    house.ask(key, harmless)
    house.ask(house.key("globex"), harmless)
    asked = {"yaml": STRICT, "limit": 100}
    tried = ida.post("/api/v1/policies/try", json=asked)
    assert tried.status_code == 200, tried.text
    assert tried.json()["judged"] == 1  # of the own tenant alone
    assert tried.json()["changes"]
    before = ida.get("/api/v1/policies/active").json()["digest"]
    assert before == tried.json()["before"]

    url = "/api/v1/policies/proposals"
    made = ida.post(url, json={"yaml": STRICT, "reason": "an audit"})
    assert made.status_code == 200, made.text
    agree = f"{url}/{made.json()['id']}/agree"
    assert code_of(ida.post(agree)) == "not_permitted"
    gus = house.sign_in("gus", "globex", "investigator")
    assert code_of(gus.post(agree)) == "record_not_found"
    ivo = house.sign_in("ivo", "acme", "operator")
    assert ivo.post(agree).status_code == 200
    assert ida.get("/api/v1/policies/active").json()["digest"] == tried.json()["after"]
    assert code_of(ivo.post(agree)) == "invalid_request"
    assert gus.get("/api/v1/policies/active").json()["digest"] == before
    other = {"yaml": STRICT, "reason": "x", "tenant": "globex"}
    assert code_of(ida.post(url, json=other)) == "not_permitted"
    bad = {"yaml": "name: x", "reason": "x"}
    assert code_of(ida.post(url, json=bad)) == "invalid_policy"


def test_a_shadow_policy_is_switched_on_and_off_and_only_logged(house: DeskHouse) -> None:
    key, olga = house.key("acme"), house.sign_in("olga", None, "operator")
    log = house.pipeline.parts.log

    def shadow_of_next() -> object:
        assert house.ask(key, "a red disc").status_code == 200
        return log.find(kind="request.decided", limit=1)[0].public.get("shadow")

    assert shadow_of_next() is None
    url = "/api/v1/policies/shadow"
    on = olga.put(url, json={"yaml": STRICT, "reason": "before we adopt it"})
    assert on.status_code == 200, on.text
    booked = shadow_of_next()
    assert isinstance(booked, dict)
    assert booked["policy"] == on.json()["shadow"]
    assert olga.put(url, json={"yaml": None, "reason": "enough"}).json() == {"shadow": None}
    assert shadow_of_next() is None
    one = house.sign_in("one", "acme", "operator")
    assert code_of(one.put(url, json={"reason": "x"})) == "not_permitted"


def test_a_record_becomes_a_golden_case_and_is_judged(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    record = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    url = "/api/v1/policies/golden"
    assert ida.get(url).json() == {"ok": True, "total": 0, "failures": []}
    case = {"record_id": record, "action": "block", "rationale": "plain"}
    made = ida.post(url, json=case)
    assert made.status_code == 200, made.text
    assert made.json()["event"]["kind"] == "case.added"
    assert ida.get(url).json()["ok"] is True
    assert ida.post(url, json={**case, "action": "allow"}).json()["cases"] == 1
    said = ida.get(url).json()
    assert (said["ok"], said["failures"][0]["action"]) == (False, "block")
    off = {"record_id": record, "rationale": "a mistake"}
    gone = ida.post(f"{url}/remove", json=off)
    assert (gone.status_code, gone.json()["cases"]) == (200, 0), gone.text
    assert gone.json()["event"]["kind"] == "case.removed"
    assert code_of(ida.post(f"{url}/remove", json=off)) == "record_not_found"
    assert ida.get(url).json()["total"] == 0
    assert code_of(house.sign_in("rex", "acme", "reviewer").post(url, json=case)) == "not_permitted"
