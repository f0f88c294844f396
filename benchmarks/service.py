"""Load on the HTTP service: ``python -m benchmarks.service``.

The server is ``chopmark serve`` in a process of its own, with a fresh home and the real parts; this
process is the load: so many connections, each sending the next request when it has its answer, as
the official client would (a 429 or 503 is tried again after ``Retry-After`` and counted). Measured
are generate, moderate and verify at 1, 8 and 64 connections, and then an overload without retries.

After the load the log is walked (``verify_log``) and compared with the answers: each 200 must have
its ``request.completed``, and nothing may be left open. Memory is the server's resident set.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.report import write_section
from chopmark.audit import AuditLog, verify_log

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

CONNECTIONS = (1, 8, 64)
PROMPTS = ("a red apple", "a blue star on a white background", "a green tree", "a yellow sun")


@dataclass
class Load:
    """What one load of one kind at one number of connections came to."""

    kind: str
    connections: int
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    records: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return the load's line of the table."""
        done = len(self.waits)
        refused = self.statuses[429] + self.statuses[503]
        if done < 2:
            return f"| {self.kind} | {self.connections} | {done} | - | - | - | - | {refused} |"
        cuts = statistics.quantiles(self.waits, n=100, method="inclusive")
        p50, p95, p99 = (f"{1000 * cuts[i - 1]:.0f}" for i in (50, 95, 99))
        rate = done / self.seconds
        return (
            f"| {self.kind} | {self.connections} | {done} | {rate:.2f} | {p50} | {p95} | {p99} |"
            f" {refused} |"
        )


class Server:
    """``chopmark serve`` and what it takes."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def resident(self) -> int:
        """Return bytes of memory in use now."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _watch(self) -> None:
        while not self._stop.wait(0.1) and self.process.poll() is None:
            self.peak = max(self.peak, self.resident())

    def stop(self) -> None:
        """End the server as an operator would, and wait for it."""
        self._stop.set()
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "CHOPMARK_HOME": str(home),
        "CHOPMARK_REQUESTS_PER_MINUTE": "0",
        "PYTHONWARNINGS": "ignore",
    }
    with (home.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "chopmark", "serve", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 300
    while True:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False, timeout=60).status_code == 200:
                break
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit((home.parent / "server.log").read_text(encoding="utf-8"))
        time.sleep(0.2)
    server = Server(process, url)
    try:
        yield server
    finally:
        server.stop()


async def run(url: str, kind: str, connections: int, seconds: float, ask: Any) -> Load:
    load = Load(kind, connections)
    limits = httpx.Limits(max_connections=connections)
    began = time.perf_counter()
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=600, trust_env=False
    ) as client:

        async def one(number: int) -> None:
            turn = 0
            while time.perf_counter() - began < seconds:
                sent = time.perf_counter()
                while True:
                    answer = await ask(client, number * 1000 + turn)
                    load.statuses[answer.status_code] += 1
                    if answer.status_code not in {429, 503}:
                        break
                    await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
                if answer.status_code == 200:
                    load.waits.append(time.perf_counter() - sent)
                    load.records.append(answer.headers["x-record-id"])
                turn += 1

        await asyncio.gather(*(one(number) for number in range(connections)))
    load.seconds = time.perf_counter() - began
    return load


def generate(client: httpx.AsyncClient, number: int) -> Coroutine[Any, Any, httpx.Response]:
    prompt = PROMPTS[number % len(PROMPTS)]
    return client.post("/v1/images/generations", json={"prompt": prompt, "seed": number})


def moderate(client: httpx.AsyncClient, number: int) -> Coroutine[Any, Any, httpx.Response]:
    return client.post("/v1/moderations", json={"input": f"{PROMPTS[number % 4]} number {number}"})


def verifying(picture: bytes) -> Callable[..., Coroutine[Any, Any, httpx.Response]]:
    def verify(client: httpx.AsyncClient, _number: int) -> Coroutine[Any, Any, httpx.Response]:
        return client.post("/api/v1/verify", files={"image": ("a.png", picture, "image/png")})

    return verify


