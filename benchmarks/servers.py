"""Servers for measuring: ``chopmark serve`` or the plain one, each a process with its own home."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.processes import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Running", "chopmark", "end_with_servers", "has_workers", "make_key", "plain"]

_START_S = 300
_STOP_S = 60


@dataclass
class Running:
    """A server that answers.

    Attributes:
        name: What tables call it.
        process: Its first process, the leader of a session.
        port: On loopback.
        home: Its folder.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    home: Path

    @property
    def pid(self) -> int:
        """Id of the first process."""
        return self.process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that its processes have used so far."""
        return cpu_seconds(self.pid)

    def get(self, path: str, *, timeout: float = 60.0) -> tuple[int, bytes]:
        """Return status and body of a GET over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it as an operator would; what does not end is killed, its helpers too."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End every process of its session at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(_STOP_S)


def end_with_servers() -> None:
    """Let a program that is told to end take its servers with it: they are in other sessions."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextlib.contextmanager
def chopmark(
    home: Path,
    *,
    name: str = "chopmark",
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    source: Path | None = None,
) -> Iterator[Running]:
    """Run ``chopmark serve`` for the time of a ``with`` block.

    Args:
        home: Made if it is not there.
        name: What tables call it.
        arguments: Further ones of ``serve``.
        environment: Further variables.
        source: ``src`` of another checkout, whose code is run instead of this one's.
    """
    own = {
        "CHOPMARK_HOME": str(home),
        "CHOPMARK_REQUESTS_PER_MINUTE": "0",
        "PYTHONWARNINGS": "ignore",
        **({} if source is None else {"PYTHONPATH": str(source)}),
    }
    command = [sys.executable, "-m", "chopmark", "serve", *arguments]
    with _started(name, command, home, {**own, **(environment or {})}) as running:
        yield running


@contextlib.contextmanager
def plain(home: Path, *, name: str, int8: str = "") -> Iterator[Running]:
    """Run :mod:`benchmarks.plain_server` for the time of a ``with`` block."""
    command = [sys.executable, "-m", "benchmarks.plain_server", "--home", str(home)]
    command += ["--int8", int8] if int8 else []
    with _started(name, command, home, {"PYTHONWARNINGS": "ignore"}) as running:
        yield running


@contextlib.contextmanager
def _started(
    name: str, command: Sequence[str], home: Path, environment: Mapping[str, str]
) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = home.with_name(f"{home.name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that its helpers can be found and ended with it
        )
    running = Running(name, process, port, home)
    try:
        _wait_until_ready(running, log)
        yield running
    finally:
        if process.poll() is None:
            running.stop()
        # A helper that outlives its server would be measured with the next one.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def _wait_until_ready(running: Running, log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if running.get("/readyz")[0] == 200:
                return
        if running.process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{running.name} does not start:\n{log.read_text('utf-8')[-4000:]}")
        time.sleep(0.2)


def make_key(
    home: Path,
    tenant: str,
    *scopes: str,
    source: Path | None = None,
    more: Sequence[str] = (),
) -> str:
    """Return a new API key of a tenant, which is made if new."""
    command = [sys.executable, "-m", "chopmark", "access", "create", "--tenant", tenant, "--json"]
    for scope in scopes:
        command += ["--scope", scope]
    command += more
    environment = {**os.environ, "CHOPMARK_HOME": str(home)}
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return str(json.loads(done.stdout)["key"])


@functools.cache
def has_workers() -> bool:
    """Tell whether this Chopmark's ``serve`` knows ``--workers``."""
    command = [sys.executable, "-m", "chopmark", "serve", "--help"]
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, env=wide, capture_output=True, text=True, check=True)
    return "--workers" in done.stdout
