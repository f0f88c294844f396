"""Load on the HTTP service, before and after: ``python -m benchmarks.service``.

Every server runs at once in a home of its own, and all but the one under load are idle; a round
gives each load to one server after the other, so that whatever else the machine does meets all of
them. Told apart are ``chopmark serve --workers 0`` (everything in one process), ``chopmark serve``
as it comes, and the plain server that a user would write instead (:mod:`.plain_server`: same
weights, nothing governed) in float32 and in eight bits. ``--before SRC`` adds another checkout.

So many connections each send the next request when they have their answer; a 429 or 503 is tried
again after ``Retry-After`` and counted. Then comes an overload without retries. Afterwards each log
is walked (``verify_log``) and compared with the answers: each 200 must have its record, and nothing
may be left open. CPU time and memory are those of a server's whole family of processes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import servers
from benchmarks.processes import Memory, MemoryWatch, memory
from benchmarks.report import write_section
from benchmarks.wire import Answer, Connection, form, json_post
from chopmark.audit import AuditLog, verify_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.servers import Running

PROMPTS = ("a red apple", "a blue star on a white background", "a green tree", "a yellow sun")
#: Kinds, at how many connections, and how many times the usual seconds: pictures take long, and
#: what is under way at the end of a short load would say more than the load itself.
LOADS: Final = {"moderate": ((1, 8, 64), 1), "verify": ((1, 8, 64), 1), "generate": ((1, 8), 2)}
CPU_IDLE_S: Final = 3.0
MIB: Final = 2**20


@dataclass
class Load:
    """What the loads of one kind at one number of connections came to, over all rounds."""

    rates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second, median of the rounds."""
        return statistics.median(self.rates)


@dataclass
class Subject:
    """A server that is measured.

    Attributes:
        server: It runs.
        governed: It is Chopmark, with a log that is compared with its answers.
        picture: One of its own, 1024 px, for ``verify``.
        loads: By kind and connections.
        records: Ids of the records of all its answers with 200.
    """

    server: Running
    governed: bool
    picture: bytes = b""
    loads: dict[tuple[str, int], Load] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    idle: Memory = field(default_factory=Memory)
    peak: Memory = field(default_factory=Memory)

    def request(self, kind: str, number: int) -> bytes:
        """Return the bytes of one request."""
        prompt = PROMPTS[number % len(PROMPTS)]
        if kind == "generate":
            return json_post("/v1/images/generations", {"prompt": prompt, "seed": number})
        if kind == "moderate":
            return json_post("/v1/moderations", {"input": f"{prompt} number {number}"})
        return form("/api/v1/verify", self.picture)

    def keep(self, answer: Answer) -> None:
        """Remember the record of an answer with 200."""
        if self.governed:
            self.records.append(answer.headers["x-record-id"])

    async def warm_up(self) -> None:
        """Make a picture to verify, and use every kind once."""
        async with Connection(self.server.port) as connection:
            wish = {"prompt": PROMPTS[0], "seed": 1, "size": "1024x1024"}
            made = await connection.ask(json_post("/v1/images/generations", wish))
            self.keep(made)
            self.picture = base64.b64decode(json.loads(made.body)["data"][0]["b64_json"])
            for kind in LOADS if self.governed else ("generate",):
                answer = await connection.ask(self.request(kind, 2))
                if answer.status != 200:
                    raise SystemExit(f"{self.server.name}, {kind}: {answer.status} {answer.body!r}")
                self.keep(answer)

    async def bear(self, kind: str, connections: int, seconds: float) -> None:
        """Be under load for so many seconds, and until the last answer."""
        load = self.loads.setdefault((kind, connections), Load())
        done, cpu, began = len(load.waits), self.server.cpu(), 0.0

        async def one(number: int) -> None:
            async with Connection(self.server.port) as connection:
                turn = 0
                while time.perf_counter() - began < seconds:
                    sent = time.perf_counter()
                    request = self.request(kind, number * 1000 + turn)
                    while True:
                        answer = await connection.ask(request)
                        load.statuses[answer.status] += 1
                        if answer.status not in {429, 503}:
                            break
                        await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
                    if answer.status == 200:
                        load.waits.append(time.perf_counter() - sent)
                        self.keep(answer)
                    turn += 1

        with MemoryWatch(self.server.pid) as watch:
            began = time.perf_counter()
            await asyncio.gather(*(one(number) for number in range(connections)))
            took = time.perf_counter() - began
        self.peak = self.peak.higher(watch.peak)
        done = len(load.waits) - done
        load.rates.append(done / took)
        load.cpu_s.append((self.server.cpu() - cpu) / max(1, done))

    async def overload(self, requests: int) -> Counter[int]:
        """Get everything at once; nothing is tried again."""

        async def one(number: int) -> int:
            async with Connection(self.server.port) as connection:
                answer = await connection.ask(self.request("generate", number))
            if answer.status == 200:
                self.keep(answer)
            return answer.status

        with MemoryWatch(self.server.pid) as watch:
            answers = await asyncio.gather(*(one(number) for number in range(requests)))
        self.peak = self.peak.higher(watch.peak)
        return Counter(answers)

    def stages(self) -> str:
        """Return how the pipeline's time was spent, from ``/metrics``."""
        text = self.server.get("/metrics")[1].decode()
        found = re.findall(r'chopmark_stage_seconds_sum\{stage="(\w+)"\} (\S+)', text)
        spent = {stage: float(seconds) for stage, seconds in found}
        whole = sum(spent.values()) or 1.0
        shares = ", ".join(f"{stage} {seconds / whole:.1%}" for stage, seconds in spent.items())
        return f"{1 - spent.get('generate', 0.0) / whole:.1%} outside of the generator; {shares}"


