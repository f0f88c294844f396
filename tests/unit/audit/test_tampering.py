"""Whoever changes the stored log is found by the full walk."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING

import apsw
import pytest

from chopmark.audit import AuditLog, Event, Receipt, verify_log
from chopmark.audit.log.merkle import Frontier, leaf_hash
from chopmark.audit.log.paths import Paths
from chopmark.errors import ChopmarkError, InvalidRequest, LogCorrupt
from chopmark.kit.ids import new_record_id
from tests.support.logs import forget_marks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a log with full tiles, several checkpoints, open requests and content."""
    made = tmp_path_factory.mktemp("template")
    with AuditLog.open(made) as log:
        jobs = []
        for number in range(280):
            received = Event(
                kind="request.received",
                record_id=new_record_id(),
                tenant="default",
                subject=f"person-{number % 3}",
                public={"model": "embedded"},
                private={"prompt": f"prompt number {number}"},
            )
            jobs.append(log.submit(received))
            if number < 277:
                jobs.append(
                    log.submit(
                        Event(
                            kind="request.completed",
                            record_id=received.record_id,
                            tenant="default",
                            public={"decision": "allow", "score": 0.25},
                        )
                    )
                )
            if number % 100 == 0:
                jobs[-1].result(30)  # so that each checkpoint is of another size
                log.proof.checkpoint()
        for job in jobs:
            job.result(30)
    assert verify_log(made).problems == ()
    return made


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """Give a copy of the template, to be tampered with."""
    return shutil.copytree(template, tmp_path / "home")


def connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def flipped(value: object, choose: random.Random) -> object:
    if isinstance(value, int):
        return value ^ 1 << choose.randrange(12)
    if isinstance(value, str):
        raw = value.encode() or b"a"
        place = choose.randrange(len(raw))
        changed = raw[:place] + bytes([raw[place] ^ 1 << choose.randrange(6)]) + raw[place + 1 :]
        return changed.decode("utf-8", "replace")
    assert isinstance(value, bytes)
    if not value:
        return b"\x01"
    place = choose.randrange(len(value))
    return value[:place] + bytes([value[place] ^ 1 << choose.randrange(8)]) + value[place + 1 :]


COLUMNS = [
    ("log.db", table, column)
    for table, columns in {
        "entry": "idx event_id record_id kind tenant time leaf",
        "content": "idx key_id sealed",
        "open_request": "record_id idx time",
        "tile": "level n data",
        "checkpoint": "id size frontier note",
        "state": "origin size frontier epoch clock digest",
    }.items()
    for column in columns.split()
] + [("vault/keys.db", "subject_key", column) for column in ("key_id", "tag", "wrapped")]


@pytest.mark.parametrize(("file", "table", "column"), COLUMNS)
def test_a_bit_flip_in_every_column_is_found(
    home: Path, file: str, table: str, column: str
) -> None:
    choose = random.Random(f"{table}.{column}")  # noqa: S311
    path = home / "audit" / file
    for _ in range(3):
        connection = connect(path)
        rows = list(connection.execute(f"SELECT rowid, {column} FROM {table}"))  # noqa: S608
        row, value = choose.choice(rows)
        new = flipped(value, choose)
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))  # noqa: S608
        except apsw.ConstraintError:
            connection.close()
            continue  # the flip gave another row's key; SQLite itself refuses that
        connection.close()
        report = verify_log(home)
        assert not report.ok, (row, value, new)
        connection = connect(path)
        if column in {"idx", "id"} and table != "open_request":
            row = new  # the column is the row's number
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))  # noqa: S608
        connection.close()
        assert verify_log(home).problems == ()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            """INSERT INTO entry SELECT idx + 1, event_id || 'x', record_id, kind, tenant, time, leaf
            FROM entry ORDER BY idx DESC LIMIT 1""",  # noqa: E501
            "columns_changed",
        ),
        ("DELETE FROM entry WHERE idx = 100", "entry_missing"),
        ("DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)", "log_cut"),
        ("DELETE FROM content WHERE idx = 100", "content_missing"),
        (
            "INSERT INTO content SELECT idx + 1, key_id, sealed FROM content WHERE idx = 100",
            "content_unknown",
        ),
        (
            "INSERT INTO content SELECT 100000, key_id, sealed FROM content WHERE idx = 100",
            "content_unknown",
        ),
        ("DELETE FROM tile WHERE level = 0 AND n = 1", "tile_missing"),
        ("DELETE FROM tile WHERE level = 1", "tile_missing"),
        ("INSERT INTO tile VALUES (0, 77, x'00')", "tile_unknown"),
        ("INSERT INTO tile VALUES (5, 0, x'00')", "tile_unknown"),
        ("DELETE FROM checkpoint WHERE id = 2", "checkpoint_missing"),
        ("UPDATE checkpoint SET note = replace(note, char(10), char(13))", "checkpoint_refused"),
        ("INSERT INTO cover VALUES (3, x'00', x'5b5d')", "cover_unknown"),
        ("DELETE FROM open_request", "open_request"),
        ("INSERT INTO open_request VALUES ('1234', 3, 'now')", "open_request"),
        ("DELETE FROM state", "state_differs"),
        (
            "UPDATE content SET sealed = (SELECT sealed FROM content WHERE idx = 2) WHERE idx = 0",
            "content_changed",
        ),
    ],
)
def test_sql_by_the_operator_is_found(home: Path, statement: str, what: str) -> None:
    connection = connect(home / "audit" / "log.db")
    connection.execute(statement)
    connection.close()
    assert what in {problem.what for problem in verify_log(home).problems}


