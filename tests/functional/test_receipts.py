"""A receipt discloses the least that proves an entry; so does a key that nobody gave scopes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from chopmark import Pipeline
from chopmark.audit import Receipt, verify_log
from chopmark.tenancy import AccessStore, Tenant
from tests.support.generator import StandIn
from tests.support.server import Live, serve

HIDDEN = ("acme", "seed", "scores", "timings", "models", "tenant", "policy")


@pytest.fixture
def live(open_pipeline: Callable[..., Pipeline]) -> Iterator[Live]:
    with serve(open_pipeline(generator=StandIn(), requests_per_minute=0)) as live:
        yield live


def key(live: Live, tenant: str, *scopes: str) -> dict[str, str]:
    with AccessStore.open(live.pipeline.parts.home) as store:
        store.set_tenant(Tenant(name=tenant))
        made = store.create_key(tenant, **({"scopes": scopes} if scopes else {}))  # type: ignore[arg-type]
    return {"authorization": f"Bearer {made.text}"}


def made(live: Live) -> dict[str, Any]:
    with live.client() as client:
        answer = client.post(
            "/v1/images/generations", headers=key(live, "acme"), json={"prompt": "a red apple"}
        )
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def receipt_in(answer: dict[str, Any]) -> tuple[Receipt, str]:
    text = base64.b64decode(answer["anchor"]["proof"]["value"]).decode()
    return Receipt.from_json(text), text


def test_a_receipt_names_no_tenant(live: Live) -> None:
    body = made(live)
    picture = base64.b64decode(body["data"][0]["b64_json"])
    with live.client() as client:
        client.headers.update(key(live, "globex"))
        found = client.post(
            "/api/v1/c2pa/matches/byContent",
            content=picture,
            headers={"content-type": "image/png"},
        ).json()["matches"]
        name = found[0]["manifestId"]
        answer = client.get(f"/api/v1/c2pa/manifests/{name}/receipts").json()
    receipt, text = receipt_in(answer)
    assert answer["verified"]
    assert receipt.verify(live.pipeline.parts.log.public_key) == ()
    assert name in json.dumps(receipt.record.public)
    for word in HIDDEN:
        assert word not in text, word
    # The log itself has it all, and its owner can show that it belongs to this very leaf.
    log = live.pipeline.parts.log
    shown = log.proof.receipt(body["provenance"]["record_id"], disclose=True)
    assert shown.leaf == receipt.leaf
    assert shown.record.tenant == "acme"
    assert shown.record.public["outputs"][0]["seed"] is not None  # type: ignore[index,call-overload]
    assert shown.verify(log.public_key) == ()
    members = json.loads(shown.to_json())
    members["hidden"] = members["hidden"].replace("acme", "evil")
    changed = Receipt.from_json(json.dumps(members))
    assert [problem.what for problem in changed.verify(log.public_key)] == ["leaf_malformed"]


def test_what_is_hidden_cannot_be_guessed(live: Live) -> None:
    """Two equal entries have different digests: each has a salt of 128 bits."""
    log = live.pipeline.parts.log
    digests = set()
    for _ in range(2):
        leaf = log.proof.receipt(made(live)["provenance"]["record_id"], disclose=True)
        hidden = leaf.hidden or b""
        assert len(bytes.fromhex(json.loads(hidden)["salt"])) == 16
        assert json.loads(leaf.leaf)["hidden"] == sha256(hidden).hexdigest()
        digests.add(json.loads(hidden)["salt"])
    assert len(digests) == 2


def test_an_entry_of_an_older_version(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its receipt stays good, and goes to its own tenant alone: its leaf names the tenant."""
    from chopmark.audit.log.canonical import canonical

    def old_leaf(event: Any, *, time: str, commitment: bytes | None, **_: Any) -> bytes:
        members = {name: getattr(event, name) for name in ("event_id", "kind", "public")}
        members |= {"record_id": event.record_id, "tenant": event.tenant, "time": time, "v": 1}
        if commitment is not None:
            members["commitment"] = commitment.hex()
        return canonical(members)

    with monkeypatch.context() as patched:
        patched.setattr("chopmark.audit.log.ledger.build_leaf", old_leaf)
        body = made(live)
    name = body["data"][0]["provenance"]["manifest_id"]
    url = f"/api/v1/c2pa/manifests/{name}/receipts"
    with live.client() as client:
        assert client.get(url, headers=key(live, "globex")).status_code == 404
        receipt, _ = receipt_in(client.get(url, headers=key(live, "acme")).json())
    log = live.pipeline.parts.log
    assert (receipt.record.tenant, receipt.verify(log.public_key)) == ("acme", ())
    made(live)  # and the log goes on in the new form
    log.proof.checkpoint()
    assert verify_log(live.pipeline.parts.home).problems == ()


def test_a_key_made_without_scopes_has_the_least(live: Live) -> None:
    made(live)
    with AccessStore.open(live.pipeline.parts.home) as store:
        scopes = store.create_key("acme").key.scopes
    assert scopes == {"fetch:manifests", "generate", "moderate", "read", "verify"}
    with live.client() as client:
        assert client.get("/metrics", headers=key(live, "acme")).status_code == 403
        assert client.get("/metrics", headers=key(live, "acme", "metrics")).status_code == 200
