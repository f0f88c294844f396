"""What the desk decides has an effect: on the next request, on verify, on whoever asks again."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.desk_house import BLOCKED, DeskHouse, code_of, open_house
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from chopmark import Pipeline

WHY = "reported by the person shown"
MISSING = "0123456789abcde0"


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline]) -> Iterator[DeskHouse]:
    pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0, abuse="none")
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def _act(client: httpx.Client, where: str, action: str, **more: Any) -> httpx.Response:
    body = {"action": action, "rationale": WHY, **more}
    return client.post(f"/api/v1/{where}/actions", json=body)


def _made(house: DeskHouse, key: httpx.Client, prompt: str = "a red disc") -> tuple[str, bytes]:
    answer = house.ask(key, prompt, response_format="b64_json")
    assert answer.status_code == 200, answer.text
    picture = base64.b64decode(answer.json()["data"][0]["b64_json"])
    return answer.headers["x-record-id"], picture


def _verify(client: httpx.Client, picture: bytes) -> Any:
    return client.post("/api/v1/verify", files={"image": picture}).json()


# Pictures


def test_a_withdrawn_picture_says_so_and_the_withdrawal_can_be_taken_back(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    record, picture = _made(house, key)
    before = _verify(key, picture)
    assert before["verdict"] == "made_here"
    assert (before["record"]["withdrawn"], before["record"]["withdrawn_at"]) == (False, None)
    done = _act(ida, f"records/{record}", "withdraw")
    assert done.status_code == 200, done.text
    event = done.json()["event"]
    assert event["kind"] == "output.withdrawn"
    after = _verify(key, picture)
    assert after["record"]["withdrawn"] is True
    assert after["record"]["withdrawn_at"] == event["time"]
    assert any("withdrew" in note for note in after["notes"])
    shown = ida.get(f"/api/v1/records/{record}").json()["events"]
    assert shown[-1]["kind"] == "output.withdrawn"
    private = house.pipeline.parts.log.private(event["index"]) or {}
    assert (private["rationale"], private["by"]) == (WHY, "ida")
    assert code_of(_act(ida, f"records/{record}", "withdraw")) == "duplicate_record"
    assert _act(ida, f"records/{record}", "restore").status_code == 200
    assert _verify(key, picture)["record"]["withdrawn"] is False
    assert code_of(_act(ida, f"records/{record}", "restore")) == "invalid_request"


def test_a_withdrawn_picture_is_handed_out_by_nobody(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    once = {"idempotency-key": "one"}
    body = {"prompt": "a red disc", "response_format": "b64_json"}
    first = key.post("/v1/images/generations", json=body, headers=once)
    record = first.headers["x-record-id"]
    picture = base64.b64decode(first.json()["data"][0]["b64_json"])
    manifest = _verify(key, picture)["manifest"]["id"]
    url = f"/api/v1/c2pa/manifests/{manifest}"

    def matches() -> Any:
        kind = {"content-type": "image/png"}
        answer = key.post("/api/v1/c2pa/matches/byContent", content=picture, headers=kind)
        return answer.json()["matches"]

    assert key.get(url).status_code == 200
    assert matches()
    again = key.post("/v1/images/generations", json=body, headers=once)
    assert again.headers["idempotent-replayed"] == "true"

    assert _act(ida, f"records/{record}", "withdraw").status_code == 200
    assert code_of(key.get(url)) == "manifest_not_found"
    assert not matches()
    replayed = key.post("/v1/images/generations", json=body, headers=once)
    assert (replayed.status_code, code_of(replayed)) == (410, "output_withdrawn")

    assert _act(ida, f"records/{record}", "restore").status_code == 200
    assert key.get(url).status_code == 200
    assert key.post("/v1/images/generations", json=body, headers=once).status_code == 200


def test_who_may_withdraw_and_what(house: DeskHouse) -> None:
    key = house.key("acme")
    record, _ = _made(house, key)
    where = f"records/{record}"
    for client in (house.sign_in("ron", "acme", "reader", "exporter", "operator"), key):
        assert code_of(_act(client, where, "withdraw")) == "not_permitted"
    other = house.sign_in("gus", "globex", "investigator")
    assert code_of(_act(other, where, "withdraw")) == "record_not_found"
    rex = house.sign_in("rex", "acme", "reviewer")
    assert code_of(_act(rex, f"records/{MISSING}", "withdraw")) == "record_not_found"
    assert code_of(_act(rex, where, "withdraw", rationale="")) == "invalid_request"
    assert code_of(_act(rex, where, "burn")) == "invalid_request"
    refused = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    assert code_of(_act(rex, f"records/{refused}", "withdraw")) == "invalid_request"
    assert code_of(_act(rex, f"records/{refused}", "release")) == "invalid_request"
    every = house.sign_in("eve", None, "investigator")
    assert _act(every, where, "withdraw").status_code == 200


class _DoubtsPictures:
    """A picture guard that sends every output to review."""

    def __init__(self, guard: Any) -> None:
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guard, name)

    def judge(self, image: Any, policy: Any, **options: Any) -> Any:
        said = self._guard.judge(image, policy, **options)
        doubtful = options.get("stage") == "output" and said.action == "allow"
        return replace(said, action="review", categories=("violence",)) if doubtful else said


def test_a_held_picture_is_released_to_whoever_has_the_link(
    open_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = open_pipeline(
        generator=StandIn(), requests_per_minute=0, abuse="none", on_review="refuse"
    )
    pipeline.parts.use(image_guard=_DoubtsPictures(pipeline.parts.image_guard))
    with open_house(pipeline, "acme") as house:
        key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
        refused = house.ask(key, "a red disc", user="u-1")
        assert code_of(refused) == "moderation_blocked"
        record = refused.json()["error"]["decision_id"]
        nobody, url = house.client(), f"/api/v1/released/{record[:-1]}1"
        assert code_of(nobody.get(url)) == "record_not_found"
        done = _act(ida, f"records/{record}", "release")
        assert done.status_code == 200, done.text
        link = done.json()["url"]
        file = nobody.get(link)
        assert file.headers["content-type"] == "image/png"
        looked = _verify(key, file.content)
        assert looked["verdict"] == "made_here"
        assert looked["record"]["record_id"] == record
        for wrong in (url, link[:-1], link.replace("ticket=", "ticket=0")):
            assert nobody.get(wrong).status_code == 404
        assert _act(ida, f"records/{record}", "withdraw").status_code == 200
        assert code_of(nobody.get(link)) == "output_withdrawn"
        assert _verify(key, file.content)["record"]["withdrawn"] is True


# People


def test_a_suspended_person_is_turned_away_until_reinstated(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    assert house.ask(key, "a red disc", user="u-007").status_code == 200
    booked = _act(ida, "people/acme:u-007", "suspend")
    assert booked.status_code == 200, booked.text
    refused = house.ask(key, "a green disc", user="u-007")
    assert (refused.status_code, code_of(refused)) == (403, "person_suspended")
    assert house.ask(key, "a red disc", user="u-008").status_code == 200
    other = house.key("globex")
    assert house.ask(other, "a red disc", user="u-007").status_code == 200

    seen = ida.get("/api/v1/people/acme:u-007").json()
    assert seen["suspended"]["until"] is None
    assert seen["counts"]["turned_away"] == 1
    assert [act["action"] for act in seen["actions"]] == ["suspend"]
    assert seen["actions"][0]["rationale"] == WHY
    assert _act(ida, "people/u-007", "reinstate").status_code == 200
    assert house.ask(key, "a red disc", user="u-007").status_code == 200
    assert code_of(_act(ida, "people/u-007", "reinstate")) == "invalid_request"
    log = house.pipeline.parts.log
    kinds = [log.find(kind=kind)[0].tenant for kind in ("person.suspended", "person.reinstated")]
    assert kinds == ["acme", "acme"]


def test_a_suspension_ends_by_itself_and_survives_a_restart(house: DeskHouse) -> None:
    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
    house.ask(key, "a red disc", user="u-1")
    past = _act(ida, "people/acme:u-1", "suspend", until="2020-01-01T00:00:00Z")
    assert code_of(past) == "invalid_request"
    done = _act(ida, "people/acme:u-1", "suspend", until="2099-01-01T00:00:00Z")
    assert done.json()["event"]["public"]["until"].startswith("2099-01-01")
    assert code_of(house.ask(key, "a disc", user="u-1")) == "person_suspended"
    found = house.pipeline.parts.log.suspensions.find("acme:u-1")
    assert found is not None
    assert (found.until or "").startswith("2099")


def test_somebody_may_be_suspended_before_they_ever_asked(house: DeskHouse) -> None:
    ida = house.sign_in("ida", "acme", "investigator")
    assert code_of(_act(ida, "people/new", "suspend")) == "person_not_found"
    assert code_of(_act(ida, "people/globex:new", "suspend")) == "person_not_found"
    assert code_of(_act(ida, "people/acme:new", "warn")) == "person_not_found"
    assert _act(ida, "people/acme:new", "suspend").status_code == 200
    assert code_of(house.ask(house.key("acme"), "a disc", user="new")) == "person_suspended"
    assert ida.get("/api/v1/people/acme:new").json()["suspended"] is not None


def test_people_are_listed_and_found_without_their_tenant(house: DeskHouse) -> None:
    for tenant in ("acme", "globex"):
        key = house.key(tenant)
        house.ask(key, "a red disc", user="u-007")
        house.ask(key, BLOCKED, user="u-007")
        house.ask(key, "a blue disc", user=f"{tenant} only")
    reader = house.key("acme", "read")
    listed = reader.get("/api/v1/people").json()["people"]
    assert [one["person"] for one in listed] == ["acme:acme only", "acme:u-007"]
    none = dict.fromkeys(("review", "failed", "open", "turned_away"), 0)
    assert listed[1]["counts"] == {"requests": 2, "allow": 1, "block": 1, **none}
    found = reader.get("/api/v1/people", params={"q": "U-0"}).json()["people"]
    assert [one["identifier"] for one in found] == ["u-007"]
    assert code_of(reader.get("/api/v1/people/globex:u-007")) == "person_not_found"
    assert code_of(reader.get("/api/v1/people/nobody")) == "person_not_found"
    assert len(reader.get("/api/v1/people/u-007").json()["records"]) == 2
    every = house.sign_in("eve", None, "investigator")
    assert len(every.get("/api/v1/people", params={"q": "007"}).json()["people"]) == 2
    assert code_of(every.get("/api/v1/people/u-007")) == "invalid_request"  # of which tenant?
    look = {"evidence": "true", "purpose": "case 1"}
    prompts = every.get("/api/v1/people/globex:u-007", params=look).json()["records"]
    assert [one["prompt"] for one in prompts] == [BLOCKED, "a red disc"]
    assert code_of(reader.get("/api/v1/people/u-007", params=look)) == "not_permitted"


def test_strikes_lead_where_the_rules_of_the_tenant_say(
    open_pipeline: Callable[..., Pipeline], tmp_path: Any
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: short\nrules: []\nstrikes:\n  half_life_days: 30\n  levels:\n"
        "    - {name: twice, at_least: 1.5, then: warn}\n"
        "    - {name: three times, at_least: 2.5, then: suspend, minutes: 60}\n"
    )
    pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0, abuse=str(rules))
    with open_house(pipeline, "acme") as house:
        key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator")
        codes = [code_of(house.ask(key, f"{BLOCKED} {i}", user="u")) for i in range(4)]
        assert codes == ["moderation_blocked"] * 3 + ["person_suspended"]
        seen = ida.get("/api/v1/people/u").json()
        assert [act["action"] for act in seen["actions"]] == ["suspend", "warn"]
        assert seen["strikes"]["sum"] == pytest.approx(3, abs=0.01)
        assert [level["reached"] for level in seen["strikes"]["levels"]] == [True, True]
