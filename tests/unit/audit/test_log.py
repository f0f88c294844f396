"""The log as its callers meet it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import chopmark.audit
from chopmark.audit import (
    Actor,
    AuditLog,
    DuplicateRecord,
    Event,
    LogCorrupt,
    LogUnavailable,
    Receipt,
    RecordNotFound,
    verify_log,
)
from chopmark.errors import ChopmarkError, ConfigurationError, InvalidRequest
from chopmark.kit.ids import new_record_id, output_id
from tests.support.logs import paths_of

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., AuditLog]


def test_door_is_pinned() -> None:
    assert chopmark.audit.__all__ == sorted(chopmark.audit.__all__)
    for name in chopmark.audit.__all__:
        assert hasattr(chopmark.audit, name)


def test_the_example_in_the_door_runs() -> None:
    import doctest

    assert doctest.testmod(chopmark.audit) == (0, 8)
    with pytest.raises(AttributeError):
        chopmark.audit.nothing_of_that_name  # noqa: B018


def _public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def test_the_parts_and_their_names_are_pinned(open_log: OpenLog) -> None:
    """Composition: each part shows what it does, the log and the desk only what is theirs."""
    log = open_log()
    desk = log.desk(Actor(name="Ada", roles=frozenset(), tenant=None), purpose="p")
    shown = {
        log: "append close content custody appeals desk exceptions fence find following get"
        " in_force open private proof public_key reconcile records root search size submit"
        " suspensions upkeep writable",
        log.proof: "checkpoint consistency_proof cosign public_key public_keys publish receipt"
        " stamp stamps",
        log.custody: "attachments contentless erase expire holds",
        log.custody.holds: "place release standing",
        log.custody.attachments: "drop drop_older keep of",
        log.upkeep: "rotate_encryption_key rotate_signing_key sign_anew",
        log.appeals: "open state",
        log.exceptions: "find grant revoke standing",
        log.fence: "late name number refused renew shut_out",
        log.suspensions: "find lift place standing",
        desk: "appeals case_changed cybertips entries erase expire export glances hash_changed"
        " holds outputs people place_hold prompts queries records release_hold review seal search"
        " unblur unseal view",
        desk.cybertips: "draft release",
        desk.queries: "get newest save",
        desk.review: "agreement bulk comment day decide free hits lease overdue release renew route"
        " skip takedown tasks",
        desk.appeals: "decide exceptions lease listed revoke_exception",
        desk.export: "records report statements",
        desk.outputs: "release restore withdraw",
        desk.people: "find listed of_records refusals reinstate suspend suspended view warn",
    }
    for part, names in shown.items():
        assert _public(part) == set(names.split()), type(part).__name__
        assert type(part).__bases__ == (object,)


def test_import_is_cheap() -> None:
    code = "import sys, chopmark.audit; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_append_and_read_back(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    event = make_event(public={"model": "embedded", "n": 4})
    record = log.append(event)
    assert record.index == 0
    assert record.event_id == f"{event.record_id}:request.received"
    assert log.get(0) == record
    assert log.records(event.record_id) == [record]
    assert log.records(output_id(event.record_id, 3)) == [record]
    assert log.private(0) == {"prompt": "a red apple"}
    assert log.size == 1
    assert json.loads(json.dumps(record.to_dict()))["public"] == {"model": "embedded", "n": 4}


def test_nothing_private_is_in_the_leaf(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    event = make_event(subject="person-8231", private={"prompt": "a very secret prompt"})
    log.append(event)
    receipt = log.proof.receipt(event.record_id)
    assert b"secret" not in receipt.leaf
    assert b"8231" not in receipt.leaf
    log.close()
    for path in paths_of(log).folder.rglob("*"):
        if path.is_file():
            assert b"very secret prompt" not in path.read_bytes(), path
            assert b"person-8231" not in path.read_bytes(), path


def test_same_event_again_is_the_same_record(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    event = make_event()
    first = log.append(event)
    assert log.append(event) == first
    end = make_event(kind="request.completed", record_id=event.record_id)
    second = log.append(end)
    assert log.append(end) == second
    assert log.size == 2


@pytest.mark.parametrize(
    "change",
    [
        {"public": {"model": "other"}},
        {"private": {"prompt": "a green apple"}},
        {"private": {}, "subject": None},
        {"subject": "person-2"},
        {"tenant": "another"},
    ],
)
def test_same_id_with_other_content_is_refused(
    open_log: OpenLog, make_event: MakeEvent, change: dict[str, object]
) -> None:
    log = open_log()
    event = make_event()
    log.append(event)
    with pytest.raises(DuplicateRecord):
        log.append(make_event(**({"record_id": event.record_id} | change)))
    assert log.size == 1


def test_a_duplicate_harms_nobody_in_its_batch(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    event = make_event()
    log.append(event)
    others = [make_event() for _ in range(20)]
    jobs = [log.submit(item) for item in [*others[:10], event, *others[10:], others[3]]]
    records = [job.result(10) for job in jobs]
    assert records[10].index == 0
    assert records[21] == records[3]
    assert log.size == 21


def test_a_record_ends_once(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    event = make_event()
    log.append(event)
    log.append(make_event(kind="request.refused", record_id=event.record_id))
    with pytest.raises(DuplicateRecord, match=r"request\.refused"):
        log.append(make_event(kind="request.completed", record_id=event.record_id))
    with pytest.raises(DuplicateRecord, match="never received"):
        log.append(make_event(kind="request.completed"))


def test_reconcile_closes_what_was_lost(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    lost, ended = make_event(), make_event()
    log.append(lost)
    log.append(ended)
    log.append(make_event(kind="request.completed", record_id=ended.record_id))
    assert log.reconcile(3600) == []
    closed = log.reconcile(0)
    assert [record.record_id for record in closed] == [lost.record_id]
    assert closed[0].kind == "request.failed"
    assert closed[0].public == {"code": "lost"}
    assert log.reconcile(0) == []
    with pytest.raises(DuplicateRecord):
        log.append(make_event(kind="request.completed", record_id=lost.record_id))


def test_find_filters_and_pages(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    for tenant in ("a", "b", "a", "b", "a"):
        log.append(make_event(tenant=tenant))
    assert [record.index for record in log.find(tenant="a")] == [4, 2, 0]
    assert [record.index for record in log.find(limit=2, before=4)] == [3, 2]
    assert log.find(kind="policy.changed") == []
    middle = log.get(2).time
    assert [record.index for record in log.find(since=middle)] == [4, 3, 2]
    assert [record.index for record in log.find(until=middle)] == [1, 0]


def test_what_is_not_there(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event(private={}, subject=None))
    assert log.private(0) is None
    for call in (lambda: log.get(1), lambda: log.get(-1), lambda: log.private(7)):
        with pytest.raises(RecordNotFound):
            call()
    with pytest.raises(RecordNotFound):
        log.records(new_record_id())
    with pytest.raises(RecordNotFound):
        log.proof.receipt(12)
    with pytest.raises(InvalidRequest):
        log.records("no id")


def test_many_threads_and_two_logs_on_one_home(open_log: OpenLog, make_event: MakeEvent) -> None:
    logs = [open_log(), open_log()]
    errors: list[BaseException] = []

    def work(log: AuditLog) -> None:
        try:
            for _ in range(40):
                event = make_event()
                log.append(event)
                log.append(make_event(kind="request.completed", record_id=event.record_id))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(logs[i % 2],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert logs[0].size == logs[1].size == 480
    home = paths_of(logs[0]).home
    for log in logs:
        log.close()
    report = verify_log(home)
    assert report.problems == ()
    assert report.size == 480


def test_files_are_for_the_owner_only(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event())
    log.proof.checkpoint()
    shared = {"checkpoint", "log.vkey"}
    for path in paths_of(log).folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.name not in shared:
            assert mode & 0o077 == 0, path


def test_another_origin_is_refused(open_log: OpenLog) -> None:
    open_log().close()
    with pytest.raises(ConfigurationError):
        open_log(origin="example.org/other")
    with pytest.raises(InvalidRequest):
        open_log(origin="with a space")


def test_no_log_where_none_may_be_made(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable):
        AuditLog.open(tmp_path / "nowhere", create=False)
    with pytest.raises(LogUnavailable):
        verify_log(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "log.db").write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(ChopmarkError):
        AuditLog.open(tmp_path)


def test_closed_log_refuses(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.writable()
    log.close()
    with pytest.raises(LogUnavailable):
        log.append(make_event())
    with pytest.raises(LogUnavailable):
        log.writable()


def test_full_queue_refuses(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log._writer._sequencer._queue.maxsize = 3
    with log._ledger.database.write():  # the sequencer cannot book meanwhile
        jobs = []
        with pytest.raises(LogUnavailable, match="wait for the log"):  # noqa: PT012
            for _ in range(10):
                jobs.append(log.submit(make_event()))  # noqa: PERF401
    assert len({job.result(10).index for job in jobs}) == len(jobs)


def test_after_a_fork_the_child_is_refused(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log._writer._pid = os.getpid() + 1  # what a child sees
    with pytest.raises(LogUnavailable, match="forked"):
        log.append(make_event())
    log._writer._pid = os.getpid()


def test_receipt_is_checked_without_the_log(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    events = [make_event() for _ in range(300)]
    for job in [log.submit(event) for event in events]:
        job.result(10)
    log.append(make_event(kind="request.completed", record_id=events[7].record_id))
    receipt = log.proof.receipt(events[7].record_id)
    assert receipt.record.kind == "request.completed"
    again = Receipt.from_json(receipt.to_json())
    assert again == receipt
    assert again.verify(log.public_key) == ()
    assert again.verify() == ()
    for index in (0, 255, 256, 299):
        assert log.proof.receipt(index).verify(log.public_key) == ()
    stranger = "chopmark.local/log+00000000+AAAA"
    assert again.verify(stranger) != ()


def test_checkpoint_is_kept_and_stable(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event())
    one = log.proof.checkpoint()
    assert one == log.proof.checkpoint()
    assert one.size == 1
    assert one.root.hex() == log.root()
    assert paths_of(log).checkpoint.read_text() == one.note


@pytest.mark.usefixtures("sqlite_only")
def test_truncated_log_is_not_opened_again(
    filled_home: Callable[..., Path], open_log: OpenLog, tmp_path: Path
) -> None:
    home = filled_home(3)
    old = (home / "audit" / "log.db").read_bytes()
    wal = (home / "audit" / "log.db-wal").read_bytes()
    with open_log(home) as log:
        log.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="t"))
    (home / "audit" / "log.db").write_bytes(old)
    (home / "audit" / "log.db-wal").write_bytes(wal)
    (home / "audit" / "log.db-shm").unlink(missing_ok=True)
    with pytest.raises(LogCorrupt, match="signed for"):
        open_log(home)
    assert [problem.what for problem in verify_log(home).problems] == ["log_cut"]


def test_what_is_in_force_is_booked_when_it_changes(open_log: OpenLog) -> None:
    one, two = open_log(), open_log()
    assert one.in_force("policy.changed", "a") is not None
    assert two.in_force("policy.changed", "a") is None
    threads = [
        threading.Thread(target=log.in_force, args=("policy.changed", value))
        for log, value in ((one, "b"), (two, "c"), (one, "d"), (two, "e"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chain = [record.public for record in reversed(one.find(kind="policy.changed"))]
    assert [item["before"] for item in chain[1:]] == [item["now"] for item in chain[:-1]]
    assert {item["now"] for item in chain} == set("abcde")
    assert one.in_force("key.rotated", "a", what="key") is not None
    assert one.in_force("policy.changed", "a", tenant="acme") is not None
