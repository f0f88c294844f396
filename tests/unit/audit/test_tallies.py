"""The report from the projection's tallies says what counting every leaf says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.audit.desk.transparency import bound_of, report_of_days, transparency_report
from chopmark.audit.log.leaf import pack_leaf, parse_leaf
from chopmark.audit.search.tallies import TALLY_SCHEMA, TALLY_TABLES, Tallies
from chopmark.errors import InvalidRequest
from chopmark.kit.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2026, 11, 29, 20, tzinfo=UTC)
ENTRIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("request.received", {}),
    ("request.decided", {}),
    ("request.completed", {}),
    ("request.failed", {"code": "x"}),
    ("request.refused", {"stage": "input", "categories": ["violence", "hate"]}),
    ("request.refused", {}),
    ("review.decided", {"decision": "confirmed"}),
    ("review.decided", {"decision": "escalated"}),
    ("review.decided", {"decision": "overturned", "second": True}),
    ("appeal.opened", {}),
    ("appeal.decided", {"outcome": "upheld"}),
    ("access.viewed", {}),
)
# Hours that pass before an entry: mostly few, sometimes days, and sometimes the clock is set back.
STEP = st.sampled_from([0, 0, 1, 1, 5, 30, -2, -26])
LOG = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(ENTRIES), STEP), max_size=60)
BOUND = st.sampled_from(["", *(f"2026-{day}" for day in ("11-29", "11-30", "12-01", "12-02"))])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    path: Path = tmp_path_factory.mktemp("tallies") / "search.db"
    followed = "CREATE TABLE IF NOT EXISTS followed (id INTEGER PRIMARY KEY, upto INTEGER)"
    opened = SqliteDatabase(path, schema=TALLY_SCHEMA + followed)
    yield opened
    opened.close()


def _leaves(entries: list[tuple[int, tuple[str, dict[str, Any]], int]]) -> list[bytes]:
    leaves, time = [], START
    for number, (record, (kind, public), hours) in enumerate(entries):
        time += timedelta(hours=hours, microseconds=1 + number * 37)
        stamp = time.isoformat(timespec="microseconds")[:-6] + "Z"
        members = {
            "event_id": f"e{number}", "kind": kind, "public": dict(public),
            "record_id": f"r{record}", "tenant": ("acme", "globex")[record % 2], "time": stamp,
        }  # fmt: skip
        leaves.append(pack_leaf(members, commitment=None))
    return leaves


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LOG, st.integers(1, 60), BOUND, BOUND, st.sampled_from([None, "acme"]))
def test_whole_days_are_counted_as_the_leaves_are(
    database: SqliteDatabase,
    entries: list[tuple[int, tuple[str, dict[str, Any]], int]],
    batch: int,
    since: str,
    until: str,
    tenant: str | None,
) -> None:
    leaves, until = _leaves(entries), until or "9999"
    with database.write() as transaction:
        for table in (*TALLY_TABLES, "followed"):
            transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        transaction.execute("INSERT INTO followed VALUES (1, ?)", (len(leaves),))
        for first in range(0, len(leaves), batch):
            tallies = Tallies(transaction)
            for index in range(first, min(first + batch, len(leaves))):
                tallies.count(index, parse_leaf(leaves[index]))
            tallies.write()
        found = report_of_days(transaction, since=since, until=until, tenant=tenant)
        open_ended = report_of_days(transaction, since=since, until="9999", tenant=tenant)
        within = report_of_days(transaction, since=f"{START.isoformat()}", until="", tenant=tenant)
    if found is not None:
        assert found == transparency_report(leaves, since=since, until=until, tenant=tenant)
    else:  # only where the clock went back over the end
        assert any(hours < 0 for *_, hours in entries)
    assert open_ended == transparency_report(leaves, since=since, tenant=tenant)
    assert within is None


@pytest.mark.parametrize("text", ["banana", "2026/12/01", "2026-12-01 05:00:00", "٢٠٢٦-12-01"])
def test_a_bound_is_a_day_or_a_moment(text: str) -> None:
    with pytest.raises(InvalidRequest):
        bound_of(text)


def test_a_moment_is_compared_as_entries_have_it() -> None:
    assert bound_of("2026-12-01T02:00:00+02:00") == "2026-12-01T00:00:00.000000Z"
    assert [bound_of(text) for text in ("", "9999", "2026-12")] == ["", "9999", "2026-12"]
