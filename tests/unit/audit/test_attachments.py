"""What is kept beside an entry: under its key, within its room, gone when its content goes."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import AuditLog, Event, verify_log
from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.ids import new_record_id

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
    assert log.attachments(record.index, younger_than=DAY) is None
    for index in (record.index, other.index):
        assert log.attach(index, FILES, most_bytes=ROOM)
        assert log.attachments(index, younger_than=DAY) == FILES
    assert log.detach(record_id=record.record_id, tenant="other") == 0
    assert log.detach(record_id=record.record_id) == 1
    assert log.attachments(record.index, younger_than=DAY) is None
    assert log.attachments(other.index, younger_than=DAY) == FILES
    assert log.private(record.index) == {"prompt": "a red apple"}
    assert log.detach(tenant="other") == 1
    with pytest.raises(InvalidRequest):
        log.detach()
    with pytest.raises(RecordNotFound):
        log.attachments(99, younger_than=DAY)
    home = log._paths.home
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
        log.attach(index, FILES, most_bytes=ROOM)
    match way:
        case "erase":
            log.erase("ann", by=TWO, reason="she asked")
        case "expire":
            log.expire({"standard": timedelta()}, tenant="default")
        case "detach":
            assert log.detach(subject="ann") == 1
        case "hold":
            hold = log.place_hold("ann", basis="a court order", by="Ada")
    assert log.attachments(record.index, younger_than=DAY) is None
    assert log.attachments(kept.index, younger_than=DAY) == FILES
    if way in {"erase", "expire"}:
        assert not log.attach(record.index, FILES, most_bytes=ROOM)
        assert log.contentless([record.record_id, kept.record_id]) == [record.record_id]
    if way == "hold":
        log.release_hold(hold.index, by="Ada", reason="it is over")
        assert log.attachments(record.index, younger_than=DAY) == FILES
    else:
        assert _rows(log) == 2


def test_room_is_each_tenants_own_and_the_oldest_go(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    one = log.append(make_event(tenant="small"))
    log.attach(one.index, FILES, most_bytes=10_000)
    records = [log.append(make_event(tenant="big")) for _ in range(6)]
    for record in records:
        assert log.attach(record.index, {"a": bytes(2000), "b": bytes(2000)}, most_bytes=10_000)
    left = [log.attachments(record.index, younger_than=DAY) is not None for record in records]
    assert left == [False] * 4 + [True] * 2
    assert log.attachments(one.index, younger_than=DAY) == FILES
    # What alone is too much is not kept, and nothing is said to be.
    assert not log.attach(
        log.append(make_event(tenant="big")).index, {"a": bytes(20_000)}, most_bytes=10_000
    )
    assert log.attachments(records[-1].index, younger_than=DAY) is not None


def test_what_is_old_is_nobodys_and_goes(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    record = log.append(make_event())
    log.attach(record.index, FILES, most_bytes=ROOM)
    time.sleep(0.02)
    assert log.attachments(record.index, younger_than=timedelta(seconds=0.01)) is None
    assert log.detach_older(DAY) == 0
    assert log.detach_older(timedelta(seconds=0.01)) == 1
    assert _rows(log) == 0


def test_an_entry_without_content_takes_no_attachment(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    bare = log.append(make_event(subject=None, private={}))
    assert not log.attach(bare.index, FILES, most_bytes=ROOM)
    assert not log.attach(99, FILES, most_bytes=ROOM)
    assert log.contentless([bare.record_id, new_record_id()])[0] == bare.record_id


def _rows(log: AuditLog) -> int:
    anything: Any = log
    with anything._database.read() as transaction:
        return int(transaction.execute("SELECT count(*) FROM attachment")[0][0])
