"""What runs on Ray, without a cluster: Serve's own mode for tests keeps replicas in this process.

It has no ``serve.batch``: pictures that are made together are made in ``test_cluster.py`` alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from chopmark.errors import (
    Busy,
    ConfigurationError,
    StageTimeout,
    UnreadableImage,
    WorkerLost,
)
from chopmark.generation import GenerationJob
from chopmark.settings import Settings
from chopmark.workers import Job, LocalEngine, PoolPlan
from chopmark.workers.ray_app import build
from tests.support.generator import draw_disc
from tests.support.odd_jobs import MANNER
from tests.support.wait import HANG_S

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'chopmark[ray]'")

from ray import exceptions as ray_errors
from ray import serve
from ray.serve import exceptions as serve_errors

from chopmark.workers import ray_calls, ray_proxy
from chopmark.workers.pool import WorkFailed
from chopmark.workers.ray_engine import RayEngine
from chopmark.workers.ray_generator import RayGenerator
from chopmark.workers.ray_replicas import Generating, Guards

pytestmark = [
    # Ray's own imports and its in-process handles.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def odd_engine(_settings: Settings) -> LocalEngine:
    plan = PoolPlan(
        name="odd", module="tests.support.odd_jobs", manner=MANNER, places=1, most_jobs=100
    )
    engine = LocalEngine({"files": plan})
    engine.start()
    return engine


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    bound = serve.deployment(Guards).bind({}, f"{__name__}:odd_engine", 2)
    handle = serve.run(bound, name="odd", _local_testing_mode=True)
    made = RayEngine(handle)
    made.ready()
    yield made
    made.close()


def ask(engine: RayEngine, name: str, value: Any = None, *buffers: bytes, **more: Any) -> Any:
    options = {"limit_s": HANG_S, "memory_mb": 256, **more}
    return engine.submit("files", Job(name=name, value=value, buffers=buffers, **options))


def test_values_and_megabytes_go_and_come(engine: RayEngine) -> None:
    value = {"a": [1, 2.5, None, True, "ü\x00"], "b": (1, (2,)), "c": b"\xff"}
    large = os.urandom(3 << 20)
    answer = ask(engine, "echo", value, large, b"")
    assert answer.value == value
    assert answer.buffers == (large, b"")


def test_an_error_keeps_its_code_its_words_and_what_it_is_about(engine: RayEngine) -> None:
    with pytest.raises(UnreadableImage, match="no picture") as caught:
        ask(engine, "refuse")
    assert (caught.value.hint, caught.value.param) == ("send one", "image")


def test_what_nobody_foresaw_is_no_error_of_ours(engine: RayEngine) -> None:
    with pytest.raises(WorkFailed, match="LookupError"):
        ask(engine, "break")


def test_what_takes_too_long_is_killed_where_it_runs(engine: RayEngine) -> None:
    before = ask(engine, "pid").value
    with pytest.raises(StageTimeout, match="hang"):
        ask(engine, "hang", limit_s=0.2)
    assert ask(engine, "pid").value != before


def test_a_crash_is_one_coded_error(engine: RayEngine) -> None:
    with pytest.raises(WorkerLost):
        ask(engine, "crash")
    assert ask(engine, "echo", "well").value == "well"


class Replicas:
    """A handle whose replicas do one after the other what is said; nothing of Ray's."""

    def __init__(self, *what: Exception | str) -> None:
        self.what, self.asked = iter(what), 0

    def __getattr__(self, name: str) -> Any:
        return self

    def remote(self, *_given: object) -> Any:
        self.asked += 1
        return self

    def result(self, *, timeout_s: float) -> Any:
        assert timeout_s > 0
        said = next(self.what)
        if isinstance(said, Exception):
            raise said
        return "ok", said


GONE = (ray_errors.ActorDiedError(), ray_errors.NodeDiedError("cut off"))


