"""Files and batches as they are kept: claims, turns, ends, room; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import LogUnavailable
from chopmark.errors import BatchNotFound, FileNotKept, FilesFull, InvalidRequest
from chopmark.tenancy.batches import Batches
from chopmark.tenancy.files import FileStore
from tests.support.disk_faults import TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.tenancy.batch_lines import Claimed
    from chopmark.tenancy.batch_rows import Batch

ROOM = 2**20


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with TemporaryPostgres() as url:
            yield url
    except LogUnavailable as error:
        pytest.skip(error.message)


@pytest.fixture(params=["sqlite", "postgres"])
def files(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[FileStore]:
    url = ""
    if request.param == "postgres":
        import psycopg

        url = request.getfixturevalue("server")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS public_files CASCADE")
    opened = FileStore.open(tmp_path, database=url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def batches(files: FileStore, clock: Clock) -> Batches:
    return Batches(files.database, clock=clock)


def _file(files: FileStore, data: bytes, tenant: str = "acme", **options: Any) -> str:
    kept = files.add(
        tenant,
        data,
        **{
            "purpose": "batch",
            "filename": "a.jsonl",
            "mime": "application/jsonl",
            "keep_s": None,
            "most_bytes": ROOM,
            **options,
        },
    )
    return kept.file_id


def _batch(
    files: FileStore, batches: Batches, lines: int, tenant: str = "acme", window_s: int = 100
) -> Batch:
    name = _file(files, b"".join(b"%d\n" % number for number in range(lines)), tenant)
    batch = batches.add(
        tenant, kind="batch", caller="{}", endpoint="/v1/moderations", input_file=name,
        window_s=window_s, keep_s=50,
    )  # fmt: skip
    batches.validated(batch.batch_id, [(number, f"n{number}") for number in range(lines)], [])
    return batches.get(tenant, batch.batch_id)


def _claim(batches: Batches, owner: str = "one") -> Claimed:
    line = batches.lines.claim(owner, lease_s=10)
    assert line is not None
    return line


def _answer(batches: Batches, line: Claimed, *, well: bool = True) -> None:
    told: dict[str, Any] = {
        "id": "r",
        "custom_id": line.custom_id,
        "response": {"body": {}},
        "error": None,
    }
    batches.lines.answered(line, json.dumps(told).encode() + b"\n", records=["rec"], well=well)


def test_a_line_is_claimed_once_and_answered_once(files: FileStore, batches: Batches) -> None:
    batch = _batch(files, batches, 2)
    first, second = _claim(batches), _claim(batches, "two")
    assert (first.data, second.data) == (b"0\n", b"1\n")
    assert batches.lines.claim("three", lease_s=10) is None
    _answer(batches, first)
    _answer(batches, first)
    with pytest.raises(FileNotKept):
        files.get("acme", batch.output)  # nothing is shown before the end
    _answer(batches, second, well=False)
    done = batches.get("acme", batch.batch_id)
    assert (done.status, done.completed, done.failed, done.total) == ("completed", 1, 1, 2)
    assert [name for _, name in files.pieces(batch.output)] == [files.data(batch.output)]
    assert files.get("acme", batch.errors).size == len(files.data(batch.errors))
    assert [one.batch_id for one in batches.untold()] == [batch.batch_id]
    batches.told(batch.batch_id)
    assert not batches.untold()


def test_what_a_dead_server_had_is_taken_up_when_its_claim_is_over(
    files: FileStore, batches: Batches, clock: Clock
) -> None:
    _batch(files, batches, 1)
    _claim(batches, "dead")
    batches.lines.settle("alive")
    assert batches.lines.claim("alive", lease_s=10) is None
    clock.now += 9
    batches.lines.renew("dead", lease_s=10)
    clock.now += 9
    batches.lines.settle("alive")
    assert batches.lines.claim("alive", lease_s=10) is None
    clock.now += 1
    batches.lines.settle("dead")  # what is its own it does not take from itself
    assert batches.lines.claim("alive", lease_s=10) is None
    batches.lines.settle("alive")
    assert batches.lines.claim("alive", lease_s=10) is not None


def test_tenants_take_turns(files: FileStore, batches: Batches) -> None:
    for _ in range(3):
        _batch(files, batches, 2, "many")
    _batch(files, batches, 3, "few")
    turns = [_claim(batches).tenant for _ in range(6)]
    assert sorted(turns[:2]) == sorted(turns[2:4]) == sorted(turns[4:]) == ["few", "many"]


def test_the_end_of_its_time_and_a_cancellation(
    files: FileStore, batches: Batches, clock: Clock
) -> None:
    late, dropped = _batch(files, batches, 2), _batch(files, batches, 2, "other", window_s=10_000)
    mine = next(line for line in (_claim(batches), _claim(batches)) if line.tenant == "other")
    stopping = batches.cancel("other", dropped.batch_id, kind="batch")
    assert stopping.status == "cancelling"
    _answer(batches, mine)
    ended = batches.get("other", dropped.batch_id)
    assert (ended.status, ended.completed, ended.total) == ("cancelled", 1, 2)
    with pytest.raises(InvalidRequest):
        batches.cancel("other", dropped.batch_id, kind="batch")
    clock.now += 101
    batches.lines.settle("another")  # the claim is over as well
    done = batches.get("acme", late.batch_id)
    assert (done.status, done.failed) == ("expired", 2)
    rows = [json.loads(line) for line in files.data(late.errors).splitlines()]
    assert {row["error"]["code"] for row in rows} == {"batch_expired"}
    with pytest.raises(BatchNotFound):
        batches.get("other", late.batch_id)
    with pytest.raises(BatchNotFound):
        batches.get("acme", late.batch_id, kind="job")


def test_a_batch_rests_and_files_expire(files: FileStore, batches: Batches, clock: Clock) -> None:
    batch = _batch(files, batches, 1)
    batches.lines.later(_claim(batches), wait_s=5, attempts=1)
    assert batches.lines.claim("one", lease_s=10) is None
    clock.now += 5
    line = _claim(batches)
    assert line.attempts == 1
    _answer(batches, line)
    clock.now += 51
    with pytest.raises(FileNotKept):
        files.get("acme", batch.output)
    assert files.sweep() == 1
    assert list(files.pieces(batch.output)) == []
    assert files.get("acme", batch.input).size == 2  # it had no end
    batches.told(batch.batch_id)
    clock.now += 100
    batches.sweep(older_s=10)
    with pytest.raises(BatchNotFound):
        batches.get("acme", batch.batch_id)


def test_room_lists_and_what_is_forgotten(files: FileStore, clock: Clock) -> None:
    names = []
    for number in range(3):
        clock.now += 1
        names.append(_file(files, b"x" * 300_000 + b"\n%d\n" % number))
    with pytest.raises(FilesFull):
        _file(files, b"y" * 300_000)
    _file(files, b"y" * 300_000, "other")

    def listed(**options: Any) -> list[str]:
        given = {"purpose": None, "after": None, "limit": 2, "newest": False, **options}
        return [one.file_id for one in files.listed("acme", **given)]

    assert listed() == names[:2]
    assert listed(after=names[1]) == names[2:]
    assert listed(newest=True) == names[:0:-1]
    assert listed(purpose="vision") == []
    assert files.data(names[0]) == b"x" * 300_000 + b"\n0\n"
    big = _file(files, bytes(3 * 2**20), "other", purpose="shared_picture", records=["rec"])
    assert len(files.data(big)) == 3 * 2**20
    assert files.records() == ["rec"]
    files.forget(["rec", "none"])
    with pytest.raises(FileNotKept):
        files.get("other", big)
    assert files.records() == []
    for number in range(3):
        clock.now += 1
        _file(files, bytes(100), purpose="shared_picture", file_id=f"shared-{number}")
    files.keep_within("acme", "shared_picture", 150)
    with pytest.raises(FileNotKept):
        files.get("acme", "shared-1")
    assert files.get("acme", "shared-2").size == 100
