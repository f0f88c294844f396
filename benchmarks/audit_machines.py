"""Appends of several machines to one log in PostgreSQL.

``python -m benchmarks.audit_machines --write``. A machine is a home of its own with the log's keys,
as in a cluster: the processes of one hand their events to the one that leads there (group commit),
and the leaders take turns under the database's lock. All of it runs here, PostgreSQL too.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.audit import new_schema
from benchmarks.audit_stores import MANY, know_everybody, make_event, open_kind
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
    program = [sys.executable, "-m", "benchmarks.audit_stores", "machines"]
    running = [
        subprocess.Popen(
            [*program, str(home), "0", str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for home in homes
        for _ in range(processes)
    ]
    times, cpu = array.array("d"), 0.0
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()  # it knows everybody
    start = f"{time.time() + 0.3}\n".encode()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(start)
        process.stdin.flush()
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit("a worker failed")
        times.frombytes(output)
        cpu += times.pop()
    report = verify_log(homes[0], database=dsn, keys_database=f"{dsn}#keys")
    assert report.ok, report.problems
    assert report.size == len(times)
    for home in homes:
        shutil.rmtree(home)
    ordered = sorted(times)
    return {
        "rate": len(ordered) / seconds,
        "p50": ordered[len(ordered) // 2] * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "cpu_us": cpu / len(ordered) * 1e6,
    }


def measure_booking(folder: Path, dsn: str) -> dict[str, float]:
    """Return how many prepared events a second one process books, in batches of 1,000.

    It is what is done under the lock, and so the most that all machines together can append.
    """
    os.environ["CHOPMARK_BENCH_DSN"] = dsn
    log = open_kind("machines", folder / "booking")
    know_everybody(log)
    ledger = log._ledger  # noqa: SLF001
    rates = []
    for first in range(0, 12_000, 1000):
        jobs = [ledger.prepare(make_event(first + number)) for number in range(1000)]
        begun = time.perf_counter()
        ledger.book(jobs)
        rates.append(1000 / (time.perf_counter() - begun))
    log.close()
    shutil.rmtree(folder / "booking")
    return {"rate": statistics.median(rates)}


def go_first(folder: Path) -> None:
    """Have our processes and PostgreSQL's go before what else runs on this machine, from now on."""
    (server,) = (file.read_text().split()[0] for file in folder.glob("*/*/postmaster.pid"))
    children = Path(f"/proc/{server}/task/{server}/children")

    def again() -> None:
        while True:
            with contextlib.suppress(OSError):
                # Each of the server's processes has a session, and thus a group, of its own.
                for pid in ("self", server, *children.read_text().split()):
                    Path(f"/proc/{pid}/autogroup").write_text("-15", encoding="ascii")
            time.sleep(0.1)

    threading.Thread(target=again, daemon=True).start()


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
            go_first(folder)
            for number in range(asked.rounds):
                for machines, processes in SHAPES:
                    dsn = new_schema(server, f"bench{number}_{machines}_{processes}")
                    one = measure(folder, dsn, machines, processes, asked.seconds)
                    found.setdefault(f"{machines} x {processes}", []).append(one)
                    print(machines, processes, one, file=sys.stderr, flush=True)
                dsn = new_schema(server, f"booking{number}")
                found.setdefault("booking", []).append(measure_booking(folder, dsn))
    print(json.dumps(found))
    if asked.write:
        command = "python -m benchmarks.audit_machines --write"
        write_section("appends", text(found, asked.seconds), command=command)


def text(found: dict[str, list[dict[str, float]]], seconds: float) -> str:
    """Return the section."""
    booking = statistics.median(one["rate"] for one in found.pop("booking"))
    rounds = len(next(iter(found.values())))
    lines = [
        f"{rounds} rounds of {seconds:g} s, medians (best round in brackets); {MANY} events under"
        " way in each process, each acknowledged after the durable commit, the keys of a thousand"
        " persons known. PostgreSQL runs on the same cores; both go before what else runs. After"
        " each round the whole log was verified and had exactly what was acknowledged.",
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
    lines += [
        "",
        f"Under the lock one process appends {booking:,.0f} prepared events a second in batches of"
        " 1,000: the most that all machines together can append.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