async def overload(url: str, requests: int) -> tuple[Counter[int], list[str]]:
    """Send everything at once and try nothing again."""
    limits = httpx.Limits(max_connections=requests)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=600, trust_env=False
    ) as client:
        answers = await asyncio.gather(*(generate(client, number) for number in range(requests)))
    kept = [answer.headers["x-record-id"] for answer in answers if answer.status_code == 200]
    return Counter(answer.status_code for answer in answers), kept


def stages(url: str) -> dict[str, float]:
    """Return the seconds that completed requests spent in each stage, from ``/metrics``."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    found = re.findall(r'chopmark_stage_seconds_sum\{stage="(\w+)"\} (\S+)', text)
    return {stage: float(seconds) for stage, seconds in found}


def check(home: Path, records: list[str]) -> str:
    """Compare the log with the answers; any difference ends the program."""
    report = verify_log(home)
    if not report.ok:
        raise SystemExit(f"the log does not verify: {report.to_dict()}")
    with AuditLog.open(home) as log:
        kinds = Counter(log.get(index).kind for index in range(log.size))
        ends = {log.records(record)[-1].kind for record in records}
        lost = log.reconcile(older_than_s=0)
    wrong = ends - {"request.completed", "moderation.completed", "verify.completed"}
    if wrong or lost:
        raise SystemExit(f"answers without their record: {wrong}; left open: {len(lost)}")
    return (
        f"Log afterwards: {report.size} entries, verifies; {len(records)} answers with 200, each"
        f" with its record; {kinds['request.received']} requests received,"
        f" {kinds['request.completed']} completed, {kinds['request.failed']} failed, 0 left open."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--burst", type=int, default=200, help="requests at once at the end")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    rows = [
        "| request | connections | answered | per second | p50 ms | p95 ms | p99 ms | 429/503 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    records: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with serving(home) as server:
            first = httpx.post(
                f"{server.url}/v1/images/generations",
                json={"prompt": "a red apple", "seed": 1},
                trust_env=False,
                timeout=600,
            )
            picture = base64.b64decode(first.json()["data"][0]["b64_json"])
            records.append(first.headers["x-record-id"])
            idle = server.resident()
            asks = {"moderate": moderate, "verify": verifying(picture), "generate": generate}
            for kind, ask in asks.items():
                for connections in CONNECTIONS:
                    load = asyncio.run(run(server.url, kind, connections, options.seconds, ask))
                    rows.append(load.row())
                    print(rows[-1], dict(load.statuses), flush=True)
                    records += load.records
            spent = stages(server.url)
            calm = server.peak
            statuses, kept = asyncio.run(overload(server.url, options.burst))
            records += kept
            peak = server.peak
        checked = check(home, records)
    around = 1 - spent["generate"] / sum(spent.values())
    shares = ", ".join(
        f"{stage} {seconds / sum(spent.values()):.1%}" for stage, seconds in spent.items()
    )
    mib = 2**20
    rows += [
        "",
        "Each connection sends its next request when it has the answer; the time of a request"
        " counts from its first try, waiting after 429/503 included.",
        "",
        f"Governance (everything but the generator): {around:.1%} of the pipeline's time;"
        f" {shares}.",
        "",
        f"Overload, {options.burst} generate requests at once without trying again: "
        + ", ".join(f"{n} of {status}" for status, n in sorted(statuses.items()))
        + f". Server memory: {idle / mib:.0f} MiB before the load, at most {calm / mib:.0f} MiB"
        f" under it, at most {peak / mib:.0f} MiB in the overload. {checked}",
    ]
    text = "\n".join(rows)
    print(text)
    if options.write:
        command = f"python -m benchmarks.service --seconds {options.seconds:g} --write"
        write_section("service", text, command=command)


if __name__ == "__main__":
    main()
