"""Measures the log: ``python -m benchmarks.audit``.

Everything is measured in one run on one machine, the kinds of store in turn, several rounds, and
the table says what was reached. Ratios are medians of the ratios inside one round, because rates on
a shared machine move between rounds. The section between the markers in ``docs/benchmarks.md`` is
written anew.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw

import chopmark.audit._sequencer as sequencer_module
from chopmark.audit import AuditLog, Event, LogUnavailable, verify_log
from chopmark.audit._canonical import canonical
from chopmark.audit._database import NotUnique
from chopmark.audit._events import build_leaf, private_bytes
from chopmark.audit._faults import PowerLoss, TemporaryPostgres
from chopmark.audit._relay import Relay
from chopmark.audit._sequencer import Job, Sequencer, now, record_at
from chopmark.audit._sqlite import SqliteDatabase
from chopmark.ids import new_record_id

PROCESSES = 4
WAITERS = 64
PUBLIC: dict[str, Any] = {
    "operation": "generate",
    "model": "chopmark-embedded@1",
    "n": 1,
    "size": [512, 512],
    "seed": 123456789,
    "format": "png",
    "steps": 20,
    "policy": "a" * 64,
    "verdicts": [
        {
            "stage": "prompt",
            "action": "allow",
            "categories": [],
            "scores": {"hate": 0.0021, "self_harm": 0.0003, "sexual": 0.0109, "violence": 0.0123},
        }
    ],
}


def make_event(number: int, subject: str | None = None) -> Event:
    return Event(
        kind="request.received",
        record_id=new_record_id(),
        tenant="default",
        subject=subject or f"person-{number % 1000}",
        public=PUBLIC,
        private={
            "prompt": f"a red apple on a wooden table, as an old master saw it, no. {number}",
            "client": "203.0.113.7",
        },
    )


class PlainLedger:
    """The same rows and the same batching, without hashes, tree, tiles or commitments.

    Args:
        sealed: Whether private parts are encrypted under per-subject keys, as ours are.
    """

    def __init__(self, home: Path, *, vault: Any = None) -> None:
        self.vault = vault
        self.epoch = 0
        self.database = SqliteDatabase(
            home / "plain.db",
            schema="""
            CREATE TABLE IF NOT EXISTS entry (
              idx INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, record_id TEXT NOT NULL,
              kind TEXT NOT NULL, tenant TEXT NOT NULL, time TEXT NOT NULL, leaf BLOB NOT NULL
            ) STRICT;;
            CREATE TABLE IF NOT EXISTS content (
              idx INTEGER PRIMARY KEY, key_id BLOB NOT NULL, sealed BLOB NOT NULL
            ) STRICT;;
            CREATE INDEX IF NOT EXISTS content_key ON content (key_id)
            """,
            lock=home / "plain.lock",
        )

    def learn(self, epoch: int) -> None:
        """Do nothing: no key is ever destroyed here."""

    def prepare(self, event: Event) -> Job:
        """Canonicalise, and encrypt when asked to; neither hash nor commitment."""
        stamp, data, sealed = now(), private_bytes(event), None
        if self.vault is not None and data is not None:
            sealed = self.vault.seal(
                data, event_id=event.event_id, tag=self.vault.tag(event.subject, event.tenant)
            )
        if self.vault is None:
            event = replace(event, public={**event.public, "private": event.private}, private={})
        leaf = build_leaf(event, time=stamp, commitment=None)
        return Job(event=event, time=stamp, leaf=leaf, hash=b"", data=data, sealed=sealed, epoch=0)

    def book(self, jobs: list[Job]) -> list[Any]:
        """Insert the rows in one durable transaction."""
        try:
            return self._book(jobs)
        except NotUnique:  # a leader that closed had booked some of them already
            with self.database.read() as transaction:
                fresh = [
                    job
                    for job in jobs
                    if not transaction.execute(
                        "SELECT idx FROM entry WHERE event_id = ?", (job.event.event_id,)
                    )
                ]
            self._book(fresh)
            return [record_at(job, 0) for job in jobs]

    def _book(self, jobs: list[Job]) -> list[Any]:
        with self.database.write() as transaction:
            if self.vault is not None:
                self.vault.store(job.sealed.key for job in jobs if job.sealed is not None)
            first = transaction.execute("SELECT coalesce(max(idx) + 1, 0) FROM entry")[0][0]
            transaction.many(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        first + i,
                        job.event.event_id,
                        job.event.record_id,
                        job.event.kind,
                        job.event.tenant,
                        job.time,
                        job.leaf,
                    )
                    for i, job in enumerate(jobs)
                ],
            )
            if self.vault is not None:
                transaction.many(
                    "INSERT INTO content VALUES (?, ?, ?)",
                    [
                        (first + i, job.sealed.key.key_id, job.sealed.ciphertext)
                        for i, job in enumerate(jobs)
                        if job.sealed is not None
                    ],
                )
        return [record_at(job, first + i) for i, job in enumerate(jobs)]


class PlainLog:
    """A plain ledger behind the same thread and queue."""

    def __init__(self, home: Path, *, sealed: bool) -> None:
        self._log = AuditLog.open(home) if sealed else None  # for its keys only
        self._ledger = PlainLedger(home, vault=self._log._vault if self._log else None)  # noqa: SLF001
        self._sequencer = Sequencer(self._ledger, capacity=4096)  # type: ignore[arg-type]
        self._relay = Relay(home, self._ledger, self._sequencer.put)  # type: ignore[arg-type]
        self._sequencer.book = self._relay.book

    def submit(self, event: Event) -> Any:
        """Queue an event."""
        job = self._ledger.prepare(event)
        self._sequencer.put(job)
        return job.future

    def close(self) -> None:
        """Book what is queued."""
        self._sequencer.close(30)
        self._relay.close()
        self._ledger.database.close()
        if self._log is not None:
            self._log.close()


def open_kind(kind: str, home: Path) -> Any:
    if kind == "plain":
        return PlainLog(home, sealed=False)
    if kind == "sealed":
        return PlainLog(home, sealed=True)
    if kind == "single":
        sequencer_module._MAX_BATCH = 1  # type: ignore[misc]  # noqa: SLF001
    if kind == "postgres":
        return AuditLog.open(home, database=os.environ["CHOPMARK_BENCH_DSN"])
    return AuditLog.open(home)


def worker(kind: str, home: Path, start: float, seconds: float) -> None:
    """Keep ``WAITERS`` events under way; write each one's time to acknowledgement to stdout."""
    log = open_kind(kind, home)
    times = array.array("d")
    slots = threading.Semaphore(WAITERS)
    failed = []

    def done(future: Any, begun: float) -> None:
        if future.exception() is None:
            times.append(time.perf_counter() - begun)
        else:
            failed.append(future.exception())
        slots.release()

    time.sleep(max(0.0, start - time.time()))
    end, number = time.perf_counter() + seconds, os.getpid()
    while time.perf_counter() < end:
        slots.acquire()
        event = make_event(number)
        begun = time.perf_counter()
        log.submit(event).add_done_callback(lambda future, begun=begun: done(future, begun))
        number += 1
    for _ in range(WAITERS):
        slots.acquire()
    log.close()
    if failed:
        raise failed[0]
    sys.stdout.buffer.write(times.tobytes())


