"""Machines for measuring: network namespaces on a bridge, each with a node of Ray in it.

The program that makes them enters a namespace of its own first, so that nothing of it is seen by
the rest of the machine, and stands there as the network between them: PostgreSQL, Redis and the
callers are on its bridge.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.workers.ray_proxy import NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HUB", "PORT", "Node", "enter_a_network", "why_not"]

HUB = "10.77.0.1"
PORT = 8000
_RAY_PORT = 6379
_CLONE_NEWNET = 0x40000000
_START_S = 240
#: What the scheduler is told of our processes: what is measured shall not be who else is here.
_FIRST = "-10"
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_agent_register_timeout_ms": "120000",
    # A node that is silent for four seconds or so is taken for dead.
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1500",
    "RAY_health_check_failure_threshold": "3",
    # A replica waits until whoever asked it has its answer, and takes nothing else meanwhile: the
    # kernel shall give up a connection to a machine that was cut off, and not after two minutes.
    "RAY_grpc_client_keepalive_timeout_ms": "4000",
    "RAY_worker_niceness": "0",
    # A machine goes on for so long without the one that has Ray's own state.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": NAMED,
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
}


def why_not() -> str:
    """Return why there can be no such cluster here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "type", "bridge"],
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.decode()[:200]}"
    for module, extra in (("ray.serve", "ray"), ("psycopg", "postgres"), ("redis", "redis")):
        try:
            __import__(module)
        except ImportError:
            return f"{module} is not installed: pip install 'chopmark[{extra}]'"
    return ""


def enter_a_network() -> None:
    """Put this process, and those that it starts, on a network of its own with a bridge.

    Raises:
        OSError: The kernel lets us not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "cm0", "type", "bridge")
    _ip("address", "add", f"{HUB}/24", "dev", "cm0")
    _ip("link", "set", "cm0", "up")


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Node:
    """One machine of the cluster.

    Args:
        number: From 1 on; the first has Ray's own state.
        folder: Where its log goes.
        environment: What its processes are told.

    Attributes:
        address: Its address on the bridge.
        environment: What its processes are told, in all.
        log: What Ray says on it.
    """

    def __init__(self, number: int, folder: Path, environment: Mapping[str, str]) -> None:
        self.number = number
        self.name = f"cm{os.getpid()}-{number}"
        self.address = f"10.77.0.{10 + number}"
        self.log = folder / f"node{number}.log"
        self._folder = folder
        self.environment = {**os.environ, **_RAY, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        _ip("netns", "add", self.name)
        _ip("link", "add", f"n{number}", "type", "veth", "peer", "eth0", "netns", self.name)
        _ip("link", "set", f"n{number}", "master", "cm0", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", HUB),
        ):
            _ip("-n", self.name, *words)

    @property
    def url(self) -> str:
        """Where its proxy takes requests."""
        return f"http://{self.address}:{PORT}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it and return what it printed."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, head: Node, *, cpus: int = 2) -> None:
        """Start Ray on it, without waiting."""
        program = [str(Path(sys.executable).parent / "ray"), "start", "--block"]
        program += ["--node-ip-address", self.address, "--num-cpus", str(cpus)]
        program += ["--object-store-memory", str(200 << 20), "--disable-usage-stats"]
        if head is self:
            config = json.dumps({"automatic_object_spilling_enabled": False})
            program += ["--head", "--port", str(_RAY_PORT), "--include-dashboard", "false"]
            program += ["--temp-dir", str(self._folder / "ray"), "--system-config", config]
        else:
            program += ["--address", f"{head.address}:{_RAY_PORT}"]
        self._starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *program],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def joined(self) -> bool:
        """Tell whether Ray has started as often as it was told to.

        Raises:
            SystemExit: It gave up.
        """
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(f"Ray does not start on {self.name}:\n{self.log.read_text()[-3000:]}")
        return self.log.read_text("utf-8").count("Ray runtime started") >= self._starts

    def hurry(self) -> None:
        """Have its processes go before what else runs on this machine: Ray waits no longer."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/autogroup").write_text(_FIRST, encoding="ascii")

    def pids(self) -> list[int]:
        """Return its processes."""
        return [int(one) for one in _ip("netns", "pids", self.name).split()]

    def kill(self) -> None:
        """End every process of it at once, as a machine ends that loses its power."""
        end = time.monotonic() + _START_S
        while (left := self.pids()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def cut(self) -> None:
        """Take its cable out."""
        _ip("link", "set", f"n{self.number}", "down")

    def join(self) -> None:
        """Put it back."""
        _ip("link", "set", f"n{self.number}", "up")

    def remove(self) -> None:
        """End it for good."""
        with contextlib.suppress(OSError):
            self.kill()
            _ip("netns", "delete", self.name)
