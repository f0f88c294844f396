"""Disks, clocks and processes that fail."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chopmark.audit.log.clock as clock_module
import chopmark.audit.log.connect as connect_module
from chopmark.audit import AuditLog, Event, LogUnavailable, verify_log
from chopmark.audit.log.canonical import canonical, without_lone_surrogates
from chopmark.errors import AuditError, ChopmarkError, InvalidRequest
from chopmark.kit.ids import new_record_id
from chopmark.kit.sqlite import SqliteDatabase
from tests.support.disk_faults import Operation, WatchedVfs
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEvent = Callable[..., Event]

WORKER = Path(__file__).with_name("append_worker.py")


@pytest.mark.parametrize(
    ("kind", "error", "calls"),
    [("write", apsw.FullError, 20), ("write", apsw.IOError, 20), ("sync", apsw.IOError, 3)],
    ids=["enospc-write", "eio-write", "eio-sync"],
)
def test_a_disk_error_at_every_call(
    tmp_path: Path,
    make_event: MakeEvent,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    error: type[apsw.Error],
    calls: int,
) -> None:
    """Each write or sync fails once; the caller tries again with the same event."""
    armed = [-1]

    def watch(operation: Operation) -> None:
        if operation.kind == kind and armed[0] >= 0:
            armed[0] -= 1
            if armed[0] < 0:
                raise error

    vfs = WatchedVfs("failing", watch)
    monkeypatch.setattr(
        connect_module, "SqliteDatabase", functools.partial(SqliteDatabase, vfs="failing")
    )
    monkeypatch.setattr("chopmark.kit.sqlite._CHECKPOINT_PAGES", 20)
    expected: list[str] = []
    failures = 0
    with AuditLog.open(tmp_path) as log:
        for number in range(60):
            event = make_event(subject=f"person-{number}")
            armed[0] = number % calls
            for _ in range(5):
                try:
                    record = log.append(event)
                    break
                except LogUnavailable:
                    failures += 1
            else:
                pytest.fail("the log did not recover")
            armed[0] = -1
            expected.append(record.event_id)
            assert log.get(record.index).event_id == event.event_id
        assert [item.event_id for item in reversed(log.find(limit=1000))] == expected
    monkeypatch.undo()
    assert failures >= 20
    assert verify_log(tmp_path).problems == ()
    del vfs


def test_a_full_disk_stays_refused_until_there_is_room(
    tmp_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [False]

    def watch(operation: Operation) -> None:
        if full[0] and operation.kind == "write":
            raise apsw.FullError

    vfs = WatchedVfs("full", watch)
    monkeypatch.setattr(
        connect_module, "SqliteDatabase", functools.partial(SqliteDatabase, vfs="full")
    )
    with AuditLog.open(tmp_path) as log:
        log.append(make_event())
        full[0] = True
        events = [make_event() for _ in range(10)]
        for event in events:
            with pytest.raises(LogUnavailable):
                log.append(event)
        full[0] = False
        assert [log.append(event).index for event in events] == list(range(1, 11))
    del vfs


def start_worker(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(home)], stdout=subprocess.PIPE, text=True
    )


def first_lines(worker: subprocess.Popen[str], count: int) -> str:
    """Wait until so many events are acknowledged."""
    assert worker.stdout is not None
    return "".join(worker.stdout.readline() for _ in range(count))


def acknowledged(output: str) -> dict[str, int]:
    """Read what the worker printed: event id and index, one acknowledged event a line."""
    lines = output.split("\n")[:-1]  # what follows the last line feed may be half a line
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    booked: dict[str, int] = {}
    for turn in range(6):
        worker = start_worker(tmp_path)
        output = first_lines(worker, 20 + turn)
        worker.send_signal(signal.SIGKILL)
        booked |= acknowledged(output + worker.communicate()[0])
    assert len(booked) > 100
    report = verify_log(tmp_path)
    assert report.problems == ()
    with AuditLog.open(tmp_path, create=False) as log:
        for event_id, index in booked.items():
            assert log.get(index).event_id == event_id


def test_two_processes_do_not_fork_the_log(tmp_path: Path) -> None:
    workers = [start_worker(tmp_path) for _ in range(2)]
    outputs = [first_lines(worker, 50) for worker in workers]
    booked: dict[str, int] = {}
    for worker, output in zip(workers, outputs, strict=True):
        worker.send_signal(signal.SIGKILL)
        one = acknowledged(output + worker.communicate()[0])
        assert one
        assert not set(one.values()) & set(booked.values())
        booked |= one
    report = verify_log(tmp_path)
    assert report.problems == ()
    assert report.size >= len(booked)


@pytest.mark.usefixtures("sqlite_only")
def test_a_stopped_writer_that_comes_back_does_not_fork(
    tmp_path: Path, open_log: Callable[..., AuditLog], make_event: MakeEvent
) -> None:
    """A leader is paused, another appends, the first goes on with what it remembers."""
    worker = start_worker(tmp_path)
    assert worker.stdout is not None
    worker.stdout.readline()
    log = open_log()
    for _ in range(20):
        worker.send_signal(signal.SIGSTOP)
        # Stopped while it holds the lock, it blocks us: nothing is booked, and nobody is told so.
        future = log.submit(make_event())
        with contextlib.suppress(TimeoutError):
            future.result(0.05)
        worker.send_signal(signal.SIGCONT)
        assert future.result(10).index >= 0
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    log.close()
    assert verify_log(tmp_path).problems == ()


def test_a_stale_memory_is_not_believed(
    open_log: Callable[..., AuditLog], make_event: MakeEvent
) -> None:
    one, two = open_log(), open_log()
    for number in range(600):
        log = (one, two)[number * number % 3 == 1]
        assert log.append(make_event(private={}, subject=None)).index == number
    one.close()
    two.close()
    assert verify_log(paths_of(one).home).problems == ()


@pytest.mark.parametrize("hours", [-1, 1, -24 * 365 * 10, 24 * 365 * 10])
def test_a_clock_step_is_booked_and_order_is_kept(
    open_log: Callable[..., AuditLog],
    make_event: MakeEvent,
    monkeypatch: pytest.MonkeyPatch,
    hours: int,
) -> None:
    log = open_log()
    log.append(make_event())
    true_ns = time.time_ns

    class Stepped:
        CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
        clock_gettime_ns = staticmethod(time.clock_gettime_ns)

        @staticmethod
        def time_ns() -> int:
            return true_ns() + hours * 3600 * 10**9

    monkeypatch.setattr(clock_module, "time", Stepped)
    assert log.append(make_event()).index == 2
    assert log.append(make_event()).index == 3
    step = log.get(1)
    assert step.kind == "clock.step"
    milliseconds = step.public["step_ms"]
    assert isinstance(milliseconds, int)
    assert abs(milliseconds - hours * 3_600_000) < 2000
    log.close()
    assert verify_log(paths_of(log).home).ok


HOSTILE = [
    "nul \x00 inside",
    "lone \ud800 surrogate",
    "\udfff",
    "right \u202e to left",
    "e\u0301 and \u00e9",
    "\x1b[31mred\x7f",
    "'); DROP TABLE entry; --",
    "x" * 1_000_000,
    "\uffff\U0010ffff",
    "line\u2028separator\r\n\t",
]


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_prompts_are_booked_and_read_back(
    open_log: Callable[..., AuditLog], make_event: MakeEvent, prompt: str
) -> None:
    log = open_log()
    record = log.append(make_event(private={"prompt": prompt}, subject=prompt[:50] or None))
    private = log.private(record.index)
    assert private == {"prompt": prompt.encode("utf-8", "backslashreplace").decode()}
    log.close()
    assert verify_log(paths_of(log).home).ok


def deep(levels: int) -> list[object]:
    inner: list[object] = []
    for _ in range(levels):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "public",
    [
        {"score": float("nan")},
        {"score": float("inf")},
        {"n": 2**53},
        {"text": "\ud800"},
        {"text": "x" * 70_000},
        {"bytes": b"no"},
        {1: 2},
        {"deep": deep(5000)},
    ],
    ids=["nan", "inf", "huge-int", "surrogate", "too-long", "bytes", "int-key", "deep"],
)
def test_what_is_not_canonical_json_is_refused_at_once(
    open_log: Callable[..., AuditLog], make_event: MakeEvent, public: dict[str, object]
) -> None:
    log = open_log()
    with pytest.raises(InvalidRequest):
        log.append(make_event(public=public))
    assert log.size == 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_canonical_bytes_are_stable(value: object) -> None:
    import json

    plain = without_lone_surrogates(value)  # type: ignore[arg-type]
    once = canonical(plain)
    # A float of 2**53 or more is written without a fraction and must be read as a float again.
    again = json.loads(once, parse_int=lambda t: float(t) if len(t) > 15 else int(t))
    assert canonical(again) == once
    assert without_lone_surrogates(plain) == plain


numbers = st.integers() | st.floats() | st.floats(-1e-3, 1e-3) | st.floats(1e14, 1e22)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.recursive(
        numbers | st.text(st.characters(codec=None)) | st.none() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_the_fast_path_agrees_with_the_reference(value: object) -> None:
    import rfc8785

    try:
        expected: bytes | None = rfc8785.dumps(value)  # type: ignore[arg-type]
    except rfc8785.CanonicalizationError:
        expected = None
    try:
        said: bytes | None = canonical(value)  # type: ignore[arg-type]
    except InvalidRequest:
        said = None
    assert said == expected


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "no.such.kind"},
        {"record_id": "1234"},
        {"record_id": "a3f09c1122334452"},
        {"tenant": ""},
        {"tenant": "line\nfeed"},
        {"event_id": "x" * 201},
        {"event_id": "another name for it"},
        {"kind": "policy.changed", "event_id": "0123456789abcde0:x"},
        {"subject": ""},
    ],
)
def test_events_of_a_wrong_form(make_event: MakeEvent, members: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        make_event(**members)


def test_two_requests_at_once_for_one_new_subject(
    open_log: Callable[..., AuditLog], make_event: MakeEvent
) -> None:
    """Both logs make a key for the subject; one wins and both contents are readable."""
    one, two = open_log(), open_log()
    jobs = [log.submit(make_event(subject="new")) for log in (one, two) for _ in range(5)]
    indexes = [job.result(10).index for job in jobs]
    for log in (one, two):
        assert all(log.private(index) == {"prompt": "a red apple"} for index in indexes)
    one.close()
    two.close()
    assert verify_log(paths_of(one).home).problems == ()


def test_no_error_of_a_driver_leaks(tmp_path: Path, make_event: MakeEvent) -> None:
    log = AuditLog.open(tmp_path)
    log.append(make_event())
    log.close()
    for name in ("log.db", "vault/keys.db", "vault/kek", "signer/checkpoint.pem", "checkpoint"):
        path = tmp_path / "audit" / name
        good = path.read_bytes()
        for bad in (b"", b"\xff" * 100, good[: len(good) // 2], bytes(len(good))):
            path.write_bytes(bad)
            for call in (
                lambda: AuditLog.open(tmp_path).close(),
                lambda: verify_log(tmp_path),
            ):
                with contextlib.suppress(ChopmarkError):
                    call()
            path.write_bytes(good)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    with pytest.raises(AuditError):
        AuditLog.open(tmp_path)


def test_keys_are_made_once_by_racing_processes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from chopmark.audit import AuditLog;"
        "log = AuditLog.open(pathlib.Path(sys.argv[1])); print(log.public_key); log.close()"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for _ in range(3)
    ]
    keys = {run.communicate()[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(keys) == 1


def test_record_ids_are_needed(open_log: Callable[..., AuditLog]) -> None:
    log = open_log()
    event = Event(kind="policy.changed", record_id=new_record_id(), tenant="t")
    assert log.append(event).public == {}
