"""An Idempotency-Key leads to what its request ended in, once, and not after an erasure."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from chopmark import Pipeline
from chopmark.errors import LogUnavailable
from chopmark.kit.sqlite import open_store
from chopmark.pipeline.in_flight import InFlight
from chopmark.pipeline.lost import close_lost, sweep_manifests
from chopmark.service.deployment import Deployment
from chopmark.service.reconciling import reconciling
from chopmark.service.state import state_of
from chopmark.tenancy.replays import Replays
from tests.support.generator import StandIn
from tests.support.server import Live, serve
from tests.support.wait import HANG_S, until

GENERATE = "/v1/images/generations"
BLOCKED = "explicit photo of a naked woman having sex"
Start = Callable[..., Live]


@pytest.fixture
def start(open_pipeline: Callable[..., Pipeline]) -> Iterator[Start]:
    """Starts servers, each over the same home; those before it are stopped."""
    with ExitStack() as running:

        def begin(**settings: Any) -> Live:
            running.close()
            pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0, **settings)
            running.callback(pipeline.close)
            return running.enter_context(serve(pipeline))

        yield begin


def _lose_answers(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server die, as far as the file of answers can tell, before it has kept one."""

    def died(*_: Any) -> None:
        raise OSError("the power went out")

    replays = state_of(live.app, Deployment).replays
    monkeypatch.setattr(replays, "finish", died)
    monkeypatch.setattr(replays, "drop", died)


def _ask(live: Live, prompt: str = "a red apple", *, key: str = "one", **more: Any) -> Any:
    with live.client() as client:
        return client.post(
            GENERATE,
            json={"prompt": prompt, "user": "pat", **more},
            headers={"idempotency-key": key},
        )


