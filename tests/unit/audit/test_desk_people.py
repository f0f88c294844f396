"""Persons at the desk: found by name, suspended beyond erasure, and nobody lifts it unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.audit import Actor, AuditLog, Event, verify_log
from chopmark.errors import InvalidRequest, NotPermitted, PersonNotFound
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import Desk
    from chopmark.audit.desk.people import DeskPeople

WHY = "a case"


def _ask(log: AuditLog, tenant: str, name: str, *, refused: bool = False) -> str:
    record_id = new_record_id()
    subject = f"{tenant}:{name}"
    log.append(
        Event(
            kind="request.received",
            record_id=record_id,
            tenant=tenant,
            subject=subject,
            private={"prompt": f"a picture for {name}"},
        )
    )
    log.append(
        Event(
            kind="request.refused" if refused else "request.completed",
            record_id=record_id,
            tenant=tenant,
            subject=subject,
            public={"categories": ["hate"], "stage": "input"} if refused else {"action": "allow"},
        )
    )
    return record_id


def _desk(log: AuditLog, tenant: str | None, *roles: str) -> Desk:
    named = frozenset(roles or ("reviewer", "investigator"))
    return log.desk(Actor(name="Ada", roles=named, tenant=tenant), purpose=WHY)  # type: ignore[arg-type]


def _people(log: AuditLog, tenant: str | None = "acme", *roles: str) -> DeskPeople:
    return _desk(log, tenant, *roles).people


def test_a_suspension_outlives_the_erasure_of_the_person(home: Path) -> None:
    with AuditLog.open(home) as log:
        _ask(log, "acme", "u-7")
        _people(log).suspend("u-7", rationale=WHY)
        log.custody.erase("acme:u-7", by=("Eve", "Eva"), reason="they asked")
        assert _people(log).listed() == []
        with pytest.raises(PersonNotFound):
            _people(log).view("u-7")
        assert log.suspensions.find("acme:u-7") is not None
        assert verify_log(home).ok
        _ask(log, "acme", "u-7")  # under a key of its own, by the same name
        assert verify_log(home).ok
        _people(log).reinstate("acme:u-7", rationale=WHY)
        assert log.suspensions.find("acme:u-7") is None
        assert verify_log(home).ok
        with pytest.raises(InvalidRequest):
            _people(log).reinstate("u-7", rationale=WHY)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM suspension",
        "UPDATE suspension SET until = '2020-01-01T00:00:00.000000Z'",
        "UPDATE suspension SET tag = (SELECT tag FROM suspension ORDER BY idx DESC LIMIT 1)",
        "INSERT INTO suspension SELECT 0, tag, until FROM suspension LIMIT 1",
    ],
)
def test_nobody_changes_who_is_suspended_unseen(home: Path, statement: str) -> None:
    with AuditLog.open(home) as log:
        for name in ("u-1", "u-2"):
            _ask(log, "acme", name)
            _people(log).suspend(name, rationale=WHY)
        assert verify_log(home).ok
        with log._ledger.database.write() as transaction:
            transaction.execute(statement)
    assert {problem.what for problem in verify_log(home).problems} == {"suspension"}


def test_a_refusal_that_was_overturned_is_no_strike(home: Path) -> None:
    from chopmark.audit import Rule

    with AuditLog.open(home) as log:
        kept, wrong = (_ask(log, "acme", "u", refused=True) for _ in range(2))
        desk = _desk(log, "acme", "reviewer", "writer")
        desk.review.route([Rule(queue="q", decision="block")])
        desk.review.bulk([wrong], "overturned", rationale=WHY)
        assert [one.record_id for one in desk.people.refusals("acme:u", "acme")] == [kept]
        assert _people(log).view("u").summary.counts["block"] == 2


def test_nobody_of_another_tenant_is_there(home: Path) -> None:
    with AuditLog.open(home) as log:
        _ask(log, "acme", "u")
        _ask(log, "globex", "u")
        assert [one.person for one in _people(log, "globex").listed("U")] == ["globex:u"]
        with pytest.raises(PersonNotFound):
            _people(log, "globex").view("acme:u")
        with pytest.raises(PersonNotFound):
            _people(log, "globex").suspend("acme:u", rationale=WHY)
        assert len(_people(log, None).listed()) == 2
        with pytest.raises(InvalidRequest, match="several"):
            _people(log, None).view("u")
        for role in ("reader", "auditor", "eraser"):
            with pytest.raises(NotPermitted):
                _people(log, "acme", role).suspend("u", rationale=WHY)
