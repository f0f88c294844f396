"""A home that older code wrote is taken over: nothing is lost, and what is new works on it.

``tests/data/home-733dd3b.tar.gz`` was written by that commit of 1 December 2026: a log of three
requests with a decision and an appeal, a receipt, an API key and a person. There was no release
before. Its keys are of no use anywhere else.
"""

from __future__ import annotations

import sqlite3  # noqa: TID251  reads and writes what our own way would refuse
from pathlib import Path

import pytest

from chopmark.audit import Actor, AuditLog, Query, Receipt, verify_log
from chopmark.audit.search.projection import VERSION
from chopmark.tenancy import AccessStore, People
from tests.support.archives import unpack

FIXTURE = Path(__file__).parents[1] / "data" / "home-733dd3b.tar.gz"
ADA = Actor(name="ada", roles=frozenset({"reader", "reviewer", "investigator"}), tenant=None)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    home = tmp_path / "old"
    home.mkdir(mode=0o700)
    unpack(FIXTURE, home)
    for folder in [home, *(path for path in home.rglob("*") if path.is_dir())]:
        folder.chmod(0o700)
    return home


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_the_log_is_whole_and_goes_on(old: Path) -> None:
    receipt = Receipt.from_json((old / "receipt.json").read_text(encoding="utf-8"))
    assert _version(old / "audit" / "search.db") == 6
    log = AuditLog.open(old)
    try:
        assert receipt.verify(log.public_key) == ()
        before = log.size
        desk = log.desk(ADA, purpose="upgrade")
        assert len(desk.search(Query())) == 3
        assert len(desk.search(Query(text="prompt"))) == 3
        decided = [task for task in desk.review.tasks() if task.decision is not None]
        assert [task.decision for task in decided] == ["confirmed"]
        assert {task.due for task in desk.review.tasks()} == {None}
        assert len(desk.appeals.listed()) == 1
        # What the projection of then had no column for.
        booked = desk.review.takedown(decided[0].record_id, "order", reference="x", hours=3)
        assert desk.review.tasks("takedown")[0].due == booked.public["due"]
        assert log.size > before
    finally:
        log.close()
    assert _version(old / "audit" / "search.db") == VERSION
    assert verify_log(old).ok


def test_keys_and_people_are_known_again(old: Path) -> None:
    with AccessStore.open(old) as store:
        key, tenant = store.authenticate((old / "key.txt").read_text(encoding="utf-8"))
        assert (tenant.name, sorted(key.scopes)) == ("default", ["generate", "read"])
    with People.open(old) as people:
        assert [person.name for person in people.everybody()] == ["ada"]
