"""Appends of several machines to one log in PostgreSQL.

``python -m benchmarks.audit_machines --write``. A machine is a home of its own with the log's keys,
as in a cluster: the processes of one hand their events to the one that leads there (group commit),
and the leaders take turns under the database's lock. All of it runs here, PostgreSQL too.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.audit import new_schema
from benchmarks.audit_stores import WAITERS, open_kind
from benchmarks.report import write_section
from chopmark.audit import verify_log
from tests.support.disk_faults import TemporaryPostgres

#: Machines, and processes on each.
SHAPES: Final = ((1, 4), (2, 2), (4, 1), (3, 2))


def measure(
    folder: Path, dsn: str, machines: int, processes: int, seconds: float
) -> dict[str, float]:
    """Return appends a second, milliseconds until acknowledged, and CPU an append in us."""
    os.environ["CHOPMARK_BENCH_DSN"] = dsn
    homes = [folder / f"machine{number}" for number in range(machines)]
    open_kind("machines", homes[0]).close()  # keys and tables are made before the clock runs
    for home in homes[1:]:
        shutil.copytree(homes[0], home)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = str(time.time() + 2.5)
    program = [sys.executable, "-m", "benchmarks.audit_stores", "machines"]
    running = [
        subprocess.Popen([*program, str(home), start, str(seconds)], stdout=subprocess.PIPE)
        for home in homes
        for _ in range(processes)
    ]
    times = array.array("d")
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit("a worker failed")
        times.frombytes(output)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = verify_log(homes[0], database=dsn, keys_database=f"{dsn}#keys")
    assert report.ok, report.problems
    assert report.size == len(times)
    for home in homes:
        shutil.rmtree(home)
    ordered = sorted(times)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "rate": len(ordered) / seconds,
        "p50": ordered[len(ordered) // 2] * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "cpu_us": cpu / len(ordered) * 1e6,
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="chopmark-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        with TemporaryPostgres(folder) as server:
            for number in range(asked.rounds):
                for machines, processes in SHAPES:
                    dsn = new_schema(server, f"bench{number}_{machines}_{processes}")
                    one = measure(folder, dsn, machines, processes, asked.seconds)
                    found.setdefault(f"{machines} x {processes}", []).append(one)
                    print(machines, processes, one, file=sys.stderr, flush=True)
    print(json.dumps(found))
    if asked.write:
        command = "python -m benchmarks.audit_machines --write"
        write_section("appends", text(found, asked.seconds), command=command)


def text(found: dict[str, list[dict[str, float]]], seconds: float) -> str:
    """Return the section."""
    rounds = len(next(iter(found.values())))
    lines = [
        f"{rounds} rounds of {seconds:g} s, medians (best round in brackets); {WAITERS} events"
        " under way in each process, each acknowledged after the durable commit. PostgreSQL runs on"
        " the same cores. After each round the whole log was verified and had exactly the entries"
        " that were acknowledged.",
        "",
        "| machines x processes | appends/s (aim 10,000) | p50 ms | p99 ms | CPU us an append,"
        " without PostgreSQL's |",
        "|---|---|---|---|---|",
    ]
    for shape, rounds_ in found.items():
        middle = {key: statistics.median(one[key] for one in rounds_) for key in rounds_[0]}
        best = max(one["rate"] for one in rounds_)
        lines.append(
            f"| {shape} | {middle['rate']:,.0f} ({best:,.0f}) | {middle['p50']:.1f} |"
            f" {middle['p99']:.1f} | {middle['cpu_us']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
