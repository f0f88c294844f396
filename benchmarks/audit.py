"""Measures the log: ``python -m benchmarks.audit``.

The kinds of store are measured in turn inside each round, and ratios are medians of the ratios
inside a round, because rates on a shared machine move between rounds. Each part's figures go into
the file of ``--state``; begun again with the same file, the program goes on where it stopped, and
with ``--minutes`` it stops by itself, so that others need not wait an hour for the machine.
"""

from __future__ import annotations

import argparse
import array
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from benchmarks.audit_stores import PROCESSES, WAITERS, make_event, open_kind
from benchmarks.report import write_section
from chopmark.audit import AuditLog, LogUnavailable, verify_log
from chopmark.audit.log.clock import now
from chopmark.audit.log.events import build_leaf
from tests.support.disk_faults import PowerLoss, TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("chopmark", "sealed", "plain", "single", "postgres", "pymerkle")
STATES_A_PART = 10_000
NAMES = {
    "chopmark": "the log (tree, tiles, commitments, encrypted content)",
    "sealed": "(a) the same rows with encrypted content, no tamper evidence",
    "plain": "(a') one plain row, nothing encrypted, no tamper evidence",
    "single": "(b) the log, one commit per request",
    "postgres": "the log on PostgreSQL",
    "pymerkle": "(c) pymerkle SqliteTree, one process, no waiters",
}


