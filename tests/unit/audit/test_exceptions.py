"""The list of exceptions decides what leaves, so the full walk must find every change of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

from chopmark.audit import Actor, AuditLog, Event, verify_log
from chopmark.audit.log.paths import Paths
from chopmark.errors import InvalidRequest, RecordNotFound
from tests.support.logs import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]

ADA = Actor(name="Ada", roles=frozenset({"reviewer"}), tenant=None)
UNTIL = "2999-01-01T00:00:00Z"


def excepted(log: AuditLog, make_event: MakeEvent, prompt: str, subject: str = "p") -> int:
    event = make_event(subject=subject, private={"prompt": prompt, "negative_prompt": "sky"})
    log.append(event)
    log.append(make_event(kind="request.refused", record_id=event.record_id, subject=subject))
    log.appeals.open(event.record_id, statement="please")
    log.desk(ADA, purpose="p").appeals.decide(
        event.record_id, "overturned", rationale="r", allow_until=UNTIL
    )
    return log.exceptions.standing()[-1].index


def test_the_very_prompt_only(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    index = excepted(log, make_event, "a dragon")
    found = log.exceptions.find("A  Dragon", negative_prompt="SKY", tenant="default")
    assert found is not None
    assert found.index == index
    for prompt, unsaid, tenant in (
        ("a dragon", "", "default"),
        ("a dragon sky", "", "default"),
        ("a dragons", "sky", "default"),
        ("a dragon", "sky", "b"),
    ):
        assert log.exceptions.find(prompt, negative_prompt=unsaid, tenant=tenant) is None
    desk = log.desk(ADA, purpose="p")
    with pytest.raises(InvalidRequest):
        desk.appeals.revoke_exception(index, reason=" ")
    desk.appeals.revoke_exception(index, reason="over")
    with pytest.raises(RecordNotFound):
        desk.appeals.revoke_exception(index, reason="over")
    assert log.exceptions.find("a dragon", negative_prompt="sky", tenant="default") is None
    log.close()
    assert verify_log(paths_of(log).home).problems == ()


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM exception WHERE idx = (SELECT min(idx) FROM exception)",
        "UPDATE exception SET until = '2998-01-01T00:00:00.000000Z'",
        "UPDATE exception SET tag = zeroblob(32)",
        "UPDATE exception SET idx = idx + 1000",
        "INSERT INTO exception VALUES (0, zeroblob(32), '2999')",
    ],
)
def test_a_forged_exception_is_found(
    open_log: OpenLog, make_event: MakeEvent, statement: str
) -> None:
    log = open_log()
    for number in range(3):
        excepted(log, make_event, f"dragon {number}", subject=f"p{number}")
    log.custody.erase("p1", by=("Ada", "Max"), reason="asked")
    assert len(log.exceptions.standing()) == 2
    home = paths_of(log).home
    log.close()
    assert verify_log(home).problems == ()
    connection = apsw.Connection(str(Paths(home).log))
    connection.execute(statement)
    connection.close()
    assert not verify_log(home).ok
