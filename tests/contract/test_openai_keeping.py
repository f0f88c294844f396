"""Replays, turns, cancellation and shutdown, as clients meet them over HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.tenancy import AccessStore, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Record

BLOCKED = "explicit photo of a naked woman having sex"
GENERATE = "/v1/images/generations"


def _client(live: Any, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", **options)


def _records(live: Any, since: int = 0) -> list[Record]:
    log = live.pipeline.parts.log
    return [log.get(index) for index in range(since, log.size)]


def _until(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_a_replay_is_the_same_bytes_and_no_new_record(live: Any) -> None:
    headers = {"idempotency-key": "one"}
    with _client(live, max_retries=0) as client:
        raw = client.images.with_raw_response
        first = raw.generate(prompt="a red apple", n=2, extra_headers=headers)
        size = live.pipeline.parts.log.size
        again = raw.generate(prompt="a red apple", n=2, extra_headers=headers)
    assert again.content == first.content
    assert again.headers["x-record-id"] == first.headers["x-record-id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert live.pipeline.parts.log.size == size
    assert len(live.generator.jobs) == 1


def test_a_replayed_refusal_has_the_same_decision(live: Any) -> None:
    decisions = []
    with _client(live) as client:
        for _ in range(2):
            with pytest.raises(openai.BadRequestError) as caught:
                client.images.generate(prompt=BLOCKED, extra_headers={"idempotency-key": "two"})
            decisions.append(caught.value.body["decision_id"])  # type: ignore[index]
    assert decisions[0] == decisions[1]
    assert [r.kind for r in _records(live)].count("request.refused") == 1


def test_another_body_under_the_same_key(live: Any) -> None:
    headers = {"idempotency-key": "three"}
    with _client(live) as client:
        client.images.generate(prompt="a red apple", extra_headers=headers)
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            client.images.generate(prompt="a green apple", extra_headers=headers)
    assert caught.value.code == "idempotency_mismatch"
    assert len(live.generator.jobs) == 1


def test_the_same_form_has_the_same_fingerprint(
    live: Any, make_picture: Any, to_bytes: Any
) -> None:
    picture = to_bytes(make_picture())
    with _client(live) as client:
        ids = [
            client.images.with_raw_response.edit(
                image=("a.png", picture), prompt="a", extra_headers={"idempotency-key": "form"}
            ).headers["x-record-id"]
            for _ in range(2)
        ]
    assert ids[0] == ids[1]


def test_while_the_first_runs_the_client_waits_and_gets_its_answer(live: Any) -> None:
    live.generator.step_s = 0.2
    answers: list[Any] = []

    def ask(retries: int) -> None:
        with _client(live, max_retries=retries) as client:
            try:
                answers.append(
                    client.images.with_raw_response.generate(
                        prompt="a red apple", extra_headers={"idempotency-key": "four"}
                    )
                )
            except openai.APIStatusError as error:
                answers.append(error)

    first = threading.Thread(target=ask, args=(0,))
    first.start()
    _until(lambda: bool(live.generator.jobs))
    ask(0)
    assert answers[0].status_code == 409
    assert answers[0].code == "idempotency_in_flight"
    ask(6)  # the client's own retries last until the first one is done
    first.join()
    assert answers[1].content == answers[2].content
    assert len(live.generator.jobs) == 1


def test_a_failure_lets_go_of_the_key(live: Any) -> None:
    real = live.generator.generate

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no memory")

    live.generator.generate = broken
    with _client(live, max_retries=0) as client:
        with pytest.raises(openai.InternalServerError):
            client.images.generate(prompt="a red apple", extra_headers={"idempotency-key": "five"})
        live.generator.generate = real
        assert client.images.generate(
            prompt="a red apple", extra_headers={"idempotency-key": "five"}
        ).data


def test_a_full_queue_is_503_and_every_answer_is_accounted_for(live_server: Any) -> None:
    with live_server(max_running=1, max_queue=2) as live:
        live.generator.step_s = 0.1

        async def storm() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=live.url, trust_env=False, timeout=60) as client:
                asked = [client.post(GENERATE, json={"prompt": "a red apple"}) for _ in range(8)]
                return await asyncio.gather(*asked)

        answers = asyncio.run(storm())
        codes = [answer.status_code for answer in answers]
        assert codes.count(200) == 3
        assert codes.count(503) == 5
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["error"]["code"] == "busy"
                assert answer.headers["retry-after"] == "1"
        completed = {r.record_id for r in _records(live) if r.kind == "request.completed"}
        assert completed == {a.headers["x-record-id"] for a in answers if a.status_code == 200}


def test_a_busy_tenant_does_not_shut_out_another(live_server: Any) -> None:
    with live_server(max_running=1, max_queue=4) as live:
        live.generator.step_s = 0.1
        with AccessStore.open(live.pipeline.parts.home) as store:
            for name in ("greedy", "modest"):
                store.set_tenant(Tenant(name=name))
            greedy, modest = (store.create_key(name).text for name in ("greedy", "modest"))

        async def storm() -> tuple[list[httpx.Response], httpx.Response]:
            async with httpx.AsyncClient(base_url=live.url, trust_env=False, timeout=60) as client:

                async def ask(key: str) -> httpx.Response:
                    headers = {"authorization": f"Bearer {key}"}
                    return await client.post(
                        GENERATE, json={"prompt": "a red apple"}, headers=headers
                    )

                many = [asyncio.create_task(ask(greedy)) for _ in range(5)]
                while not live.generator.jobs:  # noqa: ASYNC110  it runs in another thread
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                one = await ask(modest)
                return list(await asyncio.gather(*many)), one

        many, one = asyncio.run(storm())
        assert one.status_code == 200
        assert sorted(answer.status_code for answer in many) == [200, 200, 200, 200, 429]
        tenants = [r.tenant for r in _records(live) if r.kind == "request.completed"]
        assert tenants.index("modest") <= 2  # it did not wait for all of the other's


def test_a_client_that_goes_away_stops_the_generator(live: Any) -> None:
    live.generator.step_s = 0.1
    with _client(live, max_retries=0, timeout=1.0) as client, pytest.raises(openai.APITimeoutError):
        client.images.generate(prompt="a red apple", n=10)
    _until(lambda: live.generator.cancelled == 1)
    _until(lambda: _records(live)[-1].kind == "request.failed")
    assert _records(live)[-1].public["code"] == "cancelled"
    live.generator.step_s = 0.0
    with _client(live) as client:
        assert client.images.generate(prompt="a red apple").data


def test_a_client_that_goes_away_while_it_waits_leaves_the_queue(live_server: Any) -> None:
    with live_server(max_running=1) as live:
        live.generator.step_s = 0.2
        service = state_of(live.app, Deployment).service
        running = threading.Thread(
            target=lambda: httpx.post(
                f"{live.url}{GENERATE}", json={"prompt": "a red apple"}, trust_env=False, timeout=60
            )
        )
        running.start()
        _until(lambda: service.generator_turns.running == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{live.url}{GENERATE}", json={"prompt": "b"}, trust_env=False, timeout=0.3)
        _until(lambda: service.generator_turns.waiting == 0)
        running.join()
        assert len(live.generator.jobs) == 1  # who left before his turn was never booked


@pytest.mark.parametrize(("patience", "status"), [(20, 200), (1, None)])
def test_a_stopped_server_finishes_or_books(
    live_server: Any, patience: int, status: int | None
) -> None:
    with live_server(shutdown_s=patience) as live:
        live.generator.step_s = 0.5
        got: list[int | None] = []

        def ask() -> None:
            body = {"prompt": "a red apple", "steps": 6}
            try:
                answer = httpx.post(f"{live.url}{GENERATE}", json=body, trust_env=False, timeout=60)
                got.append(answer.status_code)
            except httpx.HTTPError:
                got.append(None)

        client = threading.Thread(target=ask)
        client.start()
        _until(lambda: bool(live.generator.jobs))
        live.server.should_exit = True
        client.join(30)
        if status == 200:
            assert got == [200]
            assert _records(live)[-1].kind == "request.completed"
        else:
            assert got != [200]
            _until(lambda: _records(live)[-1].kind == "request.failed")
            assert _records(live)[-1].public["code"] == "cancelled"
