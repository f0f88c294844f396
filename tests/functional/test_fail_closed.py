"""Each step of the one way through, broken in turn: no pixels, one coded error, a record."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import chopmark.provenance
from chopmark import EditRequest, GenerationRequest, Pipeline, Refused
from chopmark.errors import AuditError, ChopmarkError
from tests.support.generator import StandIn
from tests.support.wait import until_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Event, Record

BOUND_S = 4.0  # of the step that hangs; its healthy uses come first, also on a busy machine


def _exception() -> None:
    raise RuntimeError("boom: an error that no one foresaw")


def _disk_full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


_released = threading.Event()


def _hang() -> None:
    _released.wait()


FAULTS = {"exception": _exception, "disk_full": _disk_full, "time_out": _hang}


class Broken:
    """The real part, except that one method first does something bad."""

    def __init__(self, real: Any, method: str, fault: Callable[[], None], when: Any = None) -> None:
        self.real, self.method, self.fault, self.when = real, method, fault, when

    def __getattr__(self, name: str) -> Any:
        if name != self.method:
            return getattr(self.real, name)

        def broken(*args: Any, **kwargs: Any) -> Any:
            if self.when is None or self.when(*args, **kwargs):
                self.fault()
            return getattr(self.real, name)(*args, **kwargs)

        return broken


def _part(room: str, method: str, when: Any = None) -> Any:
    def install(pipeline: Pipeline, _patch: pytest.MonkeyPatch, fault: Any) -> None:
        real = getattr(pipeline.parts, room)
        pipeline.parts.use(**{room: Broken(real, method, fault, when)})

    return install


def _receipt() -> Any:
    def install(pipeline: Pipeline, patch: pytest.MonkeyPatch, fault: Any) -> None:
        proof = pipeline.parts.log.proof
        whole = SimpleNamespace(receipt=proof.receipt)
        patch.setattr(proof, "receipt", Broken(whole, "receipt", fault).receipt)

    return install


def _function(name: str) -> Any:
    def install(_pipeline: Pipeline, patch: pytest.MonkeyPatch, fault: Any) -> None:
        real = getattr(chopmark.provenance, name)

        def broken(*args: Any, **kwargs: Any) -> Any:
            fault()
            return real(*args, **kwargs)

        patch.setattr(chopmark.provenance, name, broken)

    return install


def _kind(kind: str) -> Any:
    def when(event: Event) -> bool:
        return event.kind == kind

    return when


def _stage(stage: str) -> Any:
    def when(*_args: Any, **kwargs: Any) -> bool:
        return bool(kwargs.get("stage") == stage)

    return when


# step -> (how it is broken, which setting bounds it, code of an exception in it)
STEPS: dict[str, tuple[Any, str, str]] = {
    "1 received": (
        _part("request_log", "append", _kind("request.received")),
        "log_timeout_s",
        "log_unavailable",
    ),
    "2 prompt": (_part("prompt_guard", "judge"), "guard_timeout_s", "guard_failed"),
    "2 input": (
        _part("image_guard", "judge", _stage("input")),
        "guard_timeout_s",
        "guard_failed",
    ),
    "2 decided": (
        _part("request_log", "append", _kind("request.decided")),
        "log_timeout_s",
        "log_unavailable",
    ),
    "3 generate": (_part("generator", "generate"), "generate_timeout_s", "generation_failed"),
    "4 output": (
        _part("image_guard", "judge", _stage("output")),
        "guard_timeout_s",
        "guard_failed",
    ),
    "5 mark": (_function("embed_mark"), "seal_timeout_s", "mark_error"),
    "5 read back": (_function("detect_mark"), "seal_timeout_s", "mark_error"),
    "6 metadata": (_function("write_xmp"), "seal_timeout_s", "signing_failed"),
    "6 sign": (_function("sign"), "seal_timeout_s", "signing_failed"),
    "6 store": (_part("store", "put"), "seal_timeout_s", "signing_failed"),
    "7 completed": (
        _part("request_log", "append", _kind("request.completed")),
        "log_timeout_s",
        "log_unavailable",
    ),
    "7 receipt": (_receipt(), "log_timeout_s", "log_unavailable"),
}


def _records(pipeline: Pipeline, before: int) -> list[Record]:
    log: Any = pipeline.parts.request_log  # perhaps a broken one
    return [log.get(index) for index in range(before, log.size)]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_broken_step_lets_nothing_out(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    make_picture: Any,
    to_bytes: Any,
    step: str,
    fault: str,
) -> None:
    install, bound, code = STEPS[step]
    before = pipeline.parts.log.size
    install(pipeline, monkeypatch, FAULTS[fault])
    if fault == "time_out":
        _released.clear()
        pipeline.parts.settings = pipeline.settings.model_copy(update={bound: BOUND_S})
        code = "stage_timeout"

    request = EditRequest(
        prompt="a red apple", seed=1, steps=2, image=to_bytes(make_picture()), strength=0.5
    )
    try:
        with pytest.raises(ChopmarkError) as caught:
            await pipeline.edit(request)
    finally:
        _released.set()

    assert not isinstance(caught.value, Refused)
    assert caught.value.code == code
    assert caught.value.hint
    assert "boom" not in caught.value.explain()  # the cause is the operator's, not the caller's

    records = _records(pipeline, before)
    kinds = [record.kind for record in records]
    if step == "1 received":
        # The log could not take it: nothing was generated. (A hung append may still land, and is
        # then closed by the reconciler like any other request without an end.)
        assert "request.decided" not in kinds
        return
    assert kinds[0] == "request.received"
    if step == "7 receipt":
        # A record ends once. It says that the picture was allowed to leave, not that it arrived.
        assert kinds[-1] == "request.completed"
        return
    if (step, fault) == ("7 completed", "time_out"):
        # Both ends may be durable; what counts is that the caller got nothing and the log says so.
        assert "request.failed" in kinds
        return
    assert "request.completed" not in kinds
    # An append that hung and is let go of may still land, behind the end.
    late = {"request.decided"} if (step, fault) == ("2 decided", "time_out") else set()
    failed = [record for record in records if record.kind not in late][-1]
    assert failed.kind == "request.failed"
    assert failed.public["code"] == code


async def test_a_mark_that_cannot_be_read_back_is_a_failure(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_struck(picture: Any, _payload: bytes, **_: Any) -> Any:
        return picture

    monkeypatch.setattr(chopmark.provenance, "embed_mark", nothing_struck)
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.generate(GenerationRequest(prompt="a red apple", seed=1, steps=2))
    assert caught.value.code == "mark_not_readable"


async def test_a_dead_log_is_closed_by_the_reconciler(pipeline: Pipeline) -> None:
    log = pipeline.parts.log
    before = log.size
    pipeline.parts.use(
        request_log=Broken(
            log, "append", _disk_full, lambda event: event.kind != "request.received"
        )
    )
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.generate(GenerationRequest(prompt="a red apple", steps=2))
    assert caught.value.code == "log_unavailable"
    assert [record.kind for record in _records(pipeline, before)[-1:]] == ["request.received"]

    pipeline.parts.use(request_log=log)  # the disk has room again
    closed = log.reconcile(older_than_s=0)
    assert closed
    recovered, last = _records(pipeline, before)[:-3:-1]
    assert (recovered.kind, recovered.public) == ("log.recovered", {"closed": len(closed)})
    assert (last.kind, last.public["code"]) == ("request.failed", "lost")


async def test_a_caller_who_goes_away_is_booked(pipeline: Pipeline) -> None:
    generator = StandIn()
    generator.gate.clear()
    pipeline.parts.use(generator=generator)
    before = pipeline.parts.log.size
    task = asyncio.create_task(pipeline.generate(GenerationRequest(prompt="a red apple")))
    await until_async(lambda: generator.jobs)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    last = _records(pipeline, before)[-1]
    assert (last.kind, last.public["code"]) == ("request.failed", "cancelled")
    await until_async(lambda: generator.cancelled)


async def test_released_cannot_be_made_without_the_proof(pipeline: Pipeline) -> None:
    released = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=3, steps=2))
    other = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=4, steps=2))
    with pytest.raises(AuditError):
        dataclasses.replace(released, outputs=other.outputs)
    with pytest.raises(AuditError):
        dataclasses.replace(released, receipt=other.receipt)


async def test_a_full_queue_refuses_before_anything_is_booked(pipeline: Pipeline) -> None:
    pipeline.parts.settings = pipeline.settings.model_copy(update={"max_queue": 0})
    before = pipeline.parts.log.size
    first = asyncio.create_task(pipeline.generate(GenerationRequest(prompt="a red apple", steps=2)))
    await asyncio.sleep(0)
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.generate(GenerationRequest(prompt="a red apple", steps=2))
    assert caught.value.code == "busy"
    await first
    assert {r.record_id for r in _records(pipeline, before)} == {(await first).record_id}
