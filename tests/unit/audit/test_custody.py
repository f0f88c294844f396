"""Forgetting and keeping."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import apsw
import pytest

from chopmark.audit import AuditLog, Event, verify_log
from chopmark.audit.log.paths import Paths
from chopmark.errors import DuplicateRecord, ErasureRefused, InvalidRequest, RecordNotFound
from tests.support.logs import paths_of
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]

TWO = ("Ada", "Grace")


def erase(log: AuditLog, subject: str) -> int:
    count = log.custody.erase(subject, by=TWO, reason="the person asked").public["count"]
    assert isinstance(count, int)
    return count


def all_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_person_is_forgotten_and_every_proof_stays(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    events = [make_event(subject=f"person-{number % 4}") for number in range(400)]
    records = [job.result(30) for job in [log.submit(event) for event in events]]
    receipts = [log.proof.receipt(record.index) for record in records[:8]]
    checkpoint = log.proof.checkpoint().note
    assert erase(log, "person-1") == 100
    for number, record in enumerate(records[:100]):
        expected = None if number % 4 == 1 else {"prompt": "a red apple"}
        assert log.private(record.index) == expected
        assert log.get(record.index) == record
    for receipt in receipts:
        assert receipt.verify(log.public_key) == ()
    again = log.proof.receipt(1)
    assert again.verify(log.public_key) == ()
    home = paths_of(log).home
    log.close()
    assert verify_log(home, kept=[checkpoint]).problems == ()


@pytest.mark.usefixtures("sqlite_only")
def test_no_residue_in_any_file(open_log: OpenLog, make_event: MakeEvent) -> None:
    """The key's and the content's stored bytes are in no file any more, WAL and vault included."""
    log = open_log()
    for number in range(60):
        log.append(
            make_event(subject=f"person-{number % 3}", private={"prompt": "x" * number * 99})
        )
    paths = paths_of(log)
    home = paths.home
    tag = log._ledger.vault.tag("person-2", "default")
    keys = apsw.Connection(str(paths.keys))
    key_id, wrapped = next(
        keys.execute("SELECT key_id, wrapped FROM subject_key WHERE tag = ?", (tag,))
    )
    keys.close()
    database = apsw.Connection(str(paths.log))
    sealed = [
        row[0] for row in database.execute("SELECT sealed FROM content WHERE key_id = ?", (key_id,))
    ]
    database.close()
    assert len(sealed) == 20
    before = all_bytes(home)
    assert wrapped in before
    assert all(item[:24] in before for item in sealed)
    assert erase(log, "person-2") == 20
    after = all_bytes(home)
    for secret in (wrapped[:24], wrapped[-24:], tag, key_id):
        assert secret not in after
    for item in sealed:
        for place in range(0, len(item) - 24, 200):
            assert item[place : place + 24] not in after
    assert log.private(0) == {"prompt": ""}
    log.close()
    assert verify_log(home).problems == ()


def test_a_reader_that_looks_on_does_not_keep_residue(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    log.append(make_event(subject="gone"))
    other = open_log()
    assert other.private(0) is not None  # has a cached key and an open connection
    erase(log, "gone")
    assert other.private(0) is None
    assert other.append(make_event(subject="gone")).index == 3
    assert other.private(3) == {"prompt": "a red apple"}
    home = paths_of(log).home
    log.close()
    other.close()
    assert verify_log(home).problems == ()


def test_two_persons_are_needed(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event(subject="p"))
    for by in (("Ada", "Ada"), ("Ada", " Ada ")):
        with pytest.raises(ErasureRefused):
            log.custody.erase("p", by=by, reason="asked")
    for by, reason in ((("Ada", ""), "asked"), (TWO, " ")):
        with pytest.raises(InvalidRequest):
            log.custody.erase("p", by=by, reason=reason)
    assert log.private(0) is not None


def test_nobody_of_that_name(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event(subject="p"))
    with pytest.raises(RecordNotFound):
        erase(log, "stranger")
    erase(log, "p")
    with pytest.raises(RecordNotFound):
        erase(log, "p")


def test_a_hold_refuses_and_its_release_allows(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event(subject="p"))
    hold = log.custody.holds.place("p", basis="court order 17", by="Ada")
    with pytest.raises(ErasureRefused, match="hold"):
        erase(log, "p")
    assert log.find(kind="erasure.refused")[0].public == {"hold": hold.index}
    standing = log.custody.holds.standing()
    assert [(item.index, item.basis, item.by, item.subject) for item in standing] == [
        (hold.index, "court order 17", "Ada", "p")
    ]
    assert log.private(0) is not None
    log.custody.holds.release(hold.index, by="Ada", reason="case closed")
    with pytest.raises(RecordNotFound):
        log.custody.holds.release(hold.index, by="Ada", reason="case closed")
    assert erase(log, "p") == 2  # the request's content and the hold's
    log.close()
    assert verify_log(paths_of(log).home).problems == ()


def test_a_hold_ends_by_itself(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    log.append(make_event(subject="p"))
    log.custody.holds.place("p", basis="b", by="Ada", until="2020-01-01T00:00:00Z")
    assert log.custody.holds.standing() == []
    assert erase(log, "p") == 2
    with pytest.raises(InvalidRequest):
        log.custody.holds.place("p", basis="b", by="Ada", until="tomorrow")
    with pytest.raises(InvalidRequest):
        log.custody.holds.place("p", basis="b", by="Ada", until="2030-01-01T00:00:00")
    log.close()
    assert verify_log(paths_of(log).home).problems == ()


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM hold",
        "UPDATE hold SET until = '2020-01-01T00:00:00.000000Z'",
        "UPDATE hold SET tag = zeroblob(32)",
        "INSERT INTO hold VALUES (0, zeroblob(32), '2999')",
        "UPDATE cover SET salt = zeroblob(32)",
        "UPDATE cover SET ranges = x'5b5b302c39395d5d'",
        "DELETE FROM cover",
        "UPDATE cover SET idx = idx + 1",
        "INSERT INTO erasing SELECT 0, zeroblob(32), key_id FROM content LIMIT 1",
    ],
)
def test_tampering_with_what_allows_gaps_is_found(
    open_log: OpenLog, make_event: MakeEvent, statement: str
) -> None:
    log = open_log()
    for subject in "pqr":
        log.append(make_event(subject=subject))
    log.custody.holds.place("q", basis="b", by="Ada")
    erase(log, "p")
    home = paths_of(log).home
    log.close()
    assert verify_log(home).problems == ()
    connection = apsw.Connection(str(Paths(home).log))
    connection.execute(statement)
    connection.close()
    assert not verify_log(home).ok


class _CrashError(Exception):
    """Stands for the power going off."""


@pytest.mark.parametrize("moment", ["before-key", "after-key"])
def test_an_interrupted_erasure_is_finished(
    open_log: OpenLog, make_event: MakeEvent, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log()
    home = paths_of(log).home
    for _ in range(5):
        log.append(make_event(subject="p"))
    destroy = log._ledger.vault.destroy

    def crash(tag: bytes) -> bool:
        if moment == "after-key":
            destroy(tag)
        raise _CrashError

    with monkeypatch.context() as patch:
        patch.setattr(log._ledger.vault, "destroy", crash)
        with pytest.raises(_CrashError):
            erase(log, "p")
    log.close()
    assert verify_log(home).problems == ()  # half done is no tampering
    with open_log(home) as log:
        assert [record.kind for record in log.find(limit=3)] == [
            "log.recovered",
            "erasure.completed",
            "erasure.started",
        ]
        assert log.private(0) is None
    assert verify_log(home).problems == ()


def test_events_of_the_erased_keep_coming(open_log: OpenLog, make_event: MakeEvent) -> None:
    """Two writers append for one subject while it is erased again and again."""
    logs = [open_log(), open_log()]
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(log: AuditLog) -> None:
        while not stop.is_set():
            try:
                log.append(make_event(subject="p"))
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

    threads = [threading.Thread(target=work, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    erased = 0
    for _ in range(10):
        before = logs[0].size
        until(lambda: logs[0].size > before)  # noqa: B023 - it is waited for here
        try:
            erased += erase(logs[0], "p")
        except RecordNotFound:
            continue
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert erased > 0
    home = paths_of(logs[0]).home
    for log in logs:
        log.close()
    assert verify_log(home).problems == ()


def test_retention_ends_by_class(
    open_log: OpenLog, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log()
    standard, blocked, report, held = (make_event(subject=f"p{number}") for number in range(4))
    for event in (standard, blocked, report, held):
        log.append(event)
    log.append(make_event(kind="request.refused", record_id=blocked.record_id, subject="p1"))
    log.append(
        make_event(
            kind="request.decided", record_id=report.record_id, public={"retention": "report"}
        )
    )
    hold = log.custody.holds.place("p3", basis="b", by="Ada")
    day = timedelta(days=1)
    assert log.custody.expire({"standard": day, "blocked": day, "report": day}) == []
    gone = log.custody.expire({"standard": timedelta(0), "blocked": day})
    assert [(record.public["class"], record.public["count"]) for record in gone] == [
        ("standard", 1)
    ]
    assert log.private(0) is None
    assert all(log.private(index) is not None for index in range(1, 6))
    gone = log.custody.expire({"blocked": timedelta(0), "report": day})
    assert [(record.public["class"], record.public["count"]) for record in gone] == [("blocked", 2)]
    log.custody.holds.release(hold.index, by="Ada", reason="over")
    gone = log.custody.expire({"standard": timedelta(0), "report": timedelta(0)})
    assert sum(int(str(record.public["count"])) for record in gone) == 3
    assert log.custody.expire({"standard": timedelta(0)}) == []
    assert log.private(hold.index) is not None  # the log's own papers stay
    home = paths_of(log).home
    log.close()
    assert verify_log(home).problems == ()


def test_an_erased_event_tried_again_is_not_stored_again(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    event = make_event(subject="p")
    log.append(event)
    erase(log, "p")
    with pytest.raises(DuplicateRecord):
        log.append(event)
    assert log.private(0) is None
