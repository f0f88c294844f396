"""The log's keys are rotated and its backups restored; receipts and contents stay good."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Receipt, restore_log, verify_log
from chopmark.audit.log.paths import Paths
from chopmark.errors import InvalidRequest, LogCorrupt, NotPermitted
from tests.support.logs import forget_marks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.audit import Event

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]


def test_a_new_signing_key_and_old_receipts(open_log: OpenLog, make_event: MakeEvent) -> None:
    log, other = open_log(), open_log()  # the other process has the old key in memory
    log.append(make_event())
    old, receipt = log.public_key, log.proof.receipt(0)
    other.proof.checkpoint()
    new = log.upkeep.rotate_signing_key()
    assert (log.public_key, other.public_key) == (new, new)
    assert log.proof.public_keys.split("\n") == [new, old]
    record = other.append(make_event())
    fresh = other.proof.receipt(record.index)
    assert fresh.public_key == new
    for each in (receipt, fresh):
        assert each.verify(log.proof.public_keys) == ()
        assert Receipt.from_json(each.to_json()).verify() == ()
    assert receipt.verify(new) != ()
    assert fresh.verify(old) != ()
    shown = [item.public for item in log.find(kind="key.rotated")]
    assert [(item["before"], item["now"]) for item in shown] == [(old, new), (None, old)]


@pytest.mark.usefixtures("sqlite_only")
def test_who_trusts_the_old_key_can_follow(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path
) -> None:
    log = open_log()
    old = log.public_key
    for _ in range(3):
        log.append(make_event())
        log.upkeep.rotate_signing_key()
    log.close()
    assert verify_log(tmp_path).problems == ()
    assert verify_log(tmp_path, public_key=old).problems == ()
    # A key that the list names and no trusted one ever did is a stranger's.
    with AuditLog.open(tmp_path / "other") as stranger:
        theirs = stranger.public_key
    found = verify_log(tmp_path, public_key=theirs).problems
    assert {problem.what for problem in found} == {"checkpoint_refused"}


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize("cut", ["before_booking", "before_the_list", "before_the_key", "at_end"])
def test_a_rotation_that_was_cut_short(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path, cut: str
) -> None:
    log, paths = open_log(), Paths(tmp_path)
    log.append(make_event())
    keys = log.proof._keys
    coming = str(keys.successor().key)
    if cut != "before_booking":
        log.in_force("key.rotated", log.public_key, what="log key")
        log.in_force("key.rotated", coming, what="log key")
    if cut == "before_the_key":
        keys._write((keys.successor().key, *keys.ring))
    if cut == "at_end":
        pem = paths.next_key.read_bytes()
        keys.succeed()
        paths.next_key.write_bytes(pem)
        paths.next_key.chmod(0o600)
    log.close()
    with AuditLog.open(tmp_path) as again:
        new = again.upkeep.rotate_signing_key()
        assert (new == coming) == (cut != "at_end")
        assert again.public_key == new
    assert not paths.next_key.exists()
    assert verify_log(tmp_path).problems == ()


def test_a_new_encryption_key(open_log: OpenLog, make_event: MakeEvent) -> None:
    log, other = open_log(), open_log()
    log.append(make_event(subject="person-1"))
    other.append(make_event(subject="person-2"))
    before = Paths(log._paths.home).kek.read_bytes()
    assert log.upkeep.rotate_encryption_key() >= 2
    assert Paths(log._paths.home).kek.read_bytes() != before
    # The other process has the old key in memory: it reads, and what it stores is wrapped anew.
    late = other.append(make_event(subject="person-3", private={"prompt": "a blue boat"}))
    assert [log.private(index) for index in (0, 1)] == [{"prompt": "a red apple"}] * 2
    assert log.private(late.index) == other.private(late.index) == {"prompt": "a blue boat"}
    assert log.custody.erase("person-2", by=("ada", "max"), reason="asked").public["count"] == 1
    home = log._paths.home
    log.close()
    other.close()
    assert verify_log(home).problems == ()
    with open_log() as again:
        assert again.private(0) == {"prompt": "a red apple"}
        # The old key opens nothing any more.
        assert again._ledger.vault.rotate() >= 2
    assert verify_log(home).problems == ()


@pytest.mark.usefixtures("sqlite_only")
def test_an_encryption_rotation_that_was_cut_short(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, paths = open_log(), Paths(tmp_path)
    log.append(make_event())
    with monkeypatch.context() as patched:
        patched.setattr(
            "chopmark.audit.log.wrapping.Wrapping.finish", lambda _self: None, raising=True
        )
        log.upkeep.rotate_encryption_key()
    assert (paths.kek.parent / "kek.next").is_file()
    log.close()
    assert verify_log(tmp_path).problems == ()
    with open_log() as again:
        again.append(make_event(subject="person-9"))
        assert again.private(0) == {"prompt": "a red apple"}
        again.upkeep.rotate_encryption_key()
    assert not (paths.kek.parent / "kek.next").exists()
    assert verify_log(tmp_path).problems == ()


def lost(home: Path, make_event: MakeEvent, tmp_path: Path, *, rotate: bool) -> str:
    """Lose two entries: the log's folder comes back from a backup; return a lost record's id."""
    with AuditLog.open(home) as log:
        log.append(make_event(subject="erased"))
        log.append(make_event(subject="person-1"))
    backup = shutil.copytree(home / "audit", tmp_path / "backup")
    with AuditLog.open(home) as log:
        log.custody.erase("erased", by=("ada", "max"), reason="asked")
        if rotate:
            log.upkeep.rotate_signing_key()
        late = log.append(make_event()).record_id
    shutil.rmtree(home / "audit")
    shutil.copytree(backup, home / "audit")
    return late


@pytest.mark.parametrize("rotate", [False, True])
def test_a_backup_is_taken_into_use(make_event: MakeEvent, tmp_path: Path, *, rotate: bool) -> None:
    home = tmp_path / "home"
    late = lost(home, make_event, tmp_path, rotate=rotate)
    old = Paths(home).public_key.read_text().strip()
    assert not verify_log(home).ok
    with pytest.raises(LogCorrupt, match="audit restore"):
        raise_with_hint(home)
    with pytest.raises(NotPermitted):
        restore_log(home, by=("ada", "ada"), reason="disk")
    record = restore_log(home, by=("ada", "max"), reason="disk", expected=[late])
    assert record.public["lost"] == record.public["signed_size"] - 2  # type: ignore[operator]
    assert record.public["records"] == [late]
    assert verify_log(home, expected=[late]).problems == ()
    with AuditLog.open(home) as log:
        assert log.private(0) is None  # who was erased since is erased again
        assert log.private(1) == {"prompt": "a red apple"}
        assert log.public_key != old
        log.append(make_event())
    # The old key signs no second history: whoever trusts it alone is told the new one by people.
    found = verify_log(home, public_key=old).problems
    assert {problem.what for problem in found} == {"checkpoint_refused"}
    with pytest.raises(InvalidRequest, match="nothing is lost"):
        restore_log(home, by=("ada", "max"), reason="again")


def raise_with_hint(home: Path) -> None:
    try:
        AuditLog.open(home)
    except LogCorrupt as error:
        raise LogCorrupt(f"{error.message} {error.hint}") from None


def test_a_checkpoint_of_the_lost_part_stays_proof(make_event: MakeEvent, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with AuditLog.open(home) as log:
        log.append(make_event())
    lost(home, make_event, tmp_path, rotate=False)
    kept = (home / "keys" / "log" / "signed").read_text()
    restore_log(home, by=("ada", "max"), reason="disk")
    assert not verify_log(home, kept=[kept]).ok


@pytest.mark.parametrize("harm", ["cut", "rewritten", "no_marks"])
def test_what_is_no_backup_is_not_taken_into_use(
    make_event: MakeEvent, tmp_path: Path, harm: str
) -> None:
    from tests.unit.audit.test_log_attacks import connect

    home = tmp_path / "home"
    lost(home, make_event, tmp_path, rotate=False)
    connection = connect(home)
    if harm == "cut":
        connection.execute("DELETE FROM entry WHERE idx = 1")
    elif harm == "rewritten":
        connection.execute("UPDATE entry SET tenant = 'evil'")
    else:
        forget_marks(home)
    connection.close()
    with pytest.raises(InvalidRequest if harm == "no_marks" else LogCorrupt):
        restore_log(home, by=("ada", "max"), reason="disk")
