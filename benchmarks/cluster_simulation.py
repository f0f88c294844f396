"""Where 10, 100 and 1,000 pictures a second saturate, by a model: no machine here is that large.

``python -m benchmarks.cluster_simulation --write``. Service times come from what was measured: the
pipeline's stages from ``docs/benchmarks.md``, the log's and the store's transactions from a
PostgreSQL that is started here. The model is held against the run of :mod:`benchmarks.cluster`.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.audit import new_schema
from benchmarks.audit_machines import go_first
from benchmarks.audit_stores import know_everybody, make_event, open_kind
from benchmarks.cluster_model import Station, arrivals, callers, run
from benchmarks.report import PAGE, write_section
from tests.support.disk_faults import TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

_RATES: Final = (10, 100, 1000)
_WAY: Final = (
    "running", "quota", "log", "guards: prompt", "log", "generators", "guards: picture",
    "guards: mark", "guards: sign", "log",
)  # fmt: skip
_APPENDS: Final = _WAY.count("log")
#: How much of its time a station may work before its line is felt.
_FULL: Final = 0.7
#: Between machines of one room; a transaction makes so many round trips while it holds its lock.
_RTT_S: Final = 0.0002
_TRIPS: Final = {"log": 12, "running": 4, "quota": 4}
_TILE: Final = 256
_CHECKPOINT_S: Final = 10


@dataclass(frozen=True)
class Measured:
    """Seconds of one core, or of one lock.

    Attributes:
        stages: Of the guards, by stage, for a picture of 1024 px as JPEG.
        site: Of the site itself for one picture: what is not a guard's and not the generator's.
        book_round: Of one transaction of the log, and of each event in it.
        book_each: The same.
        store: Of one transaction of a store beside the log.
    """

    stages: dict[str, float]
    site: float
    book_round: float
    book_each: float
    store: float


def read_stages(page: str) -> tuple[dict[str, float], float]:
    """Return CPU seconds by stage of the guards, and the site's, from the section ``pipeline``."""
    section = page.partition("<!-- pipeline:begin -->")[2].partition("<!-- pipeline:end -->")[0]
    table = section.partition("2 workers:")[2]
    rows = re.findall(r"^\| ([a-z_ ]+) \|(.+ / .+)\|$", table, flags=re.MULTILINE)
    cpu = {name: float(cells.split("|")[3].split("/")[1]) / 1000 for name, cells in rows}
    names = {"prompt": "judge_prompt", "picture": "judge_output", "mark": "mark", "sign": "sign"}
    site = sum(cpu[name] for name in ("received", "decided", "completed"))
    return {name: cpu[stage] for name, stage in names.items()}, site


def _quick_s(work: Callable[[], object], times: int) -> float:
    """Return seconds that nine of ten times took longer than: what else runs here is left out."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return sorted(found)[times // 10]


def measure_store(folder: Path) -> tuple[float, float, float]:
    """Return seconds of a transaction of the log, of each event in it, and of a store's."""
    import os

    from chopmark.kit.ids import new_record_id
    from chopmark.pipeline.in_flight_shared import SharedInFlight

    folder.chmod(0o755)  # PostgreSQL runs as another user
    with TemporaryPostgres(folder) as server:
        go_first(folder)
        os.environ["CHOPMARK_BENCH_DSN"] = new_schema(server, "log")
        log = open_kind("machines", folder / "home")
        know_everybody(log)
        ledger = log._ledger  # noqa: SLF001

        def booking(count: int) -> float:
            batches = [
                [ledger.prepare(make_event(number * count + place)) for place in range(count)]
                for number in range(15)
            ]
            return _quick_s(lambda: ledger.book(batches.pop()), 15)

        one, many = booking(1), booking(1000)
        log.close()
        running = SharedInFlight(folder, new_schema(server, "store"), beating=False)
        store = _quick_s(lambda: running.begin(new_record_id()), 100)
        running.close()
    return one, max(0.0, many - one) / 999, store


def stations(
    found: Measured, *, cores: int, generators: int, picture_s: float
) -> dict[str, Station]:
    """Return the cluster: a pool of guard cores, one lock for the log and for each store."""
    log = found.book_round + _TRIPS["log"] * _RTT_S
    made = {
        "log": Station(1, found.book_each, round_s=log, batch=2000),
        "generators": Station(generators, picture_s),
    }
    for name in ("running", "quota"):
        made[name] = Station(1, found.store + _TRIPS[name] * _RTT_S)
    # Each kind of work has processes of its own, in the proportion of what it needs.
    total = sum(found.stages.values())
    for name, needs in found.stages.items():
        made[f"guards: {name}"] = Station(max(1, round(cores * needs / total)), needs)
    return made


def sized(found: Measured, rate: float, picture_s: float) -> tuple[int, int]:
    """Return guard cores and generators that such a rate needs."""
    cores = math.ceil(rate * sum(found.stages.values()) / _FULL) + len(found.stages)
    return cores, math.ceil(rate * picture_s / _FULL)


