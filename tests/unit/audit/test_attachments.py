"""What is kept beside an entry: under its key, within its room, gone when its content goes."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import AuditLog, Event, verify_log
from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.ids import new_record_id
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]

DAY = timedelta(days=1)
ROOM = 2**20
FILES = {"one": b"first picture" * 99, "two": b"second picture" * 99}
TWO = ("Ada", "Grace")


def test_what_is_attached_comes_back_until_it_is_let_go(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    record = log.append(make_event())
    other = log.append(make_event(subject=None, tenant="other"))
    assert log.custody.attachments.of(record.index, younger_than=DAY) is None
    for index in (record.index, other.index):
        assert log.custody.attachments.keep(index, FILES, most_bytes=ROOM)
        assert log.custody.attachments.of(index, younger_than=DAY) == FILES
    assert log.custody.attachments.drop(record_id=record.record_id, tenant="other") == 0
    assert log.custody.attachments.drop(record_id=record.record_id) == 1
    assert log.custody.attachments.of(record.index, younger_than=DAY) is None
    assert log.custody.attachments.of(other.index, younger_than=DAY) == FILES
    assert log.private(record.index) == {"prompt": "a red apple"}
    assert log.custody.attachments.drop(tenant="other") == 1
    with pytest.raises(InvalidRequest):
        log.custody.attachments.drop()
    with pytest.raises(RecordNotFound):
        log.custody.attachments.of(99, younger_than=DAY)
    home = paths_of(log).home
    log.close()
    assert verify_log(home).ok


@pytest.mark.parametrize("way", ["erase", "expire", "detach", "hold"])
def test_it_shares_the_fate_of_the_content(
    open_log: OpenLog, make_event: MakeEvent, way: str
) -> None:
    log = open_log()
    record = log.append(make_event(subject="ann"))
    kept = log.append(make_event(subject="bob", tenant="other"))
    for index in (record.index, kept.index):
        log.custody.attachments.keep(index, FILES, most_bytes=ROOM)
    match way:
        case "erase":
            log.custody.erase("ann", by=TWO, reason="she asked")
        case "expire":
            log.custody.expire({"standard": timedelta()}, tenant="default")
        case "detach":
            assert log.custody.attachments.drop(subject="ann") == 1
        case "hold":
            hold = log.custody.holds.place("ann", basis="a court order", by="Ada")
    assert log.custody.attachments.of(record.index, younger_than=DAY) is None
    assert log.custody.attachments.of(kept.index, younger_than=DAY) == FILES
    if way in {"erase", "expire"}:
        assert not log.custody.attachments.keep(record.index, FILES, most_bytes=ROOM)
        assert log.custody.contentless([record.record_id, kept.record_id]) == [record.record_id]
    if way == "hold":
        log.custody.holds.release(hold.index, by="Ada", reason="it is over")
        assert log.custody.attachments.of(record.index, younger_than=DAY) == FILES
    else:
        assert _rows(log) == 2


def test_room_is_each_tenants_own_and_the_oldest_go(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    one = log.append(make_event(tenant="small"))
    log.custody.attachments.keep(one.index, FILES, most_bytes=10_000)
    records = [log.append(make_event(tenant="big")) for _ in range(6)]
    for record in records:
        assert log.custody.attachments.keep(
            record.index, {"a": bytes(2000), "b": bytes(2000)}, most_bytes=10_000
        )
    left = [
        log.custody.attachments.of(record.index, younger_than=DAY) is not None for record in records
    ]
    assert left == [False] * 4 + [True] * 2
    assert log.custody.attachments.of(one.index, younger_than=DAY) == FILES
    # What alone is too much is not kept, and nothing is said to be.
    assert not log.custody.attachments.keep(
        log.append(make_event(tenant="big")).index, {"a": bytes(20_000)}, most_bytes=10_000
    )
    assert log.custody.attachments.of(records[-1].index, younger_than=DAY) is not None


def test_what_is_old_is_nobodys_and_goes(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    record = log.append(make_event())
    log.custody.attachments.keep(record.index, FILES, most_bytes=ROOM)
    time.sleep(0.02)
    assert log.custody.attachments.of(record.index, younger_than=timedelta(seconds=0.01)) is None
    assert log.custody.attachments.drop_older(DAY) == 0
    assert log.custody.attachments.drop_older(timedelta(seconds=0.01)) == 1
    assert _rows(log) == 0


def test_an_entry_without_content_takes_no_attachment(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    bare = log.append(make_event(subject=None, private={}))
    assert not log.custody.attachments.keep(bare.index, FILES, most_bytes=ROOM)
    assert not log.custody.attachments.keep(99, FILES, most_bytes=ROOM)
    assert log.custody.contentless([bare.record_id, new_record_id()])[0] == bare.record_id


def _rows(log: AuditLog) -> int:
    anything: Any = log
    with anything._ledger.database.read() as transaction:
        return int(transaction.execute("SELECT count(*) FROM attachment")[0][0])
