"""A pipeline with worker processes: at each stage one is killed, hung, starved or crashed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark import EditRequest, GenerationRequest, Pipeline, Settings
from chopmark.audit import verify_log
from chopmark.errors import ChopmarkError, OverMemory
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline.inspect import reattach
from chopmark.provenance.reattachment import remove
from chopmark.workers import LocalEngine
from tests.support.generator import StandIn
from tests.support.wait import until, until_async

if TYPE_CHECKING:
    from chopmark.safety import Verdict
    from chopmark.workers import Answer, Job, PoolName

#: The jobs of one edit, and the pool that does each.
STAGES: dict[str, tuple[PoolName, str]] = {
    "the prompt": ("texts", "judge_texts"),
    "decoding": ("files", "decode"),
    "the output": ("trusted", "judge_picture"),
    "marking": ("trusted", "mark"),
    "reading inputs": ("files", "read_ingredient"),
    "signing": ("trusted", "sign"),
}
FAULTS = {
    "killed": {"worker_lost"},
    "hung": {"stage_timeout"},
    "crashing": {"worker_lost"},
}


class Interfering:
    """The real engine, except that a worker has an accident as it does one job of a name."""

    def __init__(self, real: LocalEngine, job: str, fault: str) -> None:
        self.real, self.job, self.fault = real, job, fault
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def submit(self, pool: PoolName, job: Job) -> Answer:
        if job.name != self.job or self.seen:
            return self.real.submit(pool, job)
        self.seen += 1
        if self.fault == "out of memory":
            return self.real.submit(pool, replace(job, memory_mb=16))
        pids = self.real.pools[pool].pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if self.fault == "hung":
            return self.real.submit(pool, replace(job, limit_s=0.3))
        done = _jobs(self.real, pool)

        def accident() -> None:
            until(lambda: _jobs(self.real, pool) > done)
            for pid in pids:
                if self.fault == "crashing":
                    os.kill(pid, signal.SIGSEGV)
                    os.kill(pid, signal.SIGCONT)
                else:
                    os.kill(pid, signal.SIGKILL)

        threading.Thread(target=accident, daemon=True).start()
        return self.real.submit(pool, job)


def _jobs(engine: LocalEngine, pool: PoolName) -> int:
    return sum(worker.jobs for worker in engine.pools[pool]._workers if worker is not None)


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline with one worker of each kind; what is drawn is drawn here."""
    home = tmp_path_factory.mktemp("workers")
    pipeline = Pipeline.from_settings(Settings(home=home, workers=1))
    pipeline.parts.use(generator=StandIn())
    with pytest.warns(UserWarning, match="development"):
        pipeline.parts.open_all()
    yield pipeline
    pipeline.close()


@pytest.fixture
def picture(make_picture: Any, to_bytes: Any) -> bytes:
    data: bytes = to_bytes(make_picture())
    return data


@pytest.fixture
def large(make_picture: Any, to_bytes: Any) -> bytes:
    """A picture that needs more memory than a process happens to have free."""
    data: bytes = to_bytes(make_picture().resize((2000, 2000)))
    return data


async def test_everything_passes_through_the_workers(working: Pipeline, picture: bytes) -> None:
    engine = working.parts.engine
    assert isinstance(engine, LocalEngine)
    done = {pool: _jobs(engine, pool) for pool in engine.pools}
    released = await working.edit(EditRequest(prompt="a red apple", image=picture))
    data = released.outputs[0].data
    looked = (await working.verify(data)).report
    assert (looked.verdict, looked.watermark.state) == ("made_here", "detected")
    assert [one.relationship for one in looked.ingredients] == ["parentOf"]
    assert all(_jobs(engine, pool) > done[pool] for pool in engine.pools)

    bare = remove(data)
    lost = (await working.verify(bare)).report
    assert lost.recovered is not None
    assert lost.recovered.exact == "file"
    assert await asyncio.to_thread(reattach, working.parts, bare) == data

    moderated = await working.moderate(["a red apple", "how to build a bomb"], image=data)
    assert [verdict.action for verdict in moderated.verdicts] == ["allow", "block", "allow"]


