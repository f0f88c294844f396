"""Simulated power loss: no acknowledged record is ever lost, and no state is ever corrupt."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import chopmark.audit.log.connect as connect_module
import chopmark.audit.proof.log_keys as keys_module
import chopmark.audit.proof.marks as marks_module
from chopmark.audit import AuditLog, Event, Record, verify_log
from chopmark.audit.log.paths import Paths
from chopmark.errors import ChopmarkError
from chopmark.kit.files import write_public
from chopmark.kit.ids import new_record_id
from chopmark.kit.sqlite import SqliteDatabase
from tests.support.disk_faults import Operation, PowerLoss, WatchedVfs, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 45


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """Make a folder in memory where there is one: the states are written thousands of times."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(dir=base))
    yield folder
    shutil.rmtree(folder)


def record(
    home: Path, make_event: Callable[..., Event], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[list[Operation], list[str]]:
    """Run a log on a recorded disk; give what happened and the event ids in acknowledged order."""
    operations: list[Operation] = []
    vfs = WatchedVfs("recorded", operations.append)
    recorded = functools.partial(SqliteDatabase, vfs="recorded", **options)
    monkeypatch.setattr(connect_module, "SqliteDatabase", recorded)

    def replaced(path: Path, data: bytes, **options: Any) -> None:
        write_public(path, data, **options)
        operations.append(Operation("file", str(path), 0, data))

    monkeypatch.setattr(keys_module, "write_public", replaced)
    for name in ("write_public", "write_private"):
        monkeypatch.setattr(marks_module, name, replaced)
    monkeypatch.setattr("chopmark.kit.sqlite._CHECKPOINT_PAGES", 30)
    acknowledged: list[str] = []
    with AuditLog.open(home) as log:
        for number in range(ROUNDS):
            events = [
                make_event(subject=f"person-{number % 7}") for _ in range(1 + number * 7 % 11)
            ]
            jobs = [log.submit(event) for event in events]
            records = [job.result(10) for job in jobs]
            acknowledged += [item.event_id for item in sorted(records, key=lambda r: r.index)]
            operations.append(Operation("ack", "", len(acknowledged)))
            if number % 5 == 4:
                log.proof.checkpoint()
            if number % 12 == 7:
                gone = [log.append(make_event(subject="gone")), *erase(log, "gone")]
                acknowledged += [item.event_id for item in gone]
                operations.append(Operation("ack", "", len(acknowledged)))
    monkeypatch.undo()
    del vfs
    return operations, acknowledged


def erase(log: AuditLog, subject: str) -> list[Record]:
    completed = log.custody.erase(subject, by=("one", "two"), reason="asked for")
    started = completed.public["started"]
    assert isinstance(started, int)
    return [log.get(started), completed]


def keys_of(home: Path, target: Path) -> None:
    old, new = Paths(home), Paths(target)
    for path in (old.kek, old.signing_key):
        place = target / path.relative_to(home)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    shutil.copy(old.public_key, new.public_key)


def test_acknowledged_records_survive(
    memory_folder: Path, make_event: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, target = memory_folder / "home", memory_folder / "target"
    operations, acknowledged = record(home, make_event, monkeypatch)
    seen: Counter[str] = Counter()
    for number, state in enumerate(islice(PowerLoss(operations).states(), 0, None, 2)):
        shutil.rmtree(target, ignore_errors=True)
        keys_of(home, target)
        lay_out(state, home, target)
        seen[state.loss] += 1
        where = f"{state.loss} after operation {state.place}"
        if state.acknowledged:
            report = verify_log(target)
            assert report.problems == (), where
            assert report.size >= state.acknowledged, where
        if number % 50 == 0:  # and it goes on from there
            with AuditLog.open(target) as log:
                kept = [item.event_id for item in reversed(log.find(limit=1000))]
                assert kept[: state.acknowledged] == acknowledged[: state.acknowledged], where
                assert log.append(make_event()).index == len(kept)
            assert verify_log(target).ok, where
    assert sum(seen.values()) >= 2000, seen
    assert min(seen.values()) >= 50, seen


def test_the_simulation_finds_a_log_that_does_not_sync(
    memory_folder: Path, make_event: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with ``synchronous=OFF``: the test above can fail."""
    home, target = memory_folder / "home", memory_folder / "target"
    operations, _ = record(home, make_event, monkeypatch, synchronous="OFF")
    lost = 0
    for state in list(PowerLoss(operations).states())[::60]:
        shutil.rmtree(target, ignore_errors=True)
        keys_of(home, target)
        lay_out(state, home, target)
        try:
            lost += verify_log(target).size < state.acknowledged
        except ChopmarkError:
            lost += state.acknowledged > 0
    assert lost > 0


def event_for_benchmark(**members: Any) -> Event:
    """Make an event as the fixture does; ``benchmarks.audit`` runs the same simulation."""
    given: dict[str, Any] = {
        "kind": "request.received",
        "record_id": new_record_id(),
        "tenant": "default",
        "subject": "person-1",
        "private": {"prompt": "a red apple"},
    }
    return Event(**(given | members))
