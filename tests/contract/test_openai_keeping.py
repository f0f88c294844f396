"""Replays, turns, cancellation and shutdown, as clients meet them over HTTP."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from chopmark.tenancy import AccessStore, Tenant
from tests.support.wait import HANG_S, until, until_async

if TYPE_CHECKING:
    from chopmark.audit import Record

BLOCKED = "explicit photo of a naked woman having sex"
GENERATE = "/v1/images/generations"


def _client(live: Any, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", **options)


def _records(live: Any, since: int = 0) -> list[Record]:
    log = live.pipeline.parts.log
    return [log.get(index) for index in range(since, log.size)]


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
    live.generator.gate.clear()
    answers: list[Any] = []

    def ask(**options: Any) -> None:
        with _client(live, **options) as client:
            try:
                answers.append(
                    client.images.with_raw_response.generate(
                        prompt="a red apple", extra_headers={"idempotency-key": "four"}
                    )
                )
            except openai.APIStatusError as error:
                answers.append(error)

    first = threading.Thread(target=ask, kwargs={"max_retries": 0})
    first.start()
    until(lambda: live.generator.jobs)
    ask(max_retries=0)
    assert answers[0].status_code == 409
    assert answers[0].code == "idempotency_in_flight"
    # The client's own retries last until the first one is done: which it may be, from now on.
    seen: list[int] = []

    def look(answer: httpx.Response) -> None:
        seen.append(answer.status_code)
        live.generator.gate.set()

    with httpx.Client(event_hooks={"response": [look]}, trust_env=False) as watched:
        ask(max_retries=20, http_client=watched)
    first.join()
    assert seen[0] == 409
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


def _asking(live: Any, **headers: str) -> asyncio.Task[httpx.Response]:
    """Ask from a connection of its own; cancelling the task hangs up."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            base_url=live.url, trust_env=False, timeout=HANG_S, headers=headers
        ) as client:
            return await client.post(GENERATE, json={"prompt": "a red apple"})

    return asyncio.create_task(ask())


async def test_a_full_queue_is_503_and_every_answer_is_accounted_for(live_server: Any) -> None:
    with live_server(max_running=1, max_queue=2) as live:
        live.generator.gate.clear()
        asked = [_asking(live) for _ in range(8)]
        await until_async(lambda: sum(task.done() for task in asked) == 5)
        live.generator.gate.set()
        answers = await asyncio.gather(*asked)
        codes = [answer.status_code for answer in answers]
        assert codes.count(200) == 3
        assert codes.count(503) == 5
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["error"]["code"] == "busy"
                # Three turns are before it, of the second that is guessed before any was measured.
                assert 3 <= int(answer.headers["retry-after"]) <= 4
        completed = {r.record_id for r in _records(live) if r.kind == "request.completed"}
        assert completed == {a.headers["x-record-id"] for a in answers if a.status_code == 200}


async def test_a_busy_tenant_does_not_shut_out_another(live_server: Any) -> None:
    with live_server(max_running=1, max_queue=4) as live:
        live.generator.gate.clear()
        with AccessStore.open(live.pipeline.parts.home) as store:
            for name in ("greedy", "modest"):
                store.set_tenant(Tenant(name=name))
            greedy, modest = (
                f"Bearer {store.create_key(name).text}" for name in ("greedy", "modest")
            )
        many = [_asking(live, authorization=greedy) for _ in range(5)]
        await until_async(lambda: live.generator.jobs and live.service.generator_turns.waiting == 4)
        one = _asking(live, authorization=modest)
        await until_async(lambda: any(task.done() for task in many))  # whose place it was given
        live.generator.gate.set()
        answers = await asyncio.gather(*many)
        assert (await one).status_code == 200
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 429]
        tenants = [r.tenant for r in _records(live) if r.kind == "request.completed"]
        assert tenants.index("modest") <= 2  # it did not wait for all of the other's


async def test_a_client_that_goes_away_stops_the_generator(live: Any) -> None:
    live.generator.gate.clear()
    leaves = _asking(live)
    await until_async(lambda: live.generator.jobs)
    leaves.cancel()
    await until_async(lambda: live.generator.cancelled == 1)
    await until_async(lambda: _records(live)[-1].kind == "request.failed")
    assert _records(live)[-1].public["code"] == "cancelled"
    live.generator.gate.set()
    assert (await _asking(live)).status_code == 200


async def test_a_client_that_goes_away_while_it_waits_leaves_the_queue(live_server: Any) -> None:
    with live_server(max_running=1) as live:
        live.generator.gate.clear()
        stays = _asking(live)
        await until_async(lambda: live.service.generator_turns.running == 1)
        leaves = _asking(live)
        await until_async(lambda: live.service.generator_turns.waiting == 1)
        leaves.cancel()
        await until_async(lambda: live.service.generator_turns.waiting == 0)
        live.generator.gate.set()
        assert (await stays).status_code == 200
        assert len(live.generator.jobs) == 1  # who left before his turn was never booked


@pytest.mark.parametrize(("patience", "status"), [(HANG_S, 200), (1, None)])
async def test_a_stopped_server_finishes_or_books(
    live_server: Any, patience: int, status: int | None
) -> None:
    with live_server(shutdown_s=patience) as live:
        live.generator.gate.clear()
        asked = _asking(live)
        await until_async(lambda: live.generator.jobs)
        live.server.should_exit = True
        await until_async(lambda: not live.server.servers[0].is_serving())
        if status == 200:
            live.generator.gate.set()
            assert (await asked).status_code == 200
            assert _records(live)[-1].kind == "request.completed"
        else:
            await asyncio.wait([asked])
            assert asked.exception() is not None or asked.result().status_code != 200
            await until_async(lambda: _records(live)[-1].kind == "request.failed")
            assert _records(live)[-1].public["code"] == "cancelled"
