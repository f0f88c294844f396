"""The engine: what is killed and replaced, what a worker can do, what its answers can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chopmark.errors import Cancelled, OverMemory, StageTimeout, UnreadableImage, WorkerLost
from chopmark.kit.cancellation import CancelToken, token_in
from chopmark.workers import Job, LocalEngine, PoolPlan
from chopmark.workers.line import Line
from tests.support.odd_jobs import MANNER
from tests.support.wait import HANG_S, until

PLACES = 2
SECRET = "CHOPMARK_REMOTE_KEY"


def _plan(**changes: Any) -> PoolPlan:
    usual: dict[str, Any] = {
        "name": "odd", "module": "tests.support.odd_jobs", "manner": MANNER, "places": PLACES,
        "most_jobs": 100,
    }  # fmt: skip
    return PoolPlan(**{**usual, **changes})


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SECRET, "not to be seen")
        made = LocalEngine({"files": _plan(), "texts": _plan(one_tenant=True)})
        made.start()
        made.ready()
    yield made
    made.close()


def ask(engine: LocalEngine, name: str, value: Any = None, *buffers: bytes, **more: Any) -> Any:
    pool = more.pop("pool", "files")
    options = {"limit_s": HANG_S, "memory_mb": 256, **more}
    return engine.submit(pool, Job(name=name, value=value, buffers=buffers, **options))


def _dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_values_and_megabytes_go_and_come(engine: LocalEngine) -> None:
    value = {"a": [1, 2.5, None, True, "ü\x00"], "b": (1, (2,)), "c": b"\xff"}
    large = os.urandom(3 << 20)
    answer = ask(engine, "echo", value, large, b"")
    assert answer.value == value
    assert answer.buffers == (large, b"")


def test_what_takes_too_long_is_killed_and_replaced(engine: LocalEngine) -> None:
    before = {ask(engine, "pid").value for _ in range(PLACES)}
    with pytest.raises(StageTimeout) as caught:
        ask(engine, "hang", limit_s=0.2)
    assert caught.value.code == "stage_timeout"
    assert caught.value.hint
    gone = [pid for pid in before if _dead(pid)]
    assert len(gone) == 1
    assert ask(engine, "pid").value not in gone


def test_a_crash_is_one_coded_error(engine: LocalEngine) -> None:
    with pytest.raises(WorkerLost, match="SIGSEGV") as caught:
        ask(engine, "crash")
    assert caught.value.code == "worker_lost"
    assert ask(engine, "echo", 1).value == 1


def test_memory_is_bounded_for_each_job(engine: LocalEngine) -> None:
    assert ask(engine, "eat", 64).value == 64 << 20
    with pytest.raises(OverMemory) as caught:
        ask(engine, "eat", 512)
    assert (caught.value.code, caught.value.status) == ("over_memory", 413)
    assert ask(engine, "eat", 512, memory_mb=600).value == 512 << 20


def test_an_error_of_ours_arrives_as_it_was(engine: LocalEngine) -> None:
    with pytest.raises(UnreadableImage) as caught:
        ask(engine, "refuse")
    assert (caught.value.message, caught.value.hint) == ("that is no picture", "send one")
    assert caught.value.param == "image"


def test_another_error_names_its_class_and_no_value(engine: LocalEngine) -> None:
    with pytest.raises(Exception, match="LookupError") as caught:
        ask(engine, "break")
    assert "foresaw" not in str(caught.value)


def test_an_answer_holds_plain_values_only(engine: LocalEngine) -> None:
    with pytest.raises(Exception, match="TypeError"):
        ask(engine, "smuggle")
    with pytest.raises(Exception, match=r"OSError|cannot be read|ended"):
        ask(engine, "flood")  # more than the pool's answers may have
    assert ask(engine, "echo", 1).value == 1


def test_whoever_gives_up_ends_the_work(engine: LocalEngine, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    token, caught = CancelToken(), []

    def work() -> None:
        token_in(token)
        try:
            ask(engine, "hang", None)
        except Cancelled as error:
            caught.append(error)

    busy_before = _jobs(engine)
    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: _jobs(engine) > busy_before)
    token.cancel()
    thread.join(HANG_S)
    assert len(caught) == 1
    assert not begun.exists()
    assert ask(engine, "echo", 1).value == 1


def _jobs(engine: LocalEngine) -> int:
    return sum(worker.jobs for worker in engine.pools["files"]._workers if worker is not None)


def test_a_process_serves_one_tenant(engine: LocalEngine) -> None:
    def pids(tenant: str) -> set[int]:
        return {ask(engine, "pid", tenant=tenant, pool="texts").value for _ in range(6)}

    mine = pids("acme")
    assert not mine & pids("other")
    # Strangers are many people: none gets the process of another.
    for name in ("anybody", "anybody:127.0.0.1"):
        strangers = [ask(engine, "pid", tenant=name, pool="texts").value for _ in range(4)]
        assert len(set(strangers)) == 4


def test_a_killed_worker_that_was_idle_is_replaced_unseen(engine: LocalEngine) -> None:
    pool = engine.pools["files"]
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(worker is None or worker.is_gone() for worker in pool._workers))
    assert [ask(engine, "echo", n).value for n in range(4)] == [0, 1, 2, 3]


def test_a_killed_nursery_is_started_again(engine: LocalEngine) -> None:
    pool = engine.pools["files"]
    nursery, workers = pool.nursery_pid, pool.pids
    assert nursery is not None
    os.kill(nursery, signal.SIGKILL)
    until(lambda: all(map(_dead, workers)))  # they go with it
    assert ask(engine, "echo", 1).value == 1
    assert pool.nursery_pid != nursery


def test_tenants_take_turns(engine: LocalEngine) -> None:
    """Two places are held; a crowd waits, then one of another tenant: it is among the next two."""
    order: list[str] = []
    plan = _plan(places=1, name="one")
    one = LocalEngine({"files": plan})
    line = one.pools["files"]._line
    held = line.take("crowd", None)

    def wait(tenant: str) -> None:
        place = line.take(tenant, None)
        order.append(tenant)
        line.give(place)

    with ThreadPoolExecutor(9) as threads:
        for number in range(8):
            threads.submit(wait, "crowd")
            _until_waiting(line, number + 1)
        threads.submit(wait, "small")
        _until_waiting(line, 9)
        line.give(held)
    assert order.index("small") <= 1
    one.close()


def _until_waiting(line: Line, number: int) -> None:
    until(lambda: line.waiting == number)


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    engine = LocalEngine({"files": _plan(places=1)})
    caught: list[Exception] = []

    def work() -> None:
        try:
            ask(engine, "hang")
        except WorkerLost as error:
            caught.append(error)

    engine.ready()
    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: _jobs(engine))
    pids = engine.pools["files"].pids
    engine.close()
    thread.join(HANG_S)
    assert len(caught) == 1
    until(lambda: all(map(_dead, pids)))
    with pytest.raises(WorkerLost):
        ask(engine, "echo", 1)


_PARENT = """
import sys, time
from chopmark.workers import LocalEngine, PoolPlan
from tests.support.odd_jobs import MANNER
engine = LocalEngine({"files": PoolPlan(
    name="odd", module="tests.support.odd_jobs", manner=MANNER, places=2, most_jobs=9)})
