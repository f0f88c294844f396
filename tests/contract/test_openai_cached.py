"""An answer from the past over HTTP: told in headers and body, refused by Cache-Control."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.datastructures import Headers

from chopmark.service.cache_headers import wants_fresh
from chopmark.tenancy import AccessStore, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GENERATE = "/v1/images/generations"
GEMINI = "/v1beta/models/drawing:generateContent"
ASK = {"prompt": "a red apple", "n": 2}


@pytest.fixture
def live(live_server: Callable[..., Any]) -> Iterator[Any]:
    with live_server(prompt_index=True, cached_answers="exact") as server:
        yield server


def post(live: Any, body: dict[str, Any], path: str = GENERATE, **headers: str) -> httpx.Response:
    answer = httpx.post(
        f"{live.url}{path}",
        json=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        timeout=60,
        trust_env=False,
    )
    assert live.pipeline.parts.answer_cache.later.drain(120)
    return answer


def pictures(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(one["b64_json"]) for one in answer.json()["data"]]


def test_openais_face_tells_of_an_answer_from_the_past(live: Any) -> None:
    first, again = post(live, ASK), post(live, ASK)
    assert pictures(first) == pictures(again)
    assert len(live.generator.jobs) == 1
    record = first.headers["x-record-id"]
    assert again.headers["x-record-id"] != record
    assert again.headers["cache-status"] == f'chopmark; hit; detail="repeats {record}"'
    assert "cache-status" not in first.headers
    said = again.json()["provenance"]
    assert said["repeats"] == record
    assert json.loads(said["receipt"]["leaf"])["public"]["repeats"] == record
    assert first.json()["provenance"]["repeats"] is None
    events = httpx.get(
        f"{live.url}/api/v1/records/{again.headers['x-record-id']}", trust_env=False
    ).json()["events"]
    assert events[-1]["public"]["repeats"] == record


@pytest.mark.parametrize("refusal", ["no-cache", "no-store", "max-age=0", "private, Max-Age=0"])
def test_a_client_refuses_it_in_the_words_of_http(live: Any, refusal: str) -> None:
    post(live, ASK)
    fresh = post(live, ASK, cache_control=refusal)
    assert "cache-status" not in fresh.headers
    assert fresh.json()["provenance"]["repeats"] is None
    assert len(live.generator.jobs) == 2


@pytest.mark.parametrize(
    ("sent", "fresh"),
    [
        ([("cache-control", "no-cache")], True),
        ([("cache-control", "max-age=60"), ("cache-control", "x, no-store")], True),
        ([("cache-control", 'max-age="0"')], True),
        ([("pragma", "no-cache")], True),
        ([("cache-control", "max-age=10"), ("pragma", "no-cache")], False),
        ([("cache-control", "max-age=01")], False),
        ([("cache-control", "no-cached, only-if-cached")], False),
        ([], False),
    ],
)
def test_cache_control_is_read_as_a_list(sent: list[tuple[str, str]], fresh: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in sent]
    assert wants_fresh(Headers(raw=raw)) is fresh


def test_a_stream_and_geminis_face_tell_too(live: Any) -> None:
    first = post(live, ASK)
    record = first.headers["x-record-id"]
    streamed = post(live, {**ASK, "stream": True, "partial_images": 2})
    events = [
        json.loads(line.removeprefix("data: "))
        for line in streamed.text.splitlines()
        if line.startswith("data: ")
    ]
    assert [event["type"] for event in events] == ["image_generation.completed"] * 2
    assert [event["provenance"]["repeats"] for event in events] == [record] * 2
    body = {
        "contents": [{"parts": [{"text": "a red apple"}]}],
        "generationConfig": {"candidateCount": 2},
    }
    gemini = post(live, body, GEMINI)
    assert gemini.json()["provenance"]["repeats"] == record
    assert gemini.headers["cache-status"].startswith("chopmark; hit")
    assert len(live.generator.jobs) == 1
    fresh = post(live, body, GEMINI, cache_control="no-cache")
    assert fresh.json()["provenance"]["repeats"] is None


def test_a_tightened_policy_is_another_policy(live: Any) -> None:
    body: dict[str, Any] = {"contents": [{"parts": [{"text": "a red apple"}]}]}
    post(live, body, GEMINI)
    body["safetySettings"] = [
        {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "threshold": "BLOCK_LOW_AND_ABOVE"}
    ]
    assert post(live, body, GEMINI).json()["provenance"]["repeats"] is None


def test_tenants_never_get_each_others_and_what_was_made_before_takes_no_quota(live: Any) -> None:
    keys = {}
    with AccessStore.open(live.pipeline.parts.home) as store:
        for name in ("one", "two"):
            store.set_tenant(Tenant(name=name, images_per_day=4))
            keys[name] = f"Bearer {store.create_key(name, scopes=['generate']).text}"
    one, two = keys["one"], keys["two"]
    first = post(live, ASK, authorization=one)
    other = post(live, ASK, authorization=two)
    assert other.json()["provenance"]["repeats"] is None
    for _ in range(3):
        again = post(live, {**ASK, "user": "another person"}, authorization=one)
        assert again.json()["provenance"]["repeats"] == first.headers["x-record-id"]
    fresh = {"authorization": one, "cache_control": "no-cache"}
    assert [post(live, ASK, **fresh).status_code for _ in range(2)] == [200, 429]


def test_metrics_tell_hits_and_failures(live: Any) -> None:
    for _ in range(3):
        post(live, ASK)
    post(live, ASK, cache_control="no-cache")
    text = httpx.get(f"{live.url}/metrics", trust_env=False).text
    numbers = dict(re.findall(r'^(chopmark_\w+(?:{outcome="\w+"})?) ([\d.]+)$', text, re.MULTILINE))
    assert float(numbers['chopmark_cached_answers_total{outcome="hit"}']) == 2
    assert float(numbers['chopmark_cached_answers_total{outcome="miss"}']) == 1
    assert float(numbers['chopmark_cached_answers_total{outcome="bypassed"}']) == 1
    assert float(numbers['chopmark_cached_answers_total{outcome="failed"}']) == 0
    assert float(numbers['chopmark_prompt_index_total{outcome="done"}']) == 2
    assert float(numbers["chopmark_prompt_index_waiting"]) == 0
    assert float(numbers['chopmark_pictures_total{outcome="repeated"}']) == 4
    assert float(numbers['chopmark_pictures_total{outcome="released"}']) == 4