def _ends(live: Live) -> list[tuple[str, str]]:
    log = live.pipeline.parts.log
    return [
        (record.kind, record.record_id)
        for record in (log.get(index) for index in range(log.size))
        if record.kind.startswith("request.") and record.kind != "request.decided"
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_booked_and_not_delivered_is_delivered_after_a_restart(
    start: Start, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    live, more = start(), {"stream": True} if streamed else {"n": 2}
    _lose_answers(live, monkeypatch)
    lost = _try(lambda: _ask(live, **more))
    assert lost is None or lost.status_code == 500 or streamed
    (_, record_id) = _ends(live)[-1]
    booked = _ends(live)
    assert [kind for kind, _ in booked] == ["request.received", "request.completed"]

    live = start()
    again = _ask(live, **more)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert _ends(live) == booked
    assert live.generator.jobs == []
    if streamed:
        assert record_id in again.text
    else:
        assert again.headers["x-record-id"] == record_id
        log = live.pipeline.parts.log
        digests: Any = log.private(log.records(record_id)[-1].index)
        for item in again.json()["data"]:
            output_id = item["provenance"]["output_id"]
            sent = hashlib.sha256(base64.b64decode(item["b64_json"])).hexdigest()
            assert sent == digests["sha256"][output_id]
    # From then on it is a kept answer like any other.
    assert _ask(live, **more).content == again.content


def _try(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except httpx.HTTPError:
        return None


def test_a_refusal_that_was_lost_is_the_same_decision(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = start()
    _lose_answers(live, monkeypatch)
    _try(lambda: _ask(live, BLOCKED))
    (_, record_id) = _ends(live)[-1]
    live = start()
    again = _ask(live, BLOCKED)
    assert again.status_code == 400
    assert again.json()["error"]["decision_id"] == record_id
    assert [kind for kind, _ in _ends(live)] == ["request.received", "request.refused"]


def test_what_was_kept_and_never_booked_is_made_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = start()
    log = live.pipeline.parts.request_log
    real = log.append

    def stuck(event: Any) -> Any:
        if event.kind == "request.completed":
            raise LogUnavailable("the disk is full")
        return real(event)

    monkeypatch.setattr(log, "append", stuck)
    failed = _ask(live)
    assert failed.status_code == 503
    store = live.pipeline.parts.store
    assert store.count() == 0  # the manifest of what never completed is gone with it

    live = start()
    again = _ask(live)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert [kind for kind, _ in _ends(live)] == [
        "request.received", "request.failed", "request.received", "request.completed",
    ]  # fmt: skip


def test_an_answer_of_somebody_who_was_erased_is_neither_given_nor_made(start: Start) -> None:
    live = start()
    assert _ask(live).status_code == 200
    other = _ask(live, key="two", user="sam")
    log = live.pipeline.parts.log
    log.custody.erase("default:pat", by=("ada", "bob"), reason="asked")
    size = log.size
    gone = _ask(live)
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "answer_erased")
    assert log.size == size
    assert len(live.generator.jobs) == 2
    assert _ask(live, key="two", user="sam").content == other.content
    live = start()
    assert _ask(live).status_code == 410


def test_another_process_erases_and_the_answer_is_gone_at_once(start: Start) -> None:
    live = start()
    assert _ask(live).status_code == 200
    live.pipeline.parts.followers.clear()  # as it is where another process erased
    log = live.pipeline.parts.log
    log.custody.erase("default:pat", by=("ada", "bob"), reason="asked")
    assert _ask(live).status_code == 410


def test_a_lost_answer_of_somebody_who_was_erased_is_gone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = start()
    _lose_answers(live, monkeypatch)
    _try(lambda: _ask(live))
    live = start()
    live.pipeline.parts.followers.clear()
    live.pipeline.parts.log.custody.erase("default:pat", by=("ada", "bob"), reason="asked")
    assert _ask(live).status_code == 410
    assert live.generator.jobs == []


def test_the_key_of_another_tenant_leads_nowhere(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same key and body from another caller is another request."""
    from chopmark.tenancy import AccessStore, Tenant

    live = start()
    with AccessStore.open(live.pipeline.parts.home) as store:
        keys = {}
        for name in ("acme", "bolt"):
            store.set_tenant(Tenant(name=name))
            keys[name] = {"authorization": f"Bearer {store.create_key(name).text}"}
    _lose_answers(live, monkeypatch)
    body, one = {"prompt": "a red apple"}, {"idempotency-key": "one"}
    with live.client() as client:
        _try(lambda: client.post(GENERATE, json=body, headers={**one, **keys["acme"]}))
    live = start()
    with live.client() as client:
        other = client.post(GENERATE, json=body, headers={**one, **keys["bolt"]})
        mine = client.post(GENERATE, json=body, headers={**one, **keys["acme"]})
    assert "idempotent-replayed" not in other.headers
    assert mine.headers["idempotent-replayed"] == "true"
    assert len(live.generator.jobs) == 1


async def test_what_a_dead_process_left_open_is_closed_and_collected(
    open_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark import GenerationRequest

    pipeline = open_pipeline(generator=StandIn())
    log = pipeline.parts.log
    real = log.append

    def stuck(event: Any) -> Any:
        if event.kind in {"request.completed", "request.failed"}:
            raise LogUnavailable("the disk is full")
        return real(event)

    with monkeypatch.context() as broken:
        broken.setattr(log, "append", stuck)
        with pytest.raises(LogUnavailable):
            await pipeline.generate(GenerationRequest(prompt="a red apple"))
    store = pipeline.parts.store
    assert store.count() == 1
    # It is ours, and we live: nobody closes it before its time.
    assert close_lost(pipeline.parts) == []
    left = pipeline.parts.opened.pop("in_flight")
    assert isinstance(left, InFlight)
    left._now.add("kept")  # it dies with work on its hands
    left.close()
    (closed,) = close_lost(pipeline.parts)
    assert (closed.kind, closed.public) == ("request.failed", {"code": "lost"})
    assert store.count() == 0


def test_a_server_that_runs_closes_what_another_one_left(
    open_pipeline: Callable[..., Pipeline], home: Path
) -> None:
    """By its clock, as soon as the other one's lock is gone, and not before."""
    from chopmark.audit import Event

    pipeline = open_pipeline(generator=StandIn())
    log, record_id = pipeline.parts.log, "00000000000000c0"
    other = InFlight(home)
    other.begin(record_id)
    log.append(Event(kind="request.received", record_id=record_id, tenant="default"))
    looked = threading.Semaphore(0)
    real = log.reconcile

    def reconcile(*args: Any, **more: Any) -> Any:
        looked.release()
        return real(*args, **more)

    log.reconcile = reconcile  # type: ignore[method-assign]
    with reconciling(pipeline.parts, every_s=0.01):
        for _ in range(3):
            assert looked.acquire(timeout=HANG_S)
        assert [one.kind for one in log.records(record_id)] == ["request.received"]
        other.close()  # with work on its hands
        until(lambda: len(log.records(record_id)) == 2)
    assert log.records(record_id)[1].public == {"code": "lost"}


async def test_manifests_that_an_earlier_version_left_are_swept_and_no_others(
    open_pipeline: Callable[..., Pipeline],
) -> None:
    from chopmark import GenerationRequest
    from chopmark.audit import Event

    pipeline = open_pipeline(generator=StandIn())
    released = await pipeline.generate(GenerationRequest(prompt="a red apple"))
    log, store = pipeline.parts.log, pipeline.parts.store
    failed, unknown = "00000000000000a0", "00000000000000b0"
    for kind in ("request.received", "request.failed"):
        log.append(Event(kind=kind, record_id=failed, tenant="default"))
    for record_id in (failed, unknown):
        store.put(
            manifest_id=f"urn:c2pa:{record_id}", manifest=b"x",
            output_id=f"{record_id[:-1]}1", record_id=record_id,
        )  # fmt: skip
    assert sweep_manifests(pipeline.parts) == 1
    assert store.entry(f"urn:c2pa:{failed}") is None
    assert store.entry(f"urn:c2pa:{unknown}") is not None
    assert store.entry(released.outputs[0].manifest_id) is not None


def test_a_file_of_the_last_version_is_taken_over(tmp_path: Path) -> None:
    open_store(
        tmp_path / "tenancy" / "replays.db",
        "CREATE TABLE sealed_replay (name BLOB PRIMARY KEY, fingerprint BLOB NOT NULL,"
        " created REAL NOT NULL, sealed BLOB) STRICT",
    ).close()
    replays = Replays.open(tmp_path)
    assert replays.begin("acme", "k", b"one") is None
    assert replays.records() == []
    replays.close()
