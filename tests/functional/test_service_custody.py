"""Erasure, holds and seals over HTTP: who asks, who agrees, and what is booked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import Pipeline
from chopmark.audit import Event
from chopmark.kit.ids import new_record_id
from chopmark.service.two_persons import TwoPersons
from chopmark.tenancy import AccessStore, People, Tenant
from tests.support.generator import StandIn
from tests.support.server import Live, serve

if TYPE_CHECKING:
    import httpx

WHY = {"reason": "asked on 25 November"}


@dataclass
class House:
    """A server of two tenants."""

    live: Live
    people: People
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def log(self) -> Any:
        return self.live.pipeline.parts.log

    def client(self, **headers: str) -> httpx.Client:
        client = self.live.client()
        client.headers.update(headers)
        self.clients.append(client)
        return client

    def person(self, name: str, tenant: str | None, *roles: str) -> httpx.Client:
        self.people.add(name, roles=roles, tenant=tenant)
        client = self.client()
        said = client.post("/api/v1/session", json={"link": self.people.link(name)})
        client.headers["x-csrf-token"] = said.json()["csrf_token"]
        return client

    def key(self, tenant: str, *scopes: str) -> tuple[str, httpx.Client]:
        with AccessStore.open(self.live.pipeline.parts.home) as store:
            made = store.create_key(tenant, scopes=scopes)
        return made.key.key_id, self.client(authorization=f"Bearer {made.text}")

    def record(self, tenant: str, subject: str) -> str:
        """Book a moderation of a person's words; return the record's id."""
        record_id = new_record_id()
        self.log.append(
            Event(
                kind="moderation.completed",
                record_id=record_id,
                tenant=tenant,
                subject=subject,
                private={"texts": ["a red apple"]},
            )
        )
        return record_id


@pytest.fixture
def house(home: Path, open_pipeline: Callable[..., Pipeline]) -> Iterator[House]:
    pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0)
    with People.open(home) as people, serve(pipeline) as live:
        with AccessStore.open(home) as store:
            for name in ("acme", "globex"):
                store.set_tenant(Tenant(name=name))
        made = House(live, people)
        yield made
        for client in made.clients:
            client.close()


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_an_erasure_takes_two_persons(house: House) -> None:
    record_id = house.record("acme", "acme:42")
    ada = house.person("ada", "acme", "eraser")
    asked = ada.post("/api/v1/erasures", json={"subject": "acme:42", **WHY}).json()
    assert (asked["act"], asked["of"], asked["asked_by"]) == ("erase", "acme:42", "ada")
    url = f"/api/v1/custody/{asked['request_id']}/agree"
    assert code(ada.post(url)) == "not_permitted"  # alone
    for other in (
        house.person("gil", "globex", "eraser"),
        house.person("ina", "acme", "investigator"),
    ):
        assert code(other.post(url)) == "record_not_found"
        assert other.get("/api/v1/custody").json() == {"requests": []}
    assert code(house.person("rex", "acme", "reader").post(url)) == "not_permitted"
    assert house.log.private(house.log.records(record_id)[0].index) is not None
    max_ = house.person("max", "acme", "eraser")
    assert [one["of"] for one in max_.get("/api/v1/custody").json()["requests"]] == ["acme:42"]
    done = max_.post(url).json()["event"]
    assert done["kind"] == "erasure.completed"
    assert house.log.private(house.log.records(record_id)[0].index) is None
    started = house.log.get(done["public"]["started"])
    assert house.log.private(started.index)["by"] == ["ada", "max"]
    assert code(max_.post(url)) == "record_not_found"  # it was done


def test_a_key_asks_and_never_agrees(house: House) -> None:
    house.record("acme", "acme:42")
    house.record("globex", "globex:1")
    key_id, key = house.key("acme", "erase")
    asked = key.post("/api/v1/erasures", json={"subject": "acme:42", **WHY}).json()
    url = f"/api/v1/custody/{asked['request_id']}/agree"
    _, second = house.key("acme", "erase", "hold", "seal")
    assert code(second.post(url)) == "not_permitted"
    assert code(second.get("/api/v1/custody")) == "not_permitted"
    max_ = house.person("max", None, "eraser")  # of every tenant
    other = key.post("/api/v1/erasures", json={"subject": "globex:1", **WHY}).json()
    agreed = max_.post(f"/api/v1/custody/{other['request_id']}/agree")
    assert code(agreed) == "record_not_found"  # the key's tenant has nothing of this person
    assert max_.post(url).status_code == 200
    assert asked["asked_by"] == f"key:{key_id}"
    _, poor = house.key("acme", "read", "generate")
    assert poor.post("/api/v1/erasures", json={"subject": "acme:42", **WHY}).status_code == 403


def test_who_may_no_longer_does_not_count(house: House, home: Path) -> None:
    house.record("acme", "acme:42")
    key_id, key = house.key("acme", "erase")
    ada, max_ = (house.person(name, "acme", "eraser") for name in ("ada", "max"))
    body = {"subject": "acme:42", **WHY}
    asked = [each.post("/api/v1/erasures", json=body).json() for each in (ada, key)]
    house.people.disable("ada")
    with AccessStore.open(home) as store:
        store.revoke(key_id)
    for one in asked:
        answer = max_.post(f"/api/v1/custody/{one['request_id']}/agree")
        assert code(answer) == "not_permitted"
        assert "any more" in answer.json()["error"]["message"]


def test_holds(house: House) -> None:
    house.record("acme", "acme:42")
    _, key = house.key("acme", "hold")
    placed = key.post("/api/v1/holds", json={"subject": "acme:42", "basis": "court order 17"})
    assert placed.json()["event"]["kind"] == "hold.placed"
    index = placed.json()["event"]["index"]
    ada, max_ = (house.person(name, "acme", "eraser") for name in ("ada", "max"))
    assert [one["basis"] for one in ada.get("/api/v1/holds").json()["holds"]] == ["court order 17"]
    assert house.person("gil", "globex", "eraser").get("/api/v1/holds").json() == {"holds": []}
    erasing = ada.post("/api/v1/erasures", json={"subject": "acme:42", **WHY}).json()
    refused = max_.post(f"/api/v1/custody/{erasing['request_id']}/agree")
    assert (refused.status_code, code(refused)) == (409, "erasure_refused")
    asked = ada.post(f"/api/v1/holds/{index}/release", json=WHY).json()
    url = f"/api/v1/custody/{asked['request_id']}/agree"
    assert code(ada.post(url)) == "not_permitted"
    released = max_.post(url).json()["event"]
    assert released["public"] == {"hold": index}
    assert house.log.private(released["index"])["by"] == "ada, max"
    assert ada.get("/api/v1/holds").json() == {"holds": []}
    nothing = ada.post(f"/api/v1/holds/{index}/release", json=WHY).json()
    assert code(max_.post(f"/api/v1/custody/{nothing['request_id']}/agree")) == "record_not_found"


def test_seals(house: House) -> None:
    record_id = house.record("acme", "acme:42")
    _, key = house.key("acme", "seal", "read")
    look = f"/api/v1/records/{record_id}?evidence=true&purpose=case"
    assert code(key.get(look)) == "not_permitted"  # sealing is not seeing
    sealed = key.post(f"/api/v1/records/{record_id}/seal", json=WHY).json()["event"]
    assert sealed["kind"] == "record.sealed"
    ina, ivo = (house.person(name, "acme", "investigator") for name in ("ina", "ivo"))
    assert code(ina.get(look)) == "not_permitted"
    asked = ina.post(f"/api/v1/records/{record_id}/unseal", json={**WHY, "hours": 1}).json()
    url = f"/api/v1/custody/{asked['request_id']}/agree"
    assert code(ina.post(url)) == "not_permitted"
    assert ivo.post(url).json()["event"]["kind"] == "record.unsealed"
    assert ina.get(look).json()["events"][0]["private"]["texts"] == ["a red apple"]
    _, foreign = house.key("globex", "seal")
    assert code(foreign.post(f"/api/v1/records/{record_id}/seal", json=WHY)) == "record_not_found"


def test_what_waits_ends_by_itself() -> None:
    from chopmark.service.caller import Caller

    now = [0.0]
    waiting = TwoPersons(clock=lambda: now[0])
    members: dict[str, Any] = {"scopes": frozenset(), "key_id": None, "address": None}
    ada = Caller(tenant=Tenant(name="acme"), name="ada", roles=frozenset({"eraser"}), **members)
    waiting.ask(ada, "erase", "acme:42", reason="asked")
    assert len(waiting.waiting(ada)) == 1
    now[0] = 25 * 3600.0
    assert waiting.waiting(ada) == []
    for _ in range(1100):
        waiting.ask(ada, "erase", "acme:42", reason="asked")
    assert len(waiting.waiting(ada)) == 1000