def test_a_destroyed_key_without_an_erasure_is_found(home: Path) -> None:
    connection = connect(home / "audit" / "vault" / "keys.db")
    connection.execute("DELETE FROM subject_key WHERE rowid = 1")
    connection.close()
    assert {problem.what for problem in verify_log(home).problems} == {"key_missing"}


def test_a_log_of_an_older_version_is_walked_before_it_is_opened(home: Path) -> None:
    for path, tables in {
        home / "audit" / "log.db": ("suspension",),
        home / "audit" / "vault" / "keys.db": ("wrapped_by",),
    }.items():
        connection = connect(path)
        for table in tables:
            connection.execute(f"DROP TABLE {table}")
        connection.close()
    paths = Paths(home)
    for path in (paths.signed, paths.marks / "signed", paths.public_keys_kept):
        path.unlink()
    assert verify_log(home).problems == ()
    AuditLog.open(home).close()
    assert paths.public_keys_kept.is_file()
    assert verify_log(home).problems == ()


def test_triggers_slow_the_careless(home: Path) -> None:
    connection = apsw.Connection(str(home / "audit" / "log.db"))
    for statement in ("UPDATE entry SET tenant = 'x'", "DELETE FROM entry"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            connection.execute(statement)
    connection.close()


def rewrite(home: Path) -> None:
    """Do what somebody with the signing key can do: another log under the same name."""
    paths = Paths(home)
    with AuditLog.open(home) as log:
        size, key = log.size, log.public_key
    forget_marks(home)
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        (paths.folder / name).unlink(missing_ok=True)
    with AuditLog.open(home) as log:
        assert log.public_key == key
        for _ in range(size):
            log.submit(Event(kind="policy.changed", record_id=new_record_id(), tenant="forged"))


def test_a_rewrite_with_the_stolen_key_is_found_by_a_kept_checkpoint(home: Path) -> None:
    kept = Paths(home).checkpoint.read_text()
    rewrite(home)
    assert verify_log(home).ok  # a signature alone proves nothing against its owner
    report = verify_log(home, kept=[kept])
    assert [problem.what for problem in report.problems] == ["root_differs"]


def test_a_rewrite_is_found_by_a_kept_receipt(home: Path) -> None:
    with AuditLog.open(home) as log:
        receipt = log.proof.receipt(4)
        key = log.public_key
    rewrite(home)
    assert receipt.verify(key) == ()
    report = verify_log(home, kept=[receipt.checkpoint])
    assert [problem.what for problem in report.problems] == ["root_differs"]


def test_another_key_is_found_by_the_known_one(home: Path, tmp_path: Path) -> None:
    key = Paths(home).public_key.read_text()
    other = tmp_path / "other"
    with AuditLog.open(other) as log:
        log.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="forged"))
    report = verify_log(other, public_key=key)
    assert {problem.what for problem in report.problems} == {"checkpoint_refused"}