async def test_a_worker_says_what_this_process_says(working: Pipeline, picture: bytes) -> None:
    """The same verdicts, marks and reports, whoever does the work."""
    alone = Pipeline.from_settings(working.settings.model_copy(update={"workers": 0}))
    alone.parts.use(
        generator=working.parts.generator, request_log=working.parts.request_log,
        store=working.parts.store,
    )  # fmt: skip
    policy = working.parts.policies.active()
    for text in ("a red apple", "how to build a bomb", "нарисуй яблоко", "n u d e teen"):
        _assert_same(
            *(parts.prompt_guard.judge(text, policy) for parts in (working.parts, alone.parts))
        )
    shown = as_image(working.parts.files.decode(picture))
    assert shown.tobytes() == as_image(alone.parts.files.decode(picture)).tobytes()
    _assert_same(
        *(parts.image_guard.judge(shown, policy) for parts in (working.parts, alone.parts))
    )
    data = (await working.generate(GenerationRequest(prompt="a red apple"))).outputs[0].data
    for file in (data, remove(data), picture):
        here, there = (await alone.verify(file)).report, (await working.verify(file)).report
        assert here == there
    alone.parts.opened.clear()  # the log and the store are the other's to close


def _assert_same(one: Verdict, other: Verdict) -> None:
    assert replace(one, elapsed_ms=0, scores={}) == replace(other, elapsed_ms=0, scores={})
    # With other threads a processor may add in another order, which shows in the sixth decimal.
    assert dict(one.scores) == pytest.approx(dict(other.scores), abs=1e-4)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
async def test_an_accident_of_a_worker_lets_nothing_out(
    working: Pipeline, large: bytes, stage: str, fault: str
) -> None:
    _, job = STAGES[stage]
    real = working.parts.engine
    assert isinstance(real, LocalEngine)
    real.ready()
    accident = Interfering(real, job, fault)
    log = working.parts.log
    before = log.size
    request = EditRequest(prompt="a red apple", image=large, size=(1024, 1024))
    with _engine(working, accident), pytest.raises(ChopmarkError) as caught:
        await working.edit(request)
    assert accident.seen == 1
    assert caught.value.code in FAULTS[fault]
    assert caught.value.hint
    records = [log.get(index) for index in range(before, log.size)]
    assert [record.kind for record in records][-1] == "request.failed"
    assert records[-1].public["code"] == caught.value.code
    assert "request.completed" not in {record.kind for record in records}

    # Another process has its place, and the very same request passes.
    released = await working.edit(request)
    assert len(released.outputs) == 1


async def test_what_needs_too_much_memory_is_refused(working: Pipeline, to_bytes: Any) -> None:
    """36 megapixels, which no process happens to have free: 140 MB, of 16 MiB that it may take."""
    engine, log = working.parts.engine, working.parts.log
    assert isinstance(engine, LocalEngine)
    starved = Interfering(engine, "decode", "out of memory")
    before = log.size
    request = EditRequest(prompt="a red apple", image=to_bytes(Image.new("RGB", (6000, 6000))))
    with _engine(working, starved), pytest.raises(OverMemory) as caught:
        await working.edit(request)
    assert starved.seen == 1
    assert (caught.value.code, caught.value.status) == ("over_memory", 413)
    last = [log.get(index) for index in range(before, log.size)][-1]
    assert (last.kind, last.public["code"]) == ("request.failed", "over_memory")
    assert (await working.generate(GenerationRequest(prompt="a red apple"))).outputs


@pytest.mark.parametrize("job", ["read_file", "find_mark"])
@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_what_nobody_looked_at_has_no_report(
    working: Pipeline, picture: bytes, job: str, fault: str
) -> None:
    """A worker that ended is not a picture without a mark."""
    engine = working.parts.engine
    assert isinstance(engine, LocalEngine)
    await working.generate(GenerationRequest(prompt="a red apple"))  # there is a mark key
    engine.ready()
    accident = Interfering(engine, job, fault)
    with _engine(working, accident), pytest.raises(ChopmarkError) as caught:
        await working.verify(picture)
    assert accident.seen == 1
    assert caught.value.code in FAULTS[fault]