def run_workers(kind: str, home: Path, seconds: float, processes: int) -> dict[str, float]:
    open_kind(kind, home).close()  # keys and tables are made before the clock runs
    start = time.time() + 1.5
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.audit",
                "--worker",
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
        log.checkpoint()
        choose, times = random.Random(1), []
        for _ in range(500):
            index = choose.randrange(entries)
            begun = time.perf_counter()
            receipt = log.receipt(index)
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
    begun = time.perf_counter()
    assert verify_log(home).ok
    found["walk_with_content_s"] = time.perf_counter() - begun
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
        record = log.erase("the one", by=("one", "two"), reason="benchmark")
        seconds = time.perf_counter() - begun
    assert record.public["count"] == 10_000
    assert verify_log(home).ok
    return {"seconds": seconds}


def measure_power_loss(states: int) -> dict[str, Any]:
    """Go through simulated power losses as the unit test does, as many as are asked for."""
    import importlib.util

    import pytest

    path = Path(__file__).parents[1] / "tests/unit/audit/test_powerloss.py"
    spec = importlib.util.spec_from_file_location("powerloss", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(dir=base))
    done, bad, seed, begun = 0, 0, 0, time.perf_counter()
    try:
        while done < states:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            home, target = folder / "home", folder / "target"
            patch = pytest.MonkeyPatch()
            operations, _ = module.record(home, module.event_for_benchmark, patch)
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
            seed += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"states": done, "bad": bad, "seconds": time.perf_counter() - begun}


def row(name: str, found: dict[str, float]) -> str:
    return (
        f"| {name} | {found['rate']:,.0f} | {found['p50']:.1f} | {found['p99']:.1f} |"
        f" {found['max']:.0f} |"
    )


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(item[name] for item in rounds) for name in rounds[0]}


def write_section(text: str) -> None:
    begin, end = "<!-- audit:begin -->", "<!-- audit:end -->"
    path = Path(__file__).parents[1] / "docs" / "benchmarks.md"
    old = path.read_text("utf-8") if path.is_file() else "# Benchmarks\n"
    if begin not in old:
        old = f"{old.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = old.partition(begin)
    tail = rest.partition(end)[2]
    path.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}", "utf-8")


NAMES = {
    "chopmark": "the log (tree, tiles, commitments, encrypted content)",
    "sealed": "(a') the same rows with encrypted content, no tamper evidence",
    "plain": "(a) plain insert, one row, nothing encrypted, no tamper evidence",
    "single": "(b) the log, one commit per request",
    "postgres": "the log on PostgreSQL",
}


