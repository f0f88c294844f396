"""The desk at 100,000 records: how long each page of the console takes.

``python -m benchmarks.desk [--records N] [--home DIR]`` makes a log of N requests of 2,000 persons
in two tenants (three entries each, a tenth refused, a twentieth to review), lets the projection
follow, and asks for every page as a browser would, over the real site without a network. It prints
the median and the worst of several rounds and the processor time, in milliseconds, slowest first;
``--write`` puts the table into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.testclient import TestClient

from benchmarks.report import write_section
from chopmark import Pipeline, Settings
from chopmark.audit import Actor, Event, Rule
from chopmark.kit.ids import new_record_id
from chopmark.service.logging import make_logger
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People, Tenant

if TYPE_CHECKING:
    from chopmark.audit import AuditLog
    from chopmark.kit.types import JsonValue

__all__ = ["main"]

_WORDS: Final = (
    "red blue small large old quiet stormy painted lighthouse bicycle harbour garden library cat"
    " dragon soldier portrait mountain river market child doctor robot kitchen map poster"
).split()
_TENANTS: Final = ("acme", "globex")
_PEOPLE: Final = 2_000
_ROUNDS: Final = 7
_AIM_MS: Final = 300


def _fill(log: AuditLog, count: int) -> None:
    """Book ``count`` requests."""
    dice, waiting = random.Random(7), []
    for number in range(count):
        tenant = _TENANTS[number % 2]
        subject = f"{tenant}:u-{dice.randrange(_PEOPLE):04}"
        record_id = new_record_id()
        common: dict[str, Any] = {"record_id": record_id, "tenant": tenant, "subject": subject}
        prompt = " ".join(dice.choices(_WORDS, k=8))
        score = round(dice.random() ** 3, 4)
        outcome = "block" if number % 10 == 0 else "review" if number % 20 == 1 else "allow"
        verdict: JsonValue = {
            "stage": "prompt", "action": outcome, "categories": ["violence"],
            "scores": {"violence": score, "hate": score / 2}, "models": [],
        }  # fmt: skip
        waiting.append(
            log.submit(
                Event(
                    kind="request.received",
                    public={"operation": "generate", "model": "embedded@1"},
                    private={"prompt": prompt},
                    **common,
                )
            )
        )
        waiting.append(
            log.submit(Event(kind="request.decided", public={"verdicts": [verdict]}, **common))
        )
        if outcome == "block":
            ended = Event(
                kind="request.refused",
                public={"stage": "input", "action": "block", "categories": ["violence"]},
                **common,
            )
        else:
            ended = Event(
                kind="request.completed",
                public={"action": outcome, "outputs": [], "timings_ms": {"generate": 900.0}},
                private={"pdq": {f"{record_id[:-1]}1": dice.randbytes(32).hex()}},
                **common,
            )
        waiting.append(log.submit(ended))
        if len(waiting) > 2_000:
            for one in waiting:
                one.result()
            waiting.clear()
    for one in waiting:
        one.result()


def _pages(record: str, person: str) -> dict[str, str]:
    return {
        "queues": "/console",
        "record": f"/console/records/{record}",
        "appeals": "/console/appeals",
        "search, two words": "/console/search?all=1&text=painted+dragon",
        "search, beginning of a word": "/console/search?all=1&text=light*",
        "search, category and score": "/console/search?all=1&category=violence&min_score=0.9",
        "search, person": f"/console/search?all=1&subject={person.partition(':')[2]}",
        "search, record id": f"/console/search?all=1&text={record}",
        "search, like a picture": f"/console/search?all=1&similar_to={'0f' * 32}",
        "search, with prompts": "/console/search?all=1&text=painted&why=benchmark",
        "people": "/console/people",
        "people, part of a name": "/console/people?q=-19",
        "person": f"/console/people/{person}",
        "person, with prompts": f"/console/people/{person}?why=benchmark",
        "what waits in a queue": "/console/queues/review",
        "policy": "/console/policies",
        "hash lists": "/console/hashes",
        "charts": "/console/charts",
        "report": "/console/report",
        "custody": "/console/custody",
        "log": "/console/log",
        "exports": "/console/exports",
        "webhooks": "/console/webhooks",
    }


def _measure(home: Path, count: int) -> str:
    said: list[str] = []
    settings = Settings(home=home, requests_per_minute=0)
    with Pipeline.from_settings(settings) as pipeline:
        log = pipeline.parts.log
        if log.size < 3 * count:  # a home that was filled before is used as it is
            begun = time.perf_counter()
            _fill(log, count)
            said.append(f"{count:,} requests were logged in {time.perf_counter() - begun:.0f} s.")
        newest = log.find(kind="request.decided", limit=1)[0]
        content = log.content(newest.index)
        record, person = newest.record_id, str(content.subject if content else "")
        begun = time.perf_counter()
        log.search.update()
        took = time.perf_counter() - begun
        said.append(f"The projection followed what was new in {took:.0f} s.")
        router = Actor(name="router", roles=frozenset({"writer"}), tenant=None)
        log.desk(router, purpose="benchmark").review.route(
            [Rule(queue="review", decision="review")], since=log.size - 3 * min(count, 20_000)
        )
        with AccessStore.open(home) as store, People.open(home) as people:
            for name in _TENANTS:
                store.set_tenant(Tenant(name=name))
            roles = ["reader", "reviewer", "investigator", "exporter", "operator", "auditor"]
            people.add("bench", roles=roles, tenant=None)
            token = people.begin(people.person("bench")).token
            site: Any = create_site(pipeline, logger=make_logger(io.StringIO()))
            with TestClient(site, cookies={"chopmark_session": token}) as client:
                table, slow = _table(client, _pages(record, person))
        said += [f"Over 300 ms: {', '.join(slow) or 'none'}.", _report(log)]
        return "\n".join([*table, "", *said])


def _report(log: AuditLog) -> str:
    """Set the report of whole days beside counting every entry."""
    auditor = Actor(name="bench", roles=frozenset({"auditor"}), tenant=None)
    begun = time.process_time()
    kept: Any = log.desk(auditor, purpose="benchmark").export.report()
    between = time.process_time()
    # A period that ends within a day, after every entry: each of them is read.
    read: Any = log.desk(auditor, purpose="benchmark").export.report(until="9998-01-01T12:00:00Z")
    spent = (1000 * (between - begun), 1000 * (time.process_time() - between))
    same = all(kept[name] == read[name] for name in kept if name not in {"until", "checkpoint"})
    return (
        f"The transparency report: {spent[0]:.0f} ms of CPU as it is kept, {spent[1]:,.0f} by"
        f" reading {read['entries']:,} entries; the same figures: {'yes' if same else 'NO'}."
    )


def _table(client: TestClient, pages: dict[str, str]) -> tuple[list[str], list[str]]:
    rows: list[tuple[float, str]] = []
    slow = []
    for name, path in pages.items():
        client.get(path)  # what is opened once is opened
        spent, busy = [], []
        for _ in range(_ROUNDS):
            begun, at = time.perf_counter(), time.process_time()
            answer = client.get(path)
            spent.append(1000 * (time.perf_counter() - begun))
            busy.append(1000 * (time.process_time() - at))
            if answer.status_code != 200:
                raise SystemExit(f"{path} answered {answer.status_code}")
        middle, cpu = statistics.median(spent), statistics.median(busy)
        rows.append((middle, f"| {name} | {middle:.0f} | {max(spent):.0f} | {cpu:.0f} |"))
        if middle > _AIM_MS:
            slow.append(name)
    head = ["| page | median ms | worst ms | CPU ms, median |", "|---|---|---|---|"]
    return head + [row for _, row in sorted(rows, reverse=True)], slow


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="chopmark-desk-"))
    warnings.simplefilter("ignore")
    try:
        text = _measure(home, options.records)
        print(text)
        if options.write:
            command = f"python -m benchmarks.desk --records {options.records} --write"
            write_section("desk", text, command=command)
    finally:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
