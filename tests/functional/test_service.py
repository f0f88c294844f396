"""A live server on loopback, spoken to over HTTP."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark import Pipeline

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture(scope="module")
def base_url(shared_pipeline: Pipeline) -> Iterator[str]:
    with serve(shared_pipeline) as live:
        yield live.url


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=120, trust_env=False) as client:
        yield client


def test_generate_verify_and_read_the_record(client: httpx.Client) -> None:
    made = client.post(
        "/v1/images/generations",
        json={"prompt": "a red apple", "n": 2, "seed": 5, "steps": 2, "user": "ignored"},
    )
    assert made.status_code == 200, made.text
    record = made.headers["x-record-id"]
    body = made.json()
    assert body["provenance"]["record_id"] == record
    picture = base64.b64decode(body["data"][0]["b64_json"])

    looked = client.post("/api/v1/verify", files={"image": ("a.png", picture, "image/png")})
    assert looked.status_code == 200, looked.text
    assert looked.json()["verdict"] == "made_here"
    assert looked.json()["record"]["record_id"] == record
    assert looked.headers["x-record-id"] != record

    events = client.get(f"/api/v1/records/{record}").json()["events"]
    assert [event["kind"] for event in events] == [
        "request.received",
        "request.decided",
        "request.completed",
    ]
    assert "a red apple" not in json.dumps(events)
    assert client.get(f"/api/v1/receipts/{record}").status_code == 200


def test_a_block_has_openais_shape_and_must_not_be_retried(client: httpx.Client) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": BLOCKED})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-should-retry"] == "false"
    error = answer.json()["error"]
    assert error["code"] == "moderation_blocked"
    assert error["moderation_details"]["moderation_stage"] == "input"
    assert "sexual" in error["moderation_details"]["categories"]
    assert error["decision_id"] == answer.headers["x-record-id"]


def test_moderations(client: httpx.Client) -> None:
    answer = client.post("/v1/moderations", json={"input": ["a red apple", BLOCKED]})
    assert answer.status_code == 200, answer.text
    assert [row["flagged"] for row in answer.json()["results"]] == [False, True]
    record = client.get(f"/api/v1/records/{answer.headers['x-record-id']}").json()
    assert record["events"][0]["kind"] == "moderation.completed"


def test_health(client: httpx.Client, shared_pipeline: Pipeline) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["checks"]) == {"model", "guards", "signer", "log"}


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", "/v1/images/generations", {"json": {}}, 400),
        ("POST", "/v1/images/generations", {"json": {"prompt": ""}}, 400),
        ("POST", "/v1/images/generations", {"json": {"prompt": "a", "n": 0}}, 400),
        ("POST", "/v1/images/generations", {"json": {"prompt": "a", "size": "1x1"}}, 400),
        ("POST", "/v1/images/generations", {"json": {"prompt": "a", "model": "other"}}, 404),
        ("POST", "/v1/images/generations", {"content": b"\xff{"}, 400),
        ("POST", "/v1/moderations", {"json": {"input": []}}, 400),
        ("POST", "/api/v1/verify", {"files": {"image": ("a.png", b"no picture")}}, 400),
        ("POST", "/api/v1/verify", {}, 400),
        ("GET", "/api/v1/records/0123456789abcde0", {}, 404),
        ("GET", "/api/v1/records/nothing", {}, 400),
        ("GET", "/nowhere", {}, 404),
    ],
)
def test_bad_input_gets_one_coded_problem(
    client: httpx.Client, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    answer = client.request(method, path, **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["error"]["code"]
    assert body["detail"]


def test_a_body_over_the_limit_is_refused(client: httpx.Client, shared_pipeline: Pipeline) -> None:
    big = b"x" * int(shared_pipeline.settings.max_image_bytes * 1.5)
    answer = client.post("/api/v1/verify", files={"image": ("a.png", big, "image/png")})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "image_too_large"