def test_what_a_replica_was_doing_when_it_died_is_asked_of_another() -> None:
    replicas = Replicas(*GONE, "done")
    assert ray_calls.ask(replicas, "do", what="it", limit_s=HANG_S) == "done"
    assert replicas.asked == 3


def test_it_is_not_asked_for_ever() -> None:
    replicas = Replicas(*GONE, *GONE, "never")
    with pytest.raises(WorkerLost, match="it"):
        ray_calls.ask(replicas, "do", what="it", limit_s=HANG_S)
    assert replicas.asked == 4


def test_a_full_line_is_not_asked_again() -> None:
    full = serve_errors.BackPressureError(num_queued_requests=9, max_queued_requests=8)
    replicas = Replicas(full)
    with pytest.raises(Busy):
        ray_calls.ask(replicas, "do", what="it", limit_s=HANG_S)
    assert replicas.asked == 1


def test_a_site_that_is_gone_is_503_with_when_to_come_again() -> None:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    async def gone(_scope: Any, _receive: Any, _send: Any) -> None:
        """Do as Ray's proxy does: nothing."""

    async def well(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("well")

    answer = TestClient(ray_proxy.SiteGone(gone)).post("/v1/images/generations")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "12")
    assert answer.json()["error"]["code"] == "worker_lost"
    (around,) = ray_proxy.middlewares()
    site = Starlette(routes=[Route("/", well)], middleware=[around])
    assert TestClient(site).get("/").text == "well"
    module, _, name = ray_proxy.NAMED.partition(":")
    assert getattr(sys.modules[module], name) is ray_proxy.middlewares


@pytest.fixture
def timed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> RayGenerator:
    """A replica of generators with the stand-in that is a plugin of an installed package."""
    from benchmarks.timed_generator import install

    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = os.pathsep.join([str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("CHOPMARK_BENCH_PICTURE_S", "0.05")
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    bound = serve.deployment(Generating).bind({"model": "timed", "warm_up": False}, 4)
    handle = serve.run(bound, name="timed", _local_testing_mode=True)
    return RayGenerator(handle, limit_s=HANG_S)


def test_looks_come_on_the_way_and_pixels_as_they_were_made(timed: RayGenerator) -> None:
    job = GenerationJob(prompt="a red disc", seed=7, width=64, height=48, steps=4, drafts=2)
    shown: list[int] = []
    told: list[tuple[int, int]] = []
    (picture,) = timed.generate(
        job, progress=lambda *one: told.append(one), draft=lambda one: shown.append(one.step)
    )
    assert (shown, len(told), timed.info.id) == ([1, 2], 4, "timed")
    assert picture.tobytes() == draw_disc(job, 7).tobytes()


def test_the_plan_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_DATABASE", "postgresql://nobody@/none")
    given = {"ray_nodes": 3, "ray_generators": 1, "ray_generators_most": 4, "ray_gpus": 1}
    site = build(given)._bound_deployment
    guards, generators = (one._bound_deployment for one in site.init_args[2:])
    assert (site.num_replicas, guards.num_replicas) == (3, 3)
    assert site._replica_config.max_replicas_per_node == 1
    assert site.backpressure_config.retry_after_s == 5
    assert generators.ray_actor_options["num_gpus"] == 1
    scale = generators._deployment_config.autoscaling_config
    assert (scale.min_replicas, scale.max_replicas) == (1, 4)
    # No address and no plan goes into what Ray keeps.
    assert site.init_args[0] == {"engine": "ray"}


def test_several_machines_need_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHOPMARK_DATABASE", raising=False)
    with pytest.raises(ConfigurationError, match="share") as caught:
        build({"ray_nodes": 2})
    assert "CHOPMARK_DATABASE" in caught.value.hint


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.serve", None)
    with pytest.raises(ConfigurationError, match="Ray Serve") as caught:
        build()
    assert "chopmark[ray]" in caught.value.hint
