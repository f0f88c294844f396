"""Two can never both append, and who was declared dead appends nothing that it began before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event, LogUnavailable, verify_log
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]


def test_a_stale_process_writes_nothing(open_log: OpenLog, make_event: MakeEvent) -> None:
    stale, other = open_log(), open_log()
    stale.append(make_event())
    event = make_event()
    waiting = stale._ledger.prepare(event)
    other.fence.shut_out(stale.fence.name)
    size = other.size
    with pytest.raises(LogUnavailable, match="taken over"):
        stale.append(event)
    with pytest.raises(LogUnavailable, match="taken over"):
        stale.custody.erase("person-1", by=("one", "two"), reason="stale")
    assert (other.size, stale.fence.refused) == (size, True)
    # The others go on, in the same transaction even.
    (late, fine) = other._ledger.book([waiting, other._ledger.prepare(make_event())])
    assert isinstance(late, LogUnavailable)
    assert (fine.index, other.size) == (size, size + 1)  # type: ignore[union-attr]
    stale.fence.renew()
    assert stale.append(event).index == size + 1
    # What it had prepared before stays behind.
    (again,) = stale._ledger.book([waiting])
    assert isinstance(again, LogUnavailable)
    stale.close()
    other.close()
    assert verify_log(paths_of(other).home).problems == ()


def test_a_stale_follower_is_refused_by_its_leader(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    leader, follower = open_log(), open_log()
    leader.append(make_event())
    follower.append(make_event())
    assert follower._writer._relay._leader is not None
    leader.fence.shut_out(follower.fence.name)
    with pytest.raises(LogUnavailable, match="taken over"):
        follower.append(make_event())
    assert (leader.append(make_event()).index, follower.fence.refused) == (2, True)
    leader.fence.shut_out(follower.fence.name)  # twice: it takes the newest
    follower.fence.renew()
    assert (follower.fence.number, follower.append(make_event()).index) == (3, 3)