def run_workers(kind: str, home: Path, seconds: float, processes: int) -> dict[str, float]:
    open_kind(kind, home).close()  # keys and tables are made before the clock runs
    start = time.time() + 1.5
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.audit_stores",
                kind,
                str(home),
                str(start),
                str(seconds),
            ],
            stdout=subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    times = array.array("d")
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a worker of kind {kind} failed")
        times.frombytes(output)
    ordered = sorted(times)
    return {
        "rate": len(ordered) / seconds,
        "p50": ordered[len(ordered) // 2] * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "max": ordered[-1] * 1e3,
    }


def new_schema(server: str, name: str) -> str:
    with import_module("psycopg").connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{server}&options=-csearch_path%3D{name}"


def run_pymerkle(home: Path, seconds: float) -> dict[str, float] | None:
    """One process, one entry a commit: pymerkle's tree has neither batching waiters nor a lock."""
    try:
        pymerkle = import_module("pymerkle")
    except ImportError:
        return None
    tree = pymerkle.SqliteTree(str(home / "pymerkle.db"))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        tree.append_entry(build_leaf(make_event(len(times)), time=now(), commitment=bytes(32)))
        times.append(time.perf_counter() - begun)
    tree.con.close()
    times.sort()
    return {
        "rate": len(times) / seconds,
        "p50": times[len(times) // 2] * 1e3,
        "p99": times[int(len(times) * 0.99)] * 1e3,
        "max": times[-1] * 1e3,
    }


def fill(log: AuditLog, entries: int, subject: str | None = None) -> float:
    """Book ``entries`` events in large batches; return the seconds that it took."""
    ledger, begun = log._ledger, time.perf_counter()  # noqa: SLF001
    for first in range(0, entries, 2000):
        count = min(2000, entries - first)
        ledger.book([ledger.prepare(make_event(first + i, subject)) for i in range(count)])
    return time.perf_counter() - begun


def measure_large(folder: Path, entries: int) -> dict[str, Any]:
    """Verify, prove and weigh a log of many entries."""
    home = folder / "large"
    found: dict[str, Any] = {"entries": entries}
    with AuditLog.open(home) as log:
        found["fill_rate"] = entries / fill(log, entries)
        log.proof.checkpoint()
        choose, times = random.Random(1), []
        for _ in range(500):
            index = choose.randrange(entries)
            begun = time.perf_counter()
            receipt = log.proof.receipt(index)
            times.append(time.perf_counter() - begun)
        times.sort()
        found["proof_p50_ms"], found["proof_p99_ms"] = times[250] * 1e3, times[495] * 1e3
        begun = time.perf_counter()
        for _ in range(200):
            assert receipt.verify(log.public_key) == ()
        found["check_receipt_ms"] = (time.perf_counter() - begun) / 200 * 1e3
    kek = home / "audit" / "vault" / "kek"
    hidden = kek.rename(kek.with_name("away"))  # as an auditor who may not read content
    begun, cpu = time.perf_counter(), time.process_time()
    report = verify_log(home)
    found["walk_s"] = time.perf_counter() - begun
    found["walk_cpu_s"] = time.process_time() - cpu
    assert report.ok, report.problems
    hidden.rename(kek)
    begun, cpu = time.perf_counter(), time.process_time()
    assert verify_log(home).ok
    found["walk_with_content_s"] = time.perf_counter() - begun
    found["walk_with_content_cpu_s"] = time.process_time() - cpu
    found["load"] = os.getloadavg()[0]
    connection = apsw.Connection(str(home / "audit" / "log.db"))
    sizes = dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    connection.close()
    proof = sum(size for name, size in sizes.items() if name in {"tile", "checkpoint", "state"})
    found["bytes_entry"] = sum(sizes.values()) / entries
    found["bytes_proof"] = (proof + sizes.get("sqlite_autoindex_tile_1", 0)) / entries
    found["bytes_leaf"] = len(receipt.leaf)
    return found


def measure_erase(folder: Path) -> dict[str, float]:
    home = folder / "erase"
    with AuditLog.open(home) as log:
        fill(log, 20_000)
        fill(log, 10_000, "the one")
        fill(log, 20_000)
        begun = time.perf_counter()
        record = log.custody.erase("the one", by=("one", "two"), reason="benchmark")
        seconds = time.perf_counter() - begun
    assert record.public["count"] == 10_000
    assert verify_log(home).ok
    return {"seconds": seconds}


def measure_power_loss(_folder: Path, states: int, seed: int) -> dict[str, Any]:
    """Go through simulated power losses as the unit test does, as many as are asked for."""
    path = Path(__file__).parents[1] / "tests/unit/audit/test_powerloss.py"
    spec = importlib.util.spec_from_file_location("powerloss", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108
    done, bad, begun = 0, 0, time.perf_counter()
    with tempfile.TemporaryDirectory(dir=base) as name:
        while done < states:
            home, target = Path(name) / f"home-{done}", Path(name) / "target"
            operations, _ = module.record(home, module.event_for_benchmark, pytest.MonkeyPatch())
            for state in PowerLoss(operations, seed=seed).states():
                if not state.acknowledged:
                    continue
                shutil.rmtree(target, ignore_errors=True)
                module.keys_of(home, target)
                module.lay_out(state, home, target)
                report = verify_log(target)
                bad += not report.ok or report.size < state.acknowledged
                done += 1
                if done >= states:
                    break
            shutil.rmtree(home)
            seed += 1
    return {"states": done, "bad": bad, "seconds": time.perf_counter() - begun}


def measure_round(folder: Path, seconds: float) -> dict[str, dict[str, float] | None]:
    """Measure every kind of store once, in turn."""
    found: dict[str, dict[str, float] | None] = {}
    for kind in KINDS:
        home = folder / kind
        home.mkdir()
        if kind == "pymerkle":
            found[kind] = run_pymerkle(home, seconds)
        elif kind == "postgres":
            try:
                with TemporaryPostgres(folder) as server:
                    os.environ["CHOPMARK_BENCH_DSN"] = new_schema(server, "bench")
                    found[kind] = run_workers(kind, home, seconds, PROCESSES)
            except LogUnavailable as error:
                print(f"without PostgreSQL: {error.message}", file=sys.stderr)
                found[kind] = None
        else:
            found[kind] = run_workers(kind, home, seconds, PROCESSES)
        shutil.rmtree(home)
        print(kind, found[kind], file=sys.stderr)
    return found


def row(name: str, found: dict[str, float]) -> str:
    return (
        f"| {NAMES[name]} | {found['rate']:,.0f} | {found['p50']:.1f} | {found['p99']:.1f} |"
        f" {found['max']:.0f} |"
    )


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(item[name] for item in rounds) for name in rounds[0]}


def report(figures: dict[str, Any], arguments: argparse.Namespace) -> str:
    rounds = [found for name, found in figures.items() if name.startswith("round")]
    large, erased = figures["large"], figures["erase"]
    lost = [found for name, found in figures.items() if name.startswith("power")]
    best = max(found["chopmark"]["rate"] for found in rounds)
    measured = [kind for kind in KINDS if all(found[kind] for found in rounds)]
    lines = [
        f"SQLite {apsw.sqlite_lib_version()}, {platform.machine()}. {len(rounds)} rounds of"
        f" {arguments.seconds:g} s for each store, in turn; {PROCESSES} processes with {WAITERS}"
        " events under way in each, acknowledged after the durable commit; medians over the"
        f" rounds. Other work ran on the machine: the load was {large['load']:.1f} at the walk.",
        "",
        "| store | appends/s | p50 ms | p99 ms | max ms |",
        "|---|---|---|---|---|",
        *(row(kind, middle([found[kind] for found in rounds])) for kind in measured),
        "",
        f"Best round of the log: {best:,.0f} appends/s.",
        "",
    ]
    for kind in measured[1:]:
        ratios = [found["chopmark"]["rate"] / found[kind]["rate"] for found in rounds]
        lines.append(
            f"- The log reaches {statistics.median(ratios):.2f} times the rate of {NAMES[kind]}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})."
        )
    lines += [
        "",
        "The aims were 10,000 appends/s with a p99 under 50 ms, at most 15 % less than (a). The"
        " baselines keep no list of open requests, by which the log finds requests that never"
        " ended; every event here opens one.",
        "",
        f"A log of {large['entries']:,} entries (leaf of {large['bytes_leaf']} bytes, prompt"
        " encrypted):",
        "",
        "| what | aim | measured |",
        "|---|---|---|",
        f"| filled in batches of 2,000, one process | | {large['fill_rate']:,.0f} entries/s |",
        "| full walk without content (auditor): columns, leaves, tiles, root, checkpoints, SQLite's"
        f" own check | 5 s | {large['walk_s']:.1f} s ({large['walk_cpu_s']:.1f} s CPU) |",
        "| full walk with every commitment opened (decrypt, hash, compare) | |"
        f" {large['walk_with_content_s']:.1f} s ({large['walk_with_content_cpu_s']:.1f} s CPU) |",
        f"| receipt (inclusion proof) | | p50 {large['proof_p50_ms']:.2f} ms,"
        f" p99 {large['proof_p99_ms']:.2f} ms |",
        f"| checking a receipt offline | | {large['check_receipt_ms']:.2f} ms |",
        f"| bytes per entry, everything | | {large['bytes_entry']:.0f} |",
        f"| of these proof data (tiles, checkpoints, state) | 40 | {large['bytes_proof']:.1f} |",
        "| erasing a subject with 10,000 records, scrub included | 1 s |"
        f" {erased['seconds']:.2f} s |",
    ]
    if lost:
        states, bad = sum(part["states"] for part in lost), sum(part["bad"] for part in lost)
        lines.append(
            "| simulated power losses that lost an acknowledged record or left a corrupt log |"
            f" 0 of 100,000 | {bad} of {states:,} |"
        )
    return "\n".join(lines)


def parts(arguments: argparse.Namespace) -> dict[str, Callable[[Path], Any]]:
    """Return what is to be measured, by name, in order."""
    todo: dict[str, Callable[[Path], Any]] = {}
    for number in range(arguments.rounds):
        todo[f"round {number}"] = partial(measure_round, seconds=arguments.seconds)
    todo["large"] = partial(measure_large, entries=arguments.entries)
    todo["erase"] = measure_erase
    for first in range(0, arguments.power_loss, STATES_A_PART):
        count = min(STATES_A_PART, arguments.power_loss - first)
        todo[f"power {first}"] = partial(measure_power_loss, states=count, seed=first)
    return todo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--power-loss", type=int, default=100_000, metavar="STATES")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--state", type=Path, help="keeps the figures between calls")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    if arguments.state is not None and arguments.state.is_file():
        figures = json.loads(arguments.state.read_text("utf-8"))
    begun = time.monotonic()
    for name, measure in parts(arguments).items():
        if name in figures:
            continue
        if time.monotonic() - begun > arguments.minutes * 60:
            raise SystemExit(f"stopped before {name}; begin again with the same --state")
        with tempfile.TemporaryDirectory(prefix="chopmark-bench-", dir=arguments.folder) as folder:
            Path(folder).chmod(0o755)  # PostgreSQL runs as another user
            figures[name] = measure(Path(folder))
        print(name, figures[name], file=sys.stderr)
        if arguments.state is not None:
            arguments.state.write_text(json.dumps(figures), "utf-8")
    text = report(figures, arguments)
    write_section("audit", text, command="python -m benchmarks.audit")
    print(text)


if __name__ == "__main__":
    main()