def test_restored_from_a_backup_is_refused(
    home: Path, make_event: Callable[..., Event], tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(home / "audit", backup)
    with AuditLog.open(home) as log:
        log.append(make_event())
        newest = log.proof.checkpoint().note
    shutil.rmtree(home / "audit")
    shutil.copytree(backup, home / "audit")
    (home / "audit" / "checkpoint").write_text(newest)  # kept apart from the database
    with pytest.raises(LogCorrupt, match="signed for 558 before"):
        AuditLog.open(home)


def test_the_signer_refuses_what_it_does_not_find_on_the_disk(
    home: Path, make_event: Callable[..., Event]
) -> None:
    """A bit that flips in memory between hashing and storing (Yeti 2022, entry 65562066)."""
    with AuditLog.open(home) as log:
        original = log._ledger.prepare

        def bit_flip(event: Event) -> object:
            job = original(event)
            job.leaf = job.leaf.replace(b"embedded", b"embeddee")
            return job

        log._ledger.prepare = bit_flip  # type: ignore[assignment,method-assign]
        log.append(make_event())
        log._ledger.prepare = original  # type: ignore[method-assign]
        with pytest.raises(LogCorrupt, match="do not give the tree"):
            log.proof.checkpoint()
    assert not verify_log(home).ok


def test_damage_is_said_where_it_is(home: Path) -> None:
    connection = connect(home / "audit" / "log.db")
    connection.execute("UPDATE entry SET leaf = x'7b7d' WHERE idx = 4")
    connection.close()
    places = {(problem.what, problem.where) for problem in verify_log(home).problems}
    assert ("tile_changed", "tile 0/0") in places
    assert ("columns_changed", "entry 4") in places
    assert ("root_differs", "checkpoint 4") in places


def test_since_checkpoint_reads_only_what_is_new(
    home: Path, make_event: Callable[..., Event]
) -> None:
    seen: list[tuple[int, int]] = []
    with AuditLog.open(home) as log:
        for _ in range(5):
            log.append(make_event())
    report = verify_log(
        home, since_checkpoint=True, progress=lambda done, total, _what: seen.append((done, total))
    )
    assert report.problems == ()
    assert report.root == verify_log(home).root
    connection = connect(home / "audit" / "log.db")
    connection.execute("UPDATE entry SET tenant = 'x' WHERE idx = (SELECT max(idx) FROM entry)")
    connection.execute(
        "UPDATE content SET sealed = x'00' WHERE idx = (SELECT max(idx) FROM content)"
    )
    connection.close()
    with AuditLog.open(home) as log:
        log.append(make_event())
    assert not verify_log(home).ok


def test_since_checkpoint_finds_what_is_new_and_wrong(
    home: Path, make_event: Callable[..., Event]
) -> None:
    verify_log(home)
    with AuditLog.open(home) as log:
        record = log.append(make_event())
    connection = connect(home / "audit" / "log.db")
    connection.execute("UPDATE entry SET tenant = 'x' WHERE idx = ?", (record.index,))
    connection.close()
    report = verify_log(home, since_checkpoint=True)
    assert {problem.where for problem in report.problems} == {f"entry {record.index}"}


def test_random_damage_never_escapes_as_a_foreign_error(home: Path) -> None:
    choose = random.Random(5)  # noqa: S311
    path = home / "audit" / "log.db"
    connection = connect(path)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    good = path.read_bytes()
    found = 0
    for _ in range(60):
        bad = bytearray(good)
        for _ in range(20):
            bad[choose.randrange(100, len(bad))] ^= 1 << choose.randrange(8)
        path.write_bytes(bytes(bad))
        try:
            found += not verify_log(home).ok
        except ChopmarkError:
            found += 1
    assert found >= 55  # the rest fell where no row is stored


@pytest.mark.parametrize(
    "change",
    [
        {"index": 5},
        {"leaf": '{"kind":"request.completed"}'},
        {"proof": []},
        {"checkpoint": "nonsense"},
        {"public_key": "nonsense"},
        {"index": True},
        {"index": "4"},
        {"proof": ["no base64!"]},
        {"proof": "text"},
        {"proof": [None]},
        {"format": "other"},
        {"leaf": "\ud800"},
        {"leaf": None},
    ],
    ids=str,
)
def test_a_changed_receipt_is_refused(home: Path, change: dict[str, object]) -> None:
    with AuditLog.open(home) as log:
        receipt, key = log.proof.receipt(4), log.public_key
    members = receipt.to_dict() | change
    try:
        changed = Receipt.from_json(json.dumps(members))
    except InvalidRequest:
        return
    if "public_key" in change:
        assert changed.verify(key) == ()  # the known key counts, not the one in the receipt
        assert changed.verify() != ()
    else:
        assert changed.verify(key) != ()


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"format": 1}', b"\xff"])
def test_what_is_no_receipt(text: str | bytes) -> None:
    with pytest.raises(InvalidRequest):
        Receipt.from_json(text)


def test_the_leaves_of_all_receipts_give_the_root(home: Path) -> None:
    with AuditLog.open(home) as log:
        tree = Frontier()
        for index in range(log.size):
            tree.append(leaf_hash(log.proof.receipt(index).leaf))
        assert tree.root().hex() == log.root()
