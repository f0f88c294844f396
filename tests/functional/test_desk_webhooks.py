"""Webhooks: what the desk decides reaches a receiver, signed, once; what does not is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.errors import InvalidRequest
from chopmark.service.outbound import check_target
from chopmark.tenancy.outbox import Message
from chopmark.tenancy.webhooks import Webhooks
from tests.support.desk_house import BLOCKED, DeskHouse, code_of, open_house
from tests.support.generator import StandIn
from tests.support.receiver import Receiver
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark import Pipeline


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline]) -> Iterator[DeskHouse]:
    pipeline = open_pipeline(
        generator=StandIn(), requests_per_minute=0, abuse="none", webhooks_private=True
    )
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def test_what_the_desk_does_reaches_the_receiver_signed(
    house: DeskHouse, receiver: Receiver
) -> None:
    ida = house.sign_in("ida", "acme", "investigator", "reviewer")
    made = ida.post("/api/v1/webhooks", json={"url": receiver.url, "events": ["*"]})
    assert made.status_code == 200, made.text
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    listed = ida.get("/api/v1/webhooks")
    assert secret not in listed.text
    key, other = house.key("acme"), house.key("globex")
    record = house.ask(key, "a red disc", user="u-1").headers["x-record-id"]
    refused = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    house.ask(other, "a red disc", user="u-1")
    why = {"rationale": "a case"}
    ida.post(f"/api/v1/records/{record}/actions", json={"action": "withdraw", **why})
    ida.post("/api/v1/people/u-1/actions", json={"action": "suspend", **why})
    ida.post("/api/v1/people/u-1/actions", json={"action": "reinstate", **why})
    every = house.sign_in("eve", None, "investigator")
    every.post("/api/v1/people/globex:u-1/actions", json={"action": "suspend", **why})
    house.client().post("/api/v1/appeals", json={"decision_id": refused, "statement": "wrong"})
    wanted = ["output.withdrawn", "person.suspended", "person.reinstated", "appeal.opened"]
    until(lambda: len(receiver.got) >= len(wanted))
    assert receiver.types() == wanted  # nothing of another tenant
    headers, body = receiver.got[1]
    assert json.loads(body)["data"]["person"] == "acme:u-1"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = hmac.digest(base64.b64decode(secret[6:]), signed, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(right).decode()
    assert len({head["webhook-id"] for head, _ in receiver.got}) == len(wanted)
    assert b"a case" not in b"".join(body for _, body in receiver.got)

    hook = made.json()["id"]
    until(lambda: ida.get("/api/v1/webhooks").json()["webhooks"][0]["deliveries"]["done"] == 4)
    assert code_of(house.sign_in("gus", "globex", "investigator").delete(
        f"/api/v1/webhooks/{hook}")) == "record_not_found"  # fmt: skip
    assert ida.delete(f"/api/v1/webhooks/{hook}").status_code == 204
    assert ida.get("/api/v1/webhooks").json()["webhooks"] == []


def test_a_decision_in_a_queue_is_told_and_only_what_was_asked_for(
    house: DeskHouse, receiver: Receiver
) -> None:
    ida = house.sign_in("ida", "acme", "investigator", "reviewer")
    body = {"url": receiver.url, "events": ["decision.made"]}
    assert ida.post("/api/v1/webhooks", json=body).status_code == 200
    from chopmark.audit import Actor, Rule

    record = house.ask(house.key("acme"), BLOCKED).json()["error"]["decision_id"]
    actor = Actor(name="router", roles=frozenset({"writer"}), tenant="acme")
    log = house.pipeline.parts.log
    log.desk(actor, purpose="test").review.route([Rule(queue="q", decision="block")])
    decided = {"records": [record], "decision": "confirmed", "rationale": "yes"}
    ida.post("/api/v1/review/bulk", json=decided)
    until(lambda: bool(receiver.got))
    assert receiver.types() == ["decision.made"]
    data: Any = json.loads(receiver.got[0][1])["data"]
    assert (data["record_id"], data["decision"]) == (record, "confirmed")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest",
        "https://[::ffff:127.0.0.1]/x",
        "http://93.184.215.14/x",
        "ftp://93.184.215.14/x",
        "https://user@93.184.215.14/",
        "https:///x",
        "not an address",
    ],
)
def test_private_and_odd_addresses_are_not_told(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_target(url, private=False)


def test_what_does_not_arrive_is_tried_again_later_and_then_given_up(tmp_path: Path) -> None:
    now = [1000.0]
    opened = Webhooks.open(tmp_path)
    hooks = Webhooks(opened._database, clock=lambda: now[0], back_off_s=(5, 300))
    hook, _ = hooks.add(tenant="acme", url="https://x.test/", events=["*"], by="ida", since=3)

    def told(*indexes: int) -> Callable[[int], tuple[int, list[Message]]]:
        return lambda _: (
            max(indexes) + 1,
            [
                Message(name=f"m{i}", index=i, tenant="acme", type="decision.made", body="{}")
                for i in indexes
            ],
        )

    assert hooks.outbox.follow(told(2, 3), size=2) == 2
    (first,) = hooks.outbox.due()  # what was booked before the hook is not told
    assert hooks.outbox.due() == []
    for wait_s in (5, 300):
        hooks.outbox.failed(first, "answered 500")
        now[0] += wait_s - 1
        assert hooks.outbox.due() == []
        now[0] += 1
        (first,) = hooks.outbox.due()
    hooks.outbox.failed(first, "answered 500")
    now[0] += 10**6
    assert hooks.outbox.due() == []
    (dead,) = hooks.outbox.dead(hook.hook_id)
    assert (dead["attempts"], dead["error"]) == (3, "answered 500")
    assert hooks.retry(hook.hook_id, "acme") == 1
    (again,) = hooks.outbox.due()
    hooks.outbox.failed(again, "answered 410", gone=True)
    assert hooks.all("acme")[0].disabled == "answered 410"
    opened.close()


def test_what_was_read_at_once_leaves_in_the_order_of_the_log(tmp_path: Path) -> None:
    hooks = Webhooks.open(tmp_path)
    hooks.add(tenant=None, url="https://x.test/", events=["*"], by="ida", since=0)
    messages = [
        Message(name=f"m{index}", index=index, tenant="acme", type="decision.made", body=str(index))
        for index in (3, 20, 100)
    ]
    hooks.outbox.follow(lambda _: (101, messages), size=0)
    told = []
    while due := hooks.outbox.due():
        told += [delivery.body for delivery in due]
        for delivery in due:
            hooks.outbox.done(delivery)
    assert told == ["3", "20", "100"]
    hooks.close()