def check(home: Path, records: Sequence[str]) -> str:
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
        f"{report.size} entries, verifies; {len(records)} answers with 200, each with its record; "
        f"{kinds['request.received']} requests received, {kinds['request.completed']} completed, "
        f"{kinds['request.failed']} failed, 0 left open"
    )


def table(subjects: Sequence[Subject]) -> list[str]:
    """Return a row for each kind, number of connections and server."""
    rows = [
        "| request | connections | server | answered | per second (lowest to highest) | p50 ms |"
        " p95 ms | CPU ms each | 429/503 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, (crowds, _) in LOADS.items():
        for connections in crowds:
            for subject in subjects:
                load = subject.loads.get((kind, connections))
                if load is None or len(load.waits) < 2:
                    continue
                cuts = statistics.quantiles(load.waits, n=20, method="inclusive")
                rows.append(
                    f"| {kind} | {connections} | {subject.server.name} | {len(load.waits)} |"
                    f" {load.rate:.2f} ({min(load.rates):.2f} to {max(load.rates):.2f}) |"
                    f" {1000 * cuts[9]:.0f} | {1000 * cuts[18]:.0f} |"
                    f" {1000 * statistics.median(load.cpu_s):.0f} |"
                    f" {load.statuses[429] + load.statuses[503]} |"
                )
    return rows


def ratios(subjects: Sequence[Subject]) -> list[str]:
    """Return how the last of ours stands to each of the others."""
    ours = [subject for subject in subjects if subject.governed][-1]
    rows = [
        f"| `{ours.server.name}`, times as many a second as | request | connections | times |",
        "|---|---|---|---|",
    ]
    for other in subjects:
        for (kind, connections), load in ours.loads.items():
            theirs = other.loads.get((kind, connections))
            if other is not ours and theirs is not None and theirs.rate:
                times = load.rate / theirs.rate
                rows.append(f"| {other.server.name} | {kind} | {connections} | {times:.2f} |")
    return rows if len(rows) > 2 else []


async def idle_cpu(server: Running) -> float:
    """Return the CPU time that a server takes while nobody asks, in ms a second."""
    before = server.cpu()
    await asyncio.sleep(CPU_IDLE_S)
    return 1000 * (server.cpu() - before) / CPU_IDLE_S


def measure(
    subjects: Sequence[Subject], *, rounds: int, seconds: float, kinds: Sequence[str], burst: int
) -> list[str]:
    """Give every load to every server, round by round; return what is said of the servers."""
    said = ["| server | memory idle MiB | at most | sum of RSS, at most | idle CPU, ms a second |"]
    said.append("|---|---|---|---|---|")
    for subject in subjects:
        asyncio.run(subject.warm_up())
    resting = {subject.server.name: asyncio.run(idle_cpu(subject.server)) for subject in subjects}
    for subject in subjects:
        subject.idle = memory(subject.server.pid)
    for number in range(rounds):
        for kind in kinds:
            crowds, times = LOADS[kind]
            for connections in crowds:
                for subject in subjects:
                    if subject.governed or kind == "generate":
                        asyncio.run(subject.bear(kind, connections, times * seconds))
                        load = subject.loads[kind, connections]
                        print(
                            f"round {number + 1}: {kind}, {connections} connections,"
                            f" {subject.server.name}: {load.rates[-1]:.2f} a second,"
                            f" {1000 * load.cpu_s[-1]:.0f} ms CPU, {dict(load.statuses)}",
                            flush=True,
                        )
    said += [
        f"| {subject.server.name} | {subject.idle.pss / MIB:.0f} | {subject.peak.pss / MIB:.0f} |"
        f" {subject.peak.rss / MIB:.0f} | {resting[subject.server.name]:.1f} |"
        for subject in subjects
    ]
    spent = "; ".join(f"{s.server.name}: {s.stages()}" for s in subjects if s.governed)
    said += ["", f"Where the pipeline's time went: {spent}."]
    if burst:
        ours = [subject for subject in subjects if subject.governed][-1]
        statuses = asyncio.run(ours.overload(burst))
        answers = ", ".join(f"{n} of {status}" for status, n in sorted(statuses.items()))
        said += [
            "",
            f"Overload of {ours.server.name}, {burst} generate requests at once without trying"
            f" again: {answers}; memory at most {ours.peak.pss / MIB:.0f} MiB.",
        ]
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load, each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--burst", type=int, default=200, help="requests at once at the end")
    parser.add_argument("--kinds", default=",".join(LOADS), help="with commas between")
    parser.add_argument("--before", type=Path, help="`src` of another checkout to compare with")
    parser.add_argument("--int8", default="dynamic", help="the plain server's: dynamic or ours")
    parser.add_argument("--no-peers", action="store_true", help="leave the plain servers out")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    servers.end_with_servers()
    began = time.monotonic()
    ours: dict[str, tuple[list[str], Path | None]] = {}
    if options.before:
        ours["before"] = ([], options.before.resolve())
    if servers.has_workers():
        ours["chopmark --workers 0"] = (["--workers", "0"], None)
    ours["chopmark"] = ([], None)
    peers = {} if options.no_peers else {"plain, fp32": "", "plain, int8": options.int8}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(contextlib.ExitStack())
        subjects = [
            Subject(
                running.enter_context(
                    servers.chopmark(
                        folder / f"home{number}", name=name, arguments=arguments, source=source
                    )
                ),
                governed=True,
            )
            for number, (name, (arguments, source)) in enumerate(ours.items())
        ]
        subjects += [
            Subject(
                running.enter_context(
                    servers.plain(folder / f"peer{number}", name=name, int8=int8)
                ),
                governed=False,
            )
            for number, (name, int8) in enumerate(peers.items())
        ]
        said = measure(
            subjects,
            rounds=options.rounds,
            seconds=options.seconds,
            kinds=options.kinds.split(","),
            burst=options.burst,
        )
        running.close()  # a log is walked when its server has gone
        logs = [
            f"Log of {subject.server.name} afterwards: "
            f"{check(subject.server.home, subject.records)}."
            for subject in subjects
            if subject.governed
        ]
    text = "\n".join(
        [*table(subjects), "", *ratios(subjects), "", *said, "", *logs, "", _remarks()]
    )
    print(text, f"\n{time.monotonic() - began:.0f} s in all")
    if options.write:
        command = "python -m benchmarks.service"
        command += f" --rounds {options.rounds} --seconds {options.seconds:g} --write"
        write_section("service", text, command=command)


def _remarks() -> str:
    return (
        "Per second: all answers of a load, from its first request to its last answer; median of"
        " the rounds. The time of a request counts from its first try, waiting after 429/503"
        " included. CPU is that of the server's processes together; the load itself runs on the"
        " same machine. Memory is the proportional set of all processes, in which a shared page"
        " counts once; in the sum of resident sets it counts in each. Pictures: 512 px PNG, the"
        f" embedded model, four steps; verified ones 1024 px. OMP_NUM_THREADS:"
        f" {os.environ.get('OMP_NUM_THREADS', 'unset')}."
    )


if __name__ == "__main__":
    main()
