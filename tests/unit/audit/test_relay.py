"""One sequencer for all processes: followers hand their events to the leader, or need none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, DuplicateRecord, Event, verify_log
from tests.support.logs import paths_of
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]

WORKER = Path(__file__).with_name("append_worker.py")


def pair(open_log: OpenLog, make_event: MakeEvent) -> tuple[AuditLog, AuditLog]:
    leader, follower = open_log(), open_log()
    leader.append(make_event())
    follower.append(make_event())
    assert leader._writer._relay._leading is not None
    assert follower._writer._relay._leader is not None
    return leader, follower


def test_a_follower_books_with_the_leader(open_log: OpenLog, make_event: MakeEvent) -> None:
    leader, follower = pair(open_log, make_event)
    jobs = [(leader, follower)[n % 2].submit(make_event(subject=f"p{n % 9}")) for n in range(300)]
    indexes = sorted(job.result(HANG_S).index for job in jobs)
    assert indexes == list(range(2, 302))
    for log in (leader, follower):
        assert all(log.private(index) == {"prompt": "a red apple"} for index in range(302))
    record = follower.append(make_event(kind="policy.changed", private={}, subject=None))
    assert leader.get(record.index) == record
    leader.close()
    follower.close()
    assert verify_log(paths_of(leader).home).problems == ()


def test_the_same_event_through_both(open_log: OpenLog, make_event: MakeEvent) -> None:
    leader, follower = pair(open_log, make_event)
    event = make_event()
    record = leader.append(event)
    assert follower.append(event) == record
    with pytest.raises(DuplicateRecord):
        follower.append(make_event(record_id=event.record_id, public={"model": "other"}))
    end = make_event(kind="request.completed", record_id=event.record_id)
    ended = follower.append(end)
    assert follower.append(end) == ended == leader.append(end)
    with pytest.raises(DuplicateRecord, match="ended"):
        follower.append(make_event(kind="request.failed", record_id=event.record_id))


def test_erasure_reaches_a_follower(open_log: OpenLog, make_event: MakeEvent) -> None:
    leader, follower = pair(open_log, make_event)
    for _ in range(3):
        follower.append(make_event(subject="gone"))
        leader.custody.erase("gone", by=("one", "two"), reason="asked")
        record = follower.append(make_event(subject="gone"))
        assert follower.private(record.index) == {"prompt": "a red apple"}
        follower.custody.erase("gone", by=("one", "two"), reason="asked")
        assert leader.private(record.index) is None
    leader.close()
    follower.close()
    assert verify_log(paths_of(leader).home).problems == ()


def test_when_the_leader_goes_another_leads(open_log: OpenLog, make_event: MakeEvent) -> None:
    leader, follower = pair(open_log, make_event)
    third = open_log()
    third.append(make_event())
    leader.close()
    for _ in range(3):
        follower.append(make_event())
        third.append(make_event())
    roles = [log._writer._relay._leading is not None for log in (follower, third)]
    assert sorted(roles) == [False, True]
    assert follower.size == 9


@pytest.mark.usefixtures("sqlite_only")
def test_a_killed_leader_loses_nothing(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path
) -> None:
    worker = subprocess.Popen([sys.executable, str(WORKER), str(tmp_path)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    log = open_log()
    booked = [log.append(make_event()) for _ in range(20)]
    assert log._writer._relay._leader is not None
    jobs = [log.submit(make_event()) for _ in range(50)]
    time.sleep(0.01)
    worker.kill()
    worker.communicate()
    booked += [job.result(HANG_S) for job in jobs]
    assert len({record.index for record in booked}) == 70
    for record in booked:
        assert log.get(record.index) == record
    log.close()
    assert verify_log(tmp_path).problems == ()


def test_nonsense_on_the_socket_harms_nobody(open_log: OpenLog, make_event: MakeEvent) -> None:
    leader, follower = pair(open_log, make_event)
    folder = os.open(paths_of(leader).folder, os.O_RDONLY)
    for frame in (
        b"",
        b"\xff" * 8,
        bytes(8),
        b"\x00\x00\x00\x04\x00\x00\x00\x01abcd",
        b"\x00\x00\x00\x40\x00\x00\x00\x01" + bytes(64),
        b"\x00\x00\x00\x04\xff\xff\xff\xffabcd",
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(HANG_S)
            client.connect(f"/proc/self/fd/{folder}/log.sock")
            client.sendall(frame)
            client.shutdown(socket.SHUT_WR)
            client.recv(100)
    os.close(folder)
    assert follower.append(make_event()).index == 2
    assert leader.append(make_event()).index == 3