def most(found: Measured) -> dict[str, float]:
    """Return how many pictures a second each lock lets through at most."""
    log = 2000 / (found.book_round + _TRIPS["log"] * _RTT_S + 2000 * found.book_each)
    store = 1 / (found.store + _TRIPS["running"] * _RTT_S)
    return {"log": log / _APPENDS, "running": store, "quota": store}


def checked(found: Measured, page: str) -> list[str]:
    """Return the model's pictures a second for the cluster that was measured, beside that."""
    section = page.partition("<!-- cluster:begin -->")[2].partition("<!-- cluster:end -->")[0]
    picture = re.search(r"takes ([\d.]+) s a picture", section)
    rows = ["| nodes | measured, pictures/s | model | difference |", "|---|---|---|---|"]
    for nodes, name in enumerate(("one node", "two", "three"), start=1):
        said = re.search(rf"{name} (\d\.\d+)", section)
        if said is None or picture is None:
            rows.append(f"| {nodes} | not measured | | |")
            continue
        made = stations(found, cores=4 * nodes, generators=nodes, picture_s=float(picture[1]))
        ran = run(made, _WAY, callers(3 * nodes), again=True, seconds=600)
        measured = float(said[1])
        rows.append(
            f"| {nodes} | {measured:.3f} | {ran.rate:.3f} | {ran.rate / measured - 1:+.1%} |"
        )
    return rows


def text(found: Measured, page: str, *, picture_s: float, seed: int) -> str:
    """Return the section."""
    stages = ", ".join(f"{name} {needs * 1e3:.0f}" for name, needs in found.stages.items())
    lines = [
        "**A model, not a measurement.** Pictures come by chance (Poisson), go through the stations"
        " in the order of the pipeline, and wait in line at each. Assumed:",
        "",
        f"- guards, ms of one core a picture (1024 px, JPEG; section *pipeline*): {stages}; the"
        f" site's own {found.site * 1e3:.0f} ms are on other cores. A core of a large machine is as"
        " quick as one of these, and twice the cores do twice the work.",
        f"- a generator makes a picture in {picture_s:g} s, one after the other.",
        f"- the log: one transaction at a time for all machines, {found.book_round * 1e3:.1f} ms"
        f" and {found.book_each * 1e6:.0f} us for each event in it (measured here with PostgreSQL"
        f" on this disk, the quickest tenth), {_APPENDS} events a picture; what"
        " waits goes together (group commit).",
        f"- stores beside the log (requests on their way, quotas): {found.store * 1e3:.1f} ms a"
        " transaction, one at a time and one for each picture; requests with an `Idempotency-Key`"
        " have two more in a third store.",
        f"- the network adds {_RTT_S * 1e3:g} ms to each round trip, during which a lock is"
        f" held: {_TRIPS['log']} in the log, {_TRIPS['running']} in a store.",
        f"- stations are sized to work {_FULL:.0%} of their time; nothing fails; callers do not"
        " leave.",
        "",
        "| pictures/s | guard cores | generators | appends/s | bucket, objects/s | in the cluster,"
        " s, median / 95 % | busiest | holds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rate in _RATES:
        cores, generators = sized(found, rate, picture_s)
        made = stations(found, cores=cores, generators=generators, picture_s=picture_s)
        seconds = 60.0 if rate < 1000 else 30.0
        ran = run(made, _WAY, arrivals(rate=rate, seconds=seconds, seed=seed), seconds=seconds)
        busiest = max(ran.used, key=lambda name: ran.used[name])
        tiles = rate * _APPENDS / _TILE + 3 / _CHECKPOINT_S
        holds = ran.rate > 0.95 * rate
        lines.append(
            f"| {rate:,} | {cores:,} | {generators:,} | {rate * _APPENDS:,} | {tiles:.1f} |"
            f" {ran.p50_s:.1f} / {ran.p95_s:.1f} | {busiest} {min(1.0, ran.used[busiest]):.0%} |"
            f" {'yes' if holds else f'no: {ran.rate:,.0f}/s leave'} |"
        )
    limits = most(found)
    first = min(limits, key=lambda name: limits[name])
    told = ", ".join(f"{name} {value:,.0f}" for name, value in limits.items())
    lines += [
        "",
        f"Pictures a second that each lock lets through at most, however many machines there are:"
        f" {told}. The first to saturate is `{first}`, which records one request a transaction; the"
        " log has room because its transactions carry what waits.",
        "",
        "The model beside the cluster that was run (three callers a node who ask again at once):",
        "",
        *checked(found, page),
        "",
        "That run was bound by its generators, so it tests the model's way and its lines, and not"
        " the limits of the log or the stores.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture-s", type=float, default=1.0, help="of one generator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    page = PAGE.read_text("utf-8")
    stages, site = read_stages(page)
    with tempfile.TemporaryDirectory(prefix="chopmark-sim-") as folder:
        one, each, store = measure_store(Path(folder))
    found = Measured(stages=stages, site=site, book_round=one, book_each=each, store=store)
    section = text(found, page, picture_s=asked.picture_s, seed=asked.seed)
    sys.stdout.write(section + "\n")
    if asked.write:
        command = "python -m benchmarks.cluster_simulation --write"
        write_section("simulation", section, command=command)


if __name__ == "__main__":
    main()