def report(
    rounds: dict[str, list[dict[str, float]]],
    pymerkle: dict[str, float] | None,
    large: dict[str, Any],
    erased: dict[str, float],
    lost: dict[str, Any] | None,
    arguments: argparse.Namespace,
) -> str:
    ratios = {
        name: statistics.median(
            ours["rate"] / other["rate"]
            for ours, other in zip(rounds["chopmark"], rounds[name], strict=True)
        )
        for name in rounds
        if name != "chopmark"
    }
    load = os.getloadavg()
    lines = [
        "## The log",
        "",
        f"`python -m benchmarks.audit` on {os.cpu_count()} cores ({platform.machine()}), Python"
        f" {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}; load average"
        f" {load[0]:.1f} at the end (other work ran beside it). {arguments.rounds} rounds of"
        f" {arguments.seconds:g} s each, the kinds in turn; {PROCESSES} processes with {WAITERS}"
        " events under way in each, acknowledged after the durable commit; medians over the"
        " rounds.",
        "",
        "| store | appends/s | p50 ms | p99 ms | max ms |",
        "|---|---|---|---|---|",
        *(row(NAMES[name], middle(found)) for name, found in rounds.items()),
    ]
    if pymerkle is not None:
        lines.append(row("(c) pymerkle SqliteTree, 1 process", pymerkle))
    lines += [
        "",
        *(
            f"- The log reaches {ratio:.2f} times the rate of {NAMES[name]} (median of the ratios"
            " inside a round)."
            for name, ratio in ratios.items()
        ),
        "",
        f"A log of {large['entries']:,} entries (leaf of {large['bytes_leaf']} bytes, prompt"
        " encrypted):",
        "",
        "| what | measured |",
        "|---|---|",
        f"| filled in batches of 2,000, one process | {large['fill_rate']:,.0f} entries/s |",
        "| full walk without content (auditor): columns, leaves, tiles, root, checkpoints,"
        f" SQLite's own check | {large['walk_s']:.1f} s ({large['walk_cpu_s']:.1f} s CPU) |",
        "| full walk with every commitment opened (decrypt, hash, compare) |"
        f" {large['walk_with_content_s']:.1f} s |",
        f"| receipt (inclusion proof) | p50 {large['proof_p50_ms']:.2f} ms,"
        f" p99 {large['proof_p99_ms']:.2f} ms |",
        f"| checking a receipt offline | {large['check_receipt_ms']:.2f} ms |",
        f"| bytes per entry, everything | {large['bytes_entry']:.0f} |",
        f"| of these proof data (tiles, checkpoints, state) | {large['bytes_proof']:.1f} |",
        f"| erasing a subject with 10,000 records, scrub included | {erased['seconds']:.2f} s |",
    ]
    if lost is not None:
        lines.append(
            f"| simulated power losses | {lost['states']:,} states, {lost['bad']} lost an"
            f" acknowledged record or were corrupt ({lost['seconds']:.0f} s) |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--power-loss", type=int, default=100_000, metavar="STATES")
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, home, start, seconds = arguments.worker
        worker(kind, Path(home), float(start), float(seconds))
        return
    folder = Path(tempfile.mkdtemp(prefix="chopmark-bench-", dir=arguments.folder))
    rounds: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("chopmark", "sealed", "plain", "single")
    }
    try:
        with contextlib.ExitStack() as servers:
            if not arguments.no_postgres:
                try:
                    server = servers.enter_context(TemporaryPostgres(arguments.folder))
                    rounds["postgres"] = []
                except LogUnavailable as error:
                    print(f"without PostgreSQL: {error.message}")
            for number in range(arguments.rounds):
                for kind, found in rounds.items():
                    home = folder / f"{kind}-{number}"
                    home.mkdir()
                    if kind == "postgres":
                        os.environ["CHOPMARK_BENCH_DSN"] = new_schema(server, f"round_{number}")
                    found.append(run_workers(kind, home, arguments.seconds, PROCESSES))
                    print(kind, {name: round(value, 1) for name, value in found[-1].items()})
                    shutil.rmtree(home)
        pymerkle = run_pymerkle(folder, arguments.seconds)
        print("pymerkle", pymerkle)
        large = measure_large(folder, arguments.entries)
        print("large", large)
        erased = measure_erase(folder)
        print("erase", erased)
        lost = measure_power_loss(arguments.power_loss) if arguments.power_loss else None
        print("power loss", lost)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(rounds, pymerkle, large, erased, lost, arguments)
    write_section(text)
    print(text)
    if arguments.json is not None:
        figures = {"rounds": rounds, "pymerkle": pymerkle, "large": large, "erase": erased}
        arguments.json.write_bytes(canonical(figures | {"power_loss": lost}))  # type: ignore[arg-type]
        json.loads(arguments.json.read_bytes())


if __name__ == "__main__":
    main()
