"""Servers that are killed (SIGKILL) at a chosen moment of a request, again and again over one home.

A process loads the guards once and forks a server whenever it is told to; the server kills itself
at the moment that it was given, or lives until its stdin ends. Everything but the generator is the
real thing. The test asks for a few kills, ``python -m benchmarks.crash`` for a thousand.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOMENTS", "Campaign", "check"]

_STAGES: Final = (
    "received", "judge_prompt", "decided", "generate", "judge_output", "mark", "sign", "completed",
    "answer",
)  # fmt: skip
#: Before or after the work of each stage; `answer` is the keeping of a whole answer for its key.
MOMENTS: Final = tuple(itertools.product(_STAGES, ("before", "after")))
_NONE: Final = ("", "")
_HANG_S: Final = 120


@dataclass
class Campaign:
    """Kills over one home, and what clients saw meanwhile.

    Attributes:
        home: The home folder.
        chance: Draws what is asked for.
        acknowledged: Record ids of 200 answers, by the seed that was asked for.
        unanswered: Key and body of each request that got no answer.
        kills: How many servers died.
    """

    home: Path
    chance: random.Random
    acknowledged: dict[int, str] = field(default_factory=dict)
    unanswered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kills: int = 0

    def __enter__(self) -> Self:
        """Start the process that servers are forked from."""
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.support.crash", str(self.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lock = threading.Lock()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.wait(_HANG_S)
        self._zygote.stdout.close()

    def kill(self, moment: tuple[str, str], *, after: int = 1) -> None:
        """Start a server, ask it until it dies at the ``after``-th such moment."""
        url = self._start(moment, after)
        threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_HANG_S)
            assert not thread.is_alive(), f"no server died {moment}"
        self.kills += 1

    def settle(self) -> list[str]:
        """Retry everything that got no answer, over a server that lives; return what is wrong."""
        url = self._start(_NONE, 0)
        wrong = []
        with httpx.Client(base_url=url, trust_env=False, timeout=_HANG_S) as client:
            for key, body in self.unanswered:
                answer = _post(client, key, body)
                if answer.status_code != 200:
                    wrong.append(f"{body}: {answer.status_code} {answer.text[:200]}")
                    continue
                self.acknowledged[body["seed"]] = answer.headers["x-record-id"]
                again = _post(client, key, body)
                if again.content != answer.content:
                    wrong.append(f"{body}: the second retry has another answer")
        self.stop()
        return wrong

    def serve(self, moment: tuple[str, str] = _NONE, *, after: int = 0) -> str:
        """Start a server and return its address; it dies at the moment, if it comes to that."""
        return self._start(moment, after)

    def stop(self) -> None:
        """End the server that lives."""
        self._say({"stop": True})
        self._hear()

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=_HANG_S) as client:
            while True:
                with self._lock:
                    seed = self.chance.randrange(1 << 30)
                    n = self.chance.choice((1, 1, 2))
                key = str(uuid.UUID(int=seed))
                body = {"prompt": "a red apple", "n": n, "seed": seed}
                try:
                    answer = _post(client, key, body)
                except httpx.HTTPError:
                    with self._lock:
                        self.unanswered.append((key, body))
                    return
                assert answer.status_code == 200, answer.text
                with self._lock:
                    self.acknowledged[seed] = answer.headers["x-record-id"]

    def _start(self, moment: tuple[str, str], after: int) -> str:
        self._say({"stage": moment[0], "when": moment[1], "after": after})
        return f"http://127.0.0.1:{self._hear()['port']}"

    def _say(self, what: dict[str, Any]) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(what) + "\n")
        self._zygote.stdin.flush()

    def _hear(self) -> Any:
        assert self._zygote.stdout is not None
        return json.loads(self._zygote.stdout.readline())


def check(home: Path, acknowledged: Mapping[int, str]) -> int:
    """Hold the log and the manifests of a home to what its clients were told, by seed.

    Returns:
        How many requests completed.
    """
    from chopmark.audit import AuditLog, verify_log
    from chopmark.provenance import ManifestStore

    with AuditLog.open(home) as log:
        # Nothing is open, though nobody waited for a time to pass.
        assert log.reconcile(0) == []
        records: dict[str, list[Any]] = {}
        for index in range(log.size):
            one = log.get(index)
            records.setdefault(one.record_id, []).append(one)
    completed: dict[int, list[str]] = {}
    outputs = 0
    for record_id, events in records.items():
        kinds = [one.kind for one in events]
        if kinds[0] != "request.received":
            continue
        ends = [kind for kind in kinds if kind in {"request.completed", "request.failed"}]
        assert len(ends) == 1, kinds
        if ends == ["request.completed"]:
            completed.setdefault(int(events[0].public["seed"]), []).append(record_id)
            outputs += len(events[-1].public["outputs"])
    # Whatever was asked for once was made once, and the client has that very record.
    assert {seed: [record] for seed, record in acknowledged.items()} == completed
    store = ManifestStore.open(home)
    assert store.count() == outputs  # none of a request that never completed
    store.close()
    assert verify_log(home).ok
    return len(completed)


def _post(client: httpx.Client, key: str, body: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/images/generations", json=body, headers={"idempotency-key": key})


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _zygote(home: Path) -> None:
    """Fork a server for each line that is read; the one before it has died, or is told to stop."""
    from chopmark import Pipeline, Settings
    from chopmark.safety import load_policy

    settings = Settings(
        home=home, workers=0, warm_up=False, requests_per_minute=0, retention_days=None
    )
    lender = Pipeline.from_settings(settings)
    guards = {name: getattr(lender.parts, name) for name in ("prompt_guard", "image_guard")}
    guards["prompt_guard"].judge("a red apple", load_policy("default"), stage="prompt")
    child, control = 0, -1
    for line in sys.stdin:
        told = json.loads(line)
        if "stop" in told:
            os.close(control)
            os.waitpid(child, 0)
            child = 0
            _tell({"stopped": True})
            continue
        if child:
            os.waitpid(child, 0)
            os.close(control)
        theirs, control = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(control)
            _serve(settings, guards, told, theirs)
            os._exit(0)
        os.close(theirs)


def _serve(settings: Any, guards: dict[str, Any], told: dict[str, Any], control: int) -> None:
    from chopmark import Pipeline
    from chopmark.pipeline.lost import close_lost
    from chopmark.service import batch_runner
    from tests.support.generator import StandIn
    from tests.support.server import serve

    _arm(told)
    batch_runner.LEASE_S = 2
    small = StandIn(default_size=(256, 256), default_steps=1)
    with Pipeline.from_settings(settings) as pipeline:
        pipeline.parts.use(generator=small, **guards)
        close_lost(pipeline.parts)
        with serve(pipeline) as live:
            _tell({"port": int(live.url.rpartition(":")[2])})
            os.read(control, 1)  # until the other end is closed


def _arm(told: dict[str, Any]) -> None:
    """Have this process die at a moment."""
    from chopmark.pipeline.steps import Steps
    from chopmark.tenancy.batch_lines import BatchLines
    from chopmark.tenancy.replays import Replays

    left = itertools.count(told["after"], -1)
    real_run, real_finish, real_answered = Steps.run, Replays.finish, BatchLines.answered

    def die(when: str) -> bool:
        return bool(when == told["when"] and next(left) <= 1)

    async def run(self: Steps, case: Any, stage: Any, work: Any) -> Any:
        mine = stage == told["stage"]
        if mine and die("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = await real_run(self, case, stage, work)
        if mine and die("after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def finish(self: Replays, *arguments: Any) -> None:
        mine = told["stage"] == "answer"
        if mine and die("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        real_finish(self, *arguments)
        if mine and die("after"):
            os.kill(os.getpid(), signal.SIGKILL)

    def answered(self: BatchLines, *arguments: Any, **named: Any) -> None:
        mine = told["stage"] == "line"
        if mine and die("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        real_answered(self, *arguments, **named)
        if mine and die("after"):
            os.kill(os.getpid(), signal.SIGKILL)

    BatchLines.answered = answered  # type: ignore[method-assign]
    Steps.run = run  # type: ignore[method-assign]
    Replays.finish = finish  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    _zygote(Path(sys.argv[1]))