engine.ready()
pool = engine.pools["files"]
print(pool.nursery_pid, *pool.pids, flush=True)
time.sleep(600)
"""


def test_killing_whoever_gives_the_work_leaves_no_process() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        os.kill(pids[1], signal.SIGSTOP)  # also one that hangs
        parent.kill()
    until(lambda: all(map(_dead, pids)))


class TestConfined:
    """What a process could do that a stranger's file has taken over."""

    @pytest.fixture(autouse=True)
    def _held(self, engine: LocalEngine) -> None:
        if set(engine.ready()["files"]) != {"rlimits", "landlock", "seccomp"}:
            pytest.skip("this kernel has no Landlock, or there is no libseccomp")

    @pytest.mark.parametrize(
        ("what", "argument"),
        [
            ("read", "/etc/passwd"),
            ("read", "/proc/self/environ"),
            ("write", "/tmp/chopmark-was-here"),  # noqa: S108  that it cannot is what is tested
            ("connect", ("127.0.0.1", 9)),
            ("listen", "/tmp/chopmark-socket"),  # noqa: S108
            ("execute", "/bin/true"),
            ("fork", None),
        ],
    )
    def test_it_cannot(self, engine: LocalEngine, what: str, argument: Any) -> None:
        assert ask(engine, "try", (what, argument)).value == "PermissionError"

    def test_it_cannot_touch_other_processes(self, engine: LocalEngine) -> None:
        assert ask(engine, "try", ("signal", os.getpid())).value == "PermissionError"

    def test_it_cannot_read_what_is_ours(self, engine: LocalEngine, tmp_path: Path) -> None:
        key = tmp_path / "key.pem"
        key.write_text("secret")
        assert ask(engine, "try", ("read", str(key))).value == "PermissionError"

    def test_its_environment_has_no_setting(self, engine: LocalEngine) -> None:
        names = ask(engine, "try", ("environment", None)).value
        assert not [name for name in names if name.startswith("CHOPMARK")]