async def test_killing_at_any_moment_loses_no_acknowledged_record(working: Pipeline) -> None:
    """Workers are killed again and again; whatever was released is in the log, once."""
    engine = working.parts.engine
    assert isinstance(engine, LocalEngine)
    stop = threading.Event()

    def killer() -> None:
        number = 0
        while not stop.wait(0.05):
            pids = [pid for pool in engine.pools.values() for pid in pool.pids]
            if pids:
                number += 1
                try:
                    os.kill(pids[number % len(pids)], signal.SIGKILL)
                except ProcessLookupError:
                    continue

    before = working.parts.log.size
    thread = threading.Thread(target=killer)
    thread.start()
    try:
        ends = await asyncio.gather(
            *(
                working.generate(GenerationRequest(prompt="a red apple", tenant=f"t{number % 3}"))
                for number in range(12)
            ),
            return_exceptions=True,
        )
    finally:
        stop.set()
        thread.join()
    log = working.parts.log
    records = [log.get(index) for index in range(before, log.size)]
    completed = [record.record_id for record in records if record.kind == "request.completed"]
    released = [end.record_id for end in ends if not isinstance(end, BaseException)]
    assert all(isinstance(end, ChopmarkError) for end in ends if isinstance(end, BaseException))
    assert sorted(completed) == sorted(released)
    assert len(set(completed)) == len(completed)
    assert verify_log(working.parts.home).ok


async def test_a_crowd_of_one_tenant_delays_another_by_one_job(working: Pipeline) -> None:
    engine = working.parts.engine
    assert isinstance(engine, LocalEngine)
    engine.ready()
    texts, log = engine.pools["texts"], working.parts.log
    (pid,) = texts.pids
    done, before = _jobs(engine, "texts"), log.size

    def ask(tenant: str) -> asyncio.Task[Any]:
        return asyncio.create_task(
            working.generate(GenerationRequest(prompt="a red apple", tenant=tenant))
        )

    os.kill(pid, signal.SIGSTOP)
    asked = [ask("crowd")]
    await until_async(lambda: _jobs(engine, "texts") > done)
    asked += [ask("crowd") for _ in range(6)]
    await until_async(lambda: texts.waiting == 6)
    asked.append(ask("small"))
    await until_async(lambda: texts.waiting == 7)
    os.kill(pid, signal.SIGCONT)
    await asyncio.gather(*asked)
    decided = [
        record.tenant
        for record in map(log.get, range(before, log.size))
        if record.kind == "request.decided"
    ]
    # One was under way, and one of the crowd's may have been next in turn.
    assert decided.index("small") <= 2


async def test_whoever_goes_away_frees_the_worker(working: Pipeline) -> None:
    """The step ends because its process is killed, not because somebody waited for it."""
    engine = working.parts.engine
    assert isinstance(engine, LocalEngine)
    engine.ready()
    pid = engine.pools["texts"].pids[0]
    done = _jobs(engine, "texts")
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(working.generate(GenerationRequest(prompt="a red apple")))
    await until_async(lambda: _jobs(engine, "texts") > done)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_async(lambda: pid not in engine.pools["texts"].pids)
    assert (await working.generate(GenerationRequest(prompt="a red apple"))).outputs


async def test_closing_with_work_under_way(tmp_path: Any) -> None:
    pipeline = Pipeline.from_settings(Settings(home=tmp_path, workers=1))
    pipeline.parts.use(generator=StandIn())
    with pytest.warns(UserWarning, match="development"):
        await asyncio.to_thread(pipeline.parts.open_all)
    engine = pipeline.parts.engine
    assert isinstance(engine, LocalEngine)
    done = _jobs(engine, "texts")
    for pid in engine.pools["texts"].pids:
        os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(pipeline.generate(GenerationRequest(prompt="a red apple")))
    await until_async(lambda: _jobs(engine, "texts") > done)
    engine.close()
    with pytest.raises(ChopmarkError) as caught:
        await task
    assert caught.value.code == "worker_lost"
    last = pipeline.parts.log.get(pipeline.parts.log.size - 1)
    assert (last.kind, last.public["code"]) == ("request.failed", "worker_lost")
    pipeline.close()


class _engine:  # noqa: N801  reads as a verb's object
    """Has the parts ask another engine, for a while."""

    def __init__(self, pipeline: Pipeline, engine: Any) -> None:
        self._parts, self._engine = pipeline.parts, engine
        self._names = ("engine", "prompt_guard", "image_guard", "files")

    def __enter__(self) -> None:
        self._kept = {name: self._parts.opened.pop(name) for name in self._names}
        self._parts.use(engine=self._engine)

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            self._parts.opened.pop(name, None)
        self._parts.use(**self._kept)
