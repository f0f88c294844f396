"""A cluster of three machines under load, of which one is killed and one cut off.

``python -m benchmarks.cluster --write`` makes three network namespaces on a bridge with a node of
Ray in each, PostgreSQL and Redis beside them, and has callers ask for pictures. It needs root,
PostgreSQL, Redis and ``pip install 'chopmark[ray,postgres,redis]'``. ``--small`` makes two nodes
and kills one, ``--small cut`` cuts it off, ``--small head`` kills the one with Ray's own state. The
generator is a stand-in that takes six seconds and no CPU, one picture after the other on each node:
what is measured is everything around it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.cluster_load import Callers, Told, compare, count_let_through, crowd
from benchmarks.cluster_nodes import HUB, PORT, Node, enter_a_network, why_not
from benchmarks.cluster_page import write_page
from benchmarks.servers import make_key
from benchmarks.timed_generator import install
from tests.support.disk_faults import TemporaryPostgres
from tests.support.redis_server import TemporaryRedis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["main"]

_READY_S = 600
_LIMIT = 300
_QUEUE = 12


class Cluster:
    """The nodes, and what was found with them."""

    def __init__(self, folder: Path, environment: dict[str, str], *, picture_s: float) -> None:
        self.folder, self.environment = folder, environment
        self.nodes: list[Node] = []
        self.told: dict[int, Told] = {}
        self.given_up: list[int] = []
        self.figures: dict[str, Any] = {"picture_s": picture_s}
        self._driver: subprocess.Popen[bytes] | None = None
        self._deployed = 0
        threading.Thread(target=self._hurry, daemon=True).start()

    def _hurry(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text("-10", encoding="ascii")
            for node in list(self.nodes):
                with contextlib.suppress(OSError):
                    node.hurry()
            time.sleep(2)

    def add(self, *, wait: bool = True) -> Node:
        """Start one more node with a copy of the home, whose keys all share."""
        number = len(self.nodes) + 1
        home = self.folder / f"home{number}"
        shutil.copytree(self.folder / "home", home)
        node = Node(number, self.folder, {**self.environment, "CHOPMARK_HOME": str(home)})
        self.nodes.append(node)
        node.start(self.nodes[0])
        if wait:
            _until(node.joined, f"node {number} does not join", node.log)
        return node

    def deploy(self, nodes: int) -> None:
        """Run ``chopmark serve --engine ray`` for so many nodes, and wait for each node's site."""
        head = self.nodes[0]
        environment = {
            "CHOPMARK_RAY_ADDRESS": f"{head.address}:6379",
            "CHOPMARK_RAY_NODES": str(nodes),
            "CHOPMARK_RAY_GENERATORS": str(nodes),
        }
        command = ["ip", "netns", "exec", head.name, sys.executable, "-m", "chopmark", "serve"]
        command += ["--engine", "ray", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104
        log = self.folder / "serve.log"
        self._deployed += 1
        with log.open("ab") as output:
            self._driver = subprocess.Popen(
                command,
                env={**head.environment, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        begun = time.monotonic()
        _until(lambda: all(_ready(one.url) for one in self.nodes[:nodes]), "no site", log)
        # Replicas of before are replaced one after the other: each driver says when all are.
        _until(
            lambda: log.read_text("utf-8").count("serving on") >= self._deployed,
            "not deployed",
            log,
        )
        _say(f"{nodes} nodes serve after {time.monotonic() - begun:.0f} s")

    @contextlib.contextmanager
    def load(self, each: int) -> Iterator[Callers]:
        """Ask all nodes for pictures in the block; afterwards everything is answered."""
        nodes = [node.url for node in self.nodes]
        with Callers(nodes, self.environment["KEY"], each * len(nodes)) as callers:
            yield callers
        self.told |= callers.told
        self.given_up += callers.open

    def throughput(self, seconds: float) -> float:
        """Return pictures a second of the nodes that there are."""
        with self.load(3) as callers:
            time.sleep(8)  # until every generator has one
            begun = time.monotonic()
            time.sleep(seconds)
            made = callers.within(begun, begun + seconds)
        return made / seconds

    def fault(self, name: str, node: Node, *, kill: bool, seconds: float) -> None:
        """Kill or cut a node under load, and note how long nobody was served."""
        with self.load(2) as callers:
            time.sleep(8)
            begun = time.monotonic()
            if kill:
                node.kill()
            else:
                node.cut()
            time.sleep(seconds)
            ended = time.monotonic()
        self.figures[name] = {
            "first_s": round(callers.first_after(begun), 1),
            "gap_s": round(callers.longest_gap(begun, ended), 1),
            "answered": callers.within(begun, ended),
            "refused": dict(callers.refused),
            "given_up": len(callers.open),
        }
        _say(f"{name}: {self.figures[name]}")

    def back(self, node: Node, name: str) -> None:
        """Start a node again, and wait until its site answers."""
        begun = time.monotonic()
        node.kill()
        node.join()
        node.start(self.nodes[0])
        _until(lambda: _ready(node.url), "the node does not come back")
        self.figures[name]["back_s"] = round(time.monotonic() - begun)

    def end(self) -> None:
        """Remove the nodes."""
        for node in self.nodes:
            node.remove()
        if self._driver is not None:
            self._driver.wait()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--small",
        nargs="?",
        const="kill",
        choices=("kill", "cut", "head"),
        help="two nodes, less one",
    )
    parser.add_argument("--faults", action="store_true", help="leave out one and two nodes")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--picture-s", type=float, default=6.0, help="of the stand-in")
    parser.add_argument("--keep", type=Path, help="where the logs go, if they are wanted")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    if reason := why_not():
        sys.stdout.write(json.dumps({"skipped": reason}) + "\n")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    enter_a_network()
    with contextlib.ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cm", dir="/tmp")))
        if asked.keep:
            stack.callback(_keep_logs, made, asked.keep)
        stack.enter_context(TemporaryPostgres(listen=HUB))
        options = ("--port", "6379", "--bind", HUB, "--protected-mode", "no")
        stack.enter_context(TemporaryRedis(*options))
        cluster = Cluster(made, _prepared(made, asked.picture_s), picture_s=asked.picture_s)
        stack.callback(cluster.end)
        for step in _steps(cluster, seconds=asked.seconds, small=asked.small, faults=asked.faults):
            step()
            _note(cluster, asked.keep)
    sys.stdout.write(json.dumps(cluster.figures) + "\n")
    if asked.write:
        write_page(cluster.figures)
    wrong = sum(cluster.figures["log"][name] for name in ("not_booked", "twice", "lost"))
    sys.exit(1 if wrong or not cluster.figures["log_verifies"] else 0)


def _steps(
    cluster: Cluster, *, seconds: float, small: str | None, faults: bool
) -> Iterator[Callable[[], object]]:
    """Give one thing after the other that is to be done."""
    figures, nodes = cluster.figures, cluster.nodes
    yield cluster.add
    if faults:
        yield partial(cluster.add, wait=False)
        yield cluster.add
        yield partial(cluster.deploy, 3)
        yield from _faults(cluster)
        return

    def measure(name: str) -> None:
        figures[name] = cluster.throughput(seconds)
        _say(f"{name}: {figures[name]:.2f} pictures a second")

    if not small:
        yield partial(cluster.deploy, 1)
        yield partial(measure, "one")
    yield cluster.add
    yield partial(cluster.deploy, 2)
    if small:
        name, lost = ("kill_head", nodes[0]) if small == "head" else (small, nodes[1])
        yield partial(cluster.fault, name, lost, kill=small != "cut", seconds=30)
    else:
        yield partial(measure, "two")
        yield cluster.add
        yield partial(cluster.deploy, 3)
        yield partial(measure, "three")
        yield from _faults(cluster)
        return
    yield partial(_check, cluster)


def _faults(cluster: Cluster) -> Iterator[Callable[[], object]]:
    """Give what three nodes are tried with."""
    nodes = cluster.nodes
    yield partial(_limits, cluster)
    yield partial(cluster.fault, "kill", nodes[2], kill=True, seconds=40)
    yield partial(_check, cluster)
    yield partial(cluster.back, nodes[2], "kill")
    yield partial(cluster.fault, "cut", nodes[1], kill=False, seconds=40)
    yield partial(_check, cluster)
    yield partial(cluster.back, nodes[1], "cut")
    yield partial(cluster.fault, "kill_head", nodes[0], kill=True, seconds=40)
    yield partial(_check, cluster)


def _limits(cluster: Cluster) -> None:
    """Ask for more than one tenant may, over all nodes, and for more pictures than wait at one."""
    urls = [node.url for node in cluster.nodes]
    figures = cluster.figures
    figures["limit"] = dict(count_let_through(urls, cluster.environment["LIMITED"], 600))
    _say(f"limit: {figures['limit']}")
    statuses, said = crowd(urls[0], cluster.environment["KEY"], 60)
    figures["crowd"] = {"statuses": dict(statuses), "retry_after": said}
    _say(f"crowd: {figures['crowd']}")


def _check(cluster: Cluster) -> None:
    """Compare the log with what callers were told, once what was left open has been closed."""
    from chopmark import Pipeline, Settings
    from chopmark.audit import verify_log

    settings = Settings(
        home=cluster.folder / "home", database=cluster.environment["CHOPMARK_DATABASE"]
    )
    figures = cluster.figures
    with Pipeline.from_settings(settings) as pipeline:
        log = pipeline.parts.log
        begun = time.monotonic()
        found = compare(log, cluster.told, cluster.given_up)
        while found["left_open"] and time.monotonic() < begun + 90:
            time.sleep(3)
            found = compare(log, cluster.told, cluster.given_up)
        figures["log"] = found
        figures["closed_after_s"] = round(time.monotonic() - begun)
        figures["told"], figures["given_up"] = len(cluster.told), len(cluster.given_up)
    figures["log_verifies"] = verify_log(
        settings.home, database=settings.log_address, keys_database=settings.log_keys_address
    ).ok
    _say(f"log: {found}, verifies: {figures['log_verifies']}")


def _prepared(folder: Path, picture_s: float) -> dict[str, str]:
    """Make the home whose keys all nodes share; return what they are told."""
    from chopmark import Pipeline, Settings

    home, database = folder / "home", f"postgresql://chopmark@{HUB}/postgres"
    install(folder / "plugin")
    root = Path(__file__).parents[1]
    environment = {
        "PYTHONPATH": f"{root / 'src'}:{root}:{folder / 'plugin'}",
        "CHOPMARK_DATABASE": database,
        "CHOPMARK_SHARED_STATE": f"redis://{HUB}:6379/0",
        "CHOPMARK_MODEL": "timed",
        "CHOPMARK_WORKERS": "1",
        "CHOPMARK_WARM_UP": "false",
        "CHOPMARK_MAX_QUEUE": str(_QUEUE),
        "CHOPMARK_BENCH_PICTURE_S": str(picture_s),
        # A replica that is replaced ends what waits in its line first.
        "CHOPMARK_SHUTDOWN_S": str(round(2 * _QUEUE * picture_s)),
        "CHOPMARK_REQUESTS_PER_MINUTE": "0",
    }
    os.environ.update(environment)
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        for part in ("request_log", "credential", "mark_keys"):
            getattr(pipeline.parts, part)
    key = make_key(home, "load", "generate", "read")
    limited = make_key(
        home, "limited", "generate", "read", more=("--requests-per-minute", str(_LIMIT))
    )
    return {**environment, "KEY": key, "LIMITED": limited}


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _until(true: Any, otherwise: str, log: Path | None = None) -> None:
    end = time.monotonic() + _READY_S
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"{otherwise}\n{log.read_text('utf-8')[-3000:] if log else ''}")
        time.sleep(1)


def _note(cluster: Cluster, where: Path | None) -> None:
    """Keep what is known so far: a run takes its time."""
    if where is not None:
        where.mkdir(parents=True, exist_ok=True)
        (where / "figures.json").write_text(json.dumps(cluster.figures), encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def _keep_logs(made: Path, where: Path) -> None:
    where.mkdir(parents=True, exist_ok=True)
    for log in made.glob("*.log"):
        shutil.copy(log, where)


if __name__ == "__main__":
    main()
