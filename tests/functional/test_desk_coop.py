"""Coop: queued tasks reach a server of its shape as items, and its signed actions decide here."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.audit import Actor
from chopmark.errors import ConfigurationError
from chopmark.service.coop import load_coop
from tests.support.desk_house import BLOCKED, DeskHouse, code_of, open_house
from tests.support.generator import StandIn
from tests.support.receiver import Receiver
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from chopmark import Pipeline

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MEMBERS: dict[str, Any] = {
    "url": "https://coop.example",
    "tenant": "acme",
    "item_type": "request-type",
    "user_type": "user-type",
    "verification_key": "coop.pem",
    "queues": ["blocks"],
    "prompts": True,
    "actions": {"keep-refused": "confirmed", "let-through": "overturned"},
}


@pytest.fixture
def coop() -> Iterator[Receiver]:
    # Coop answers 202 to POST /api/v1/items/async/ (docs/api/items.md).
    made = Receiver(202)
    yield made
    made.close()


def _configure(folder: Path, **members: Any) -> Path:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "coop.pem").write_bytes(public)
    (folder / "coop.yaml").write_text(yaml.safe_dump(MEMBERS | members))
    return folder / "coop.yaml"


@pytest.fixture
def house(
    open_pipeline: Callable[..., Pipeline], tmp_path: Path, coop: Receiver
) -> Iterator[DeskHouse]:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- queue: blocks\n  decision: block\n")
    pipeline = open_pipeline(
        generator=StandIn(),
        requests_per_minute=0,
        abuse="none",
        webhooks_private=True,
        review_rules=rules,
        coop=_configure(tmp_path, url=coop.root),
        coop_api_key="coop-key-1",
    )
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def _callback(client: httpx.Client, record: str, action: str, **more: Any) -> httpx.Response:
    members = {
        "item": {"id": record, "typeId": "request-type", "typeName": "Request"},
        "action": {"id": action},
        "policies": [{"id": "p1", "name": "Nudity", "penalty": "LOW"}],
        "rules": [],
        "custom": {},
        "actorEmail": "mod@example.com",
        "actorNote": "a painting in a museum",
        "creator": {"id": "acme:42", "typeId": "user-type"},
    } | more
    body = json.dumps(members).encode()
    return client.post("/api/v1/coop/actions", content=body, headers=_signed(body))


def _signed(body: bytes) -> dict[str, str]:
    signature = base64.b64encode(KEY.sign(body, padding.PKCS1v15(), SHA256())).decode()
    return {"coop-signature": signature, "content-type": "application/json"}


def test_a_queued_task_reaches_coop_and_its_action_decides(
    house: DeskHouse, coop: Receiver
) -> None:
    key, service = house.key("acme"), house.key("acme", "review")
    record = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    house.ask(house.key("globex"), BLOCKED)
    until(lambda: coop.got)
    headers, body = coop.got[0]
    assert (headers[":path"], headers["x-api-key"]) == ("/api/v1/items/async/", "coop-key-1")
    assert "webhook-signature" not in headers
    (item,) = json.loads(body)["items"]
    assert (item["id"], item["typeId"]) == (record, "request-type")
    data = item["data"]
    assert (data["queue"], data["decision"], data["prompt"]) == ("blocks", "block", BLOCKED)
    assert data["creator"] == {"id": "acme:42", "typeId": "user-type"}
    # That the prompt left is in the log.
    reader = Actor(name="ida", roles=frozenset({"investigator"}), tenant=None)
    log = house.pipeline.parts.log
    looks = log.desk(reader, purpose="test").entries(kind="access.viewed")
    assert any(look.public.get("of") == record for look in looks)

    wrong = _callback(service, record, "unheard-of")
    assert code_of(wrong) == "invalid_request"
    assert code_of(_callback(service, "0" * 16, "let-through")) == "record_not_found"
    forged = service.post(
        "/api/v1/coop/actions",
        json={"item": {"id": record, "typeId": "request-type"}, "action": {"id": "let-through"}},
        headers={"coop-signature": _signed(b"another body")["coop-signature"]},
    )
    assert code_of(forged) == "not_permitted"
    assert code_of(_callback(key, record, "let-through")) == "missing_scope"
    assert code_of(_callback(house.key("globex", "review"), record, "let-through")) == (
        "record_not_found"
    )
    done = _callback(service, record, "let-through")
    assert done.status_code == 200, done.text
    assert (done.json()["decision"], done.json()["already"]) == ("overturned", False)
    again = _callback(service, record, "let-through")  # Coop tries up to five times
    assert (again.status_code, again.json()["already"]) == (200, True)
    (entry,) = [one for one in log.records(record) if one.kind == "review.decided"]
    private = log.private(entry.index) or {}
    assert str(private["by"]).startswith("key:")
    assert private["rationale"] == (
        "Coop: let-through under Nudity by mod@example.com: a painting in a museum"
    )
    assert len(coop.got) == 1  # nothing of the other tenant
    hook = house.sign_in("ida", "acme", "investigator").get("/api/v1/webhooks").json()
    assert [one["events"] for one in hook["webhooks"]] == [["coop.item"]]


def test_nothing_of_a_sealed_record_leaves(house: DeskHouse, coop: Receiver) -> None:
    from chopmark.service.coop import is_sent

    key, ida = house.key("acme"), house.sign_in("ida", "acme", "investigator", "reviewer")
    first = house.ask(key, BLOCKED).json()["error"]["decision_id"]
    until(lambda: coop.got)
    log = house.pipeline.parts.log
    (queued,) = [one for one in log.records(first) if one.kind == "review.queued"]
    server = load_coop(house.pipeline.settings.coop or _missing())
    assert is_sent(server, log, queued)
    sealed = ida.post(f"/api/v1/records/{first}/seal", json={"reason": "a case"})
    assert sealed.status_code == 200, sealed.text
    assert not is_sent(server, log, queued)


def _missing() -> Path:
    raise AssertionError("no file")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"actions": {"a": "allow"}}, "an action is one of"),
        ({"tenant": ""}, "tenant is missing"),
        ({"queues": "blocks"}, "queues cannot be"),
        ({"surprise": 1}, "surprise cannot be"),
        ({"verification_key": "coop.yaml"}, "coop.yaml: "),
        ({"verification_key": "nowhere.pem"}, "nowhere.pem"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, members: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        load_coop(_configure(tmp_path, **members))
    assert "verification_key" in caught.value.hint
