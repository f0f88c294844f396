"""A log is attacked in ten ways, and each is noticed: the table of docs/audit.md, row by row."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chopmark.audit import AuditLog, Event, verify_log
from chopmark.audit.log.leaf import pack_leaf, parse_leaf, tree_leaf
from chopmark.audit.log.merkle import Frontier, leaf_hash
from chopmark.audit.log.paths import Paths
from chopmark.audit.log.tiles import TILE_WIDTH, fold
from chopmark.audit.proof.note import NoteSigner
from chopmark.errors import LogCorrupt
from chopmark.kit.ids import new_record_id
from tests.support.logs import forget_marks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Attack = Callable[[Path], None]

ENTRIES = 300  # one full tile, and some


def fill(log: AuditLog, count: int, *, tenant: str = "acme") -> None:
    """Book policies, which need no end."""
    jobs = [
        log.submit(
            Event(
                kind="policy.changed",
                record_id=new_record_id(),
                tenant=tenant,
                subject="somebody",
                public={"what": "policy", "now": f"digest {number}"},
                private={"by": "ada"},
            )
        )
        for number in range(count)
    ]
    for job in jobs:
        job.result(30)


def policy_by(tenant: str) -> Event:
    """Make an event that has a subject of the log's own."""
    members: dict[str, Any] = {"record_id": new_record_id(), "tenant": tenant}
    return Event(kind="policy.changed", private={"by": "ada"}, **members)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a log, three checkpoints and a folder of manifests."""
    home = tmp_path_factory.mktemp("attacked")
    (home / "manifests").mkdir()
    mark = home.with_name("elsewhere") / "mark"
    for count in (100, 100, 100):
        with AuditLog.open(home, mark=mark) as log:
            fill(log, count)
    assert verify_log(home, mark=mark).problems == ()
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def elsewhere(made: Path, tmp_path: Path) -> Path:
    """What the deployer keeps on another machine; no attacker reaches it."""
    shutil.copy(made.with_name("elsewhere") / "mark", tmp_path / "mark")
    return tmp_path / "mark"


def found(home: Path, **options: Any) -> set[str]:
    return {problem.what for problem in verify_log(home, **options).problems}


def connect(home: Path) -> apsw.Connection:
    connection = apsw.Connection(str(Paths(home).log))
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def rewrite_rows(home: Path) -> None:
    """Change what an entry says, with its column."""
    connection = connect(home)
    ((leaf,),) = connection.execute("SELECT leaf FROM entry WHERE idx = 17")
    members = parse_leaf(leaf)
    commitment = bytes.fromhex(members["commitment"])
    forged = pack_leaf(members | {"tenant": "evil"}, commitment=commitment)
    connection.execute("UPDATE entry SET tenant = 'evil', leaf = ? WHERE idx = 17", (forged,))
    connection.close()


def recompute(home: Path) -> None:
    """Make tiles, frontier and state row anew from the entries, as the log would have them."""
    connection = connect(home)
    tree, hashes = Frontier(), []
    for (leaf,) in connection.execute("SELECT leaf FROM entry ORDER BY idx"):
        hashes.append(leaf_hash(tree_leaf(bytes(leaf))))
        tree.append(hashes[-1])
    connection.execute("DELETE FROM tile")
    full = [
        b"".join(hashes[first : first + TILE_WIDTH])
        for first in range(0, len(hashes) - TILE_WIDTH + 1, TILE_WIDTH)
    ]
    for n, data in enumerate(full):
        connection.execute("INSERT INTO tile VALUES (0, ?, ?)", (n, data))
    connection.execute("INSERT INTO tile VALUES (1, 0, ?)", (b"".join(map(fold, full)),))
    origin, epoch, clock = next(connection.execute("SELECT origin, epoch, clock FROM state"))
    text = f"{origin}\n{tree.size}\n{tree.pack().hex()}\n{epoch}\n{clock}\n"
    connection.execute(
        "UPDATE state SET size = ?, frontier = ?, digest = ?",
        (tree.size, tree.pack(), sha256(text.encode()).digest()),
    )
    connection.close()


def drop_checkpoints(home: Path) -> None:
    """Remove the stored checkpoints, and the files of the log's folder that speak of them."""
    connection = connect(home)
    connection.execute("DELETE FROM checkpoint")
    connection.close()
    paths = Paths(home)
    for path in (paths.checkpoint, paths.verified, paths.signed):
        path.unlink(missing_ok=True)


def forge(home: Path) -> None:
    """Rewrite history with everything that lies in the log's folder, except its key."""
    rewrite_rows(home)
    recompute(home)
    drop_checkpoints(home)


def test_1_rows_rewritten(home: Path) -> None:
    rewrite_rows(home)
    assert "root_differs" in found(home)


def test_2_tiles_rewritten(home: Path) -> None:
    connection = connect(home)
    connection.execute("UPDATE tile SET data = zeroblob(length(data))")
    connection.close()
    assert found(home) == {"tile_changed"}
    with pytest.raises(LogCorrupt):
        AuditLog.open(home)


def test_3_rows_tiles_and_state_rewritten(home: Path) -> None:
    rewrite_rows(home)
    recompute(home)
    assert "root_differs" in found(home)
    with pytest.raises(LogCorrupt, match="are not those signed for"):
        AuditLog.open(home)


def test_4_checkpoints_and_files_deleted_too(home: Path) -> None:
    forge(home)
    assert {"root_differs", "mark_missing", "checkpoint_missing"} <= found(home)
    with pytest.raises(LogCorrupt, match="mark among the keys"):
        AuditLog.open(home)


def test_4_where_nothing_that_was_signed_is_left(home: Path, elsewhere: Path) -> None:
    forge(home)
    forget_marks(home)
    assert found(home) == {"never_signed"}
    assert {"root_differs"} <= found(home, mark=elsewhere)
    with pytest.raises(LogCorrupt, match="nothing that it ever signed is left"):
        AuditLog.open(home)


def test_4_checkpoints_deleted_and_nothing_else_changed(home: Path) -> None:
    connection = connect(home)
    connection.execute("DELETE FROM checkpoint")
    connection.close()
    assert found(home) == {"checkpoint_missing"}


@pytest.mark.parametrize(
    "remembers", ["signer/signed", "../keys/log/signed", "../manifests/log-checkpoint"]
)
def test_4_one_place_that_remembers_is_enough(home: Path, remembers: str) -> None:
    kept = (home / "audit" / remembers).read_text()
    forge(home)
    forget_marks(home)
    (home / "audit" / remembers).write_text(kept)
    (home / "audit" / remembers).chmod(0o600)
    assert "root_differs" in found(home)
    with pytest.raises(LogCorrupt):
        AuditLog.open(home)


def test_5_an_older_folder_put_back(home: Path, tmp_path: Path) -> None:
    old = shutil.copytree(home / "audit", tmp_path / "old")
    late = new_record_id()
    with AuditLog.open(home) as log:
        log.append(Event(kind="policy.changed", record_id=late, tenant="acme"))
    shutil.rmtree(home / "audit")
    shutil.copytree(old, home / "audit")
    assert "log_cut" in found(home)
    with pytest.raises(LogCorrupt, match="signed for 301 before"):
        AuditLog.open(home)
    forget_marks(home)
    for name in ("checkpoint", "signer/signed"):
        shutil.copy(old / name, home / "audit" / name)
    assert found(home) == {"mark_missing"}
    assert "record_missing" in found(home, expected=[late])


def test_6_the_signing_key_swapped(home: Path, elsewhere: Path, tmp_path: Path) -> None:
    old = Paths(home).public_key.read_text()
    paths = Paths(home)
    paths.signing_key.write_bytes(new_pem())
    with pytest.raises(LogCorrupt, match="does not name the key that signs"):
        AuditLog.open(home)
    # The key's list too, and everything signed again by the new key.
    signer = NoteSigner("chopmark.local/log", load(paths.signing_key.read_bytes()))
    paths.public_key.write_text(f"{signer.key}\n")
    connection = connect(home)
    for number, size, frontier in list(
        connection.execute("SELECT id, size, frontier FROM checkpoint")
    ):
        note = signer.sign(size, Frontier.unpack(size, frontier).root()).note
        connection.execute("UPDATE checkpoint SET note = ? WHERE id = ?", (note, number))
    connection.close()
    for path in (paths.checkpoint, paths.signed):
        path.write_text(note)
    assert found(home) == {"checkpoint_refused"}
    with pytest.raises(LogCorrupt, match="does not name the key that signs"):
        AuditLog.open(home)
    paths.public_keys_kept.unlink()
    with pytest.raises(LogCorrupt, match="mark among the keys"):
        AuditLog.open(home)
    forget_marks(home)
    assert found(home, mark=elsewhere) >= {"checkpoint_refused"}
    assert "checkpoint_refused" in found(home, public_key=old)


def test_7_another_folder_rolled_back(home: Path, tmp_path: Path) -> None:
    """Keys and manifests of last week: the log is longer than they know, and goes on."""
    old = shutil.copytree(home / "keys", tmp_path / "keys")
    with AuditLog.open(home) as log:
        fill(log, 3)
    shutil.rmtree(home / "keys")
    shutil.copytree(old, home / "keys")
    assert verify_log(home).problems == ()
    with AuditLog.open(home) as log:
        fill(log, 1)
    # But the data keys of last week are those of a person who was erased since.
    with AuditLog.open(home) as log:
        log.append(policy_by("chopmark"))  # so that the log's own papers have their key already
    vault = shutil.copytree(home / "audit" / "vault", tmp_path / "vault")
    with AuditLog.open(home) as log:
        log.custody.erase("somebody", by=("ada", "max"), reason="asked")
    shutil.rmtree(home / "audit" / "vault")
    shutil.copytree(vault, home / "audit" / "vault")
    assert found(home) == {"key_returned"}
    AuditLog.open(home).close()  # who was erased is erased again
    assert verify_log(home).problems == ()


def test_8_another_logs_receipt(home: Path, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "other") as log:
        fill(log, 2)
        foreign = log.proof.receipt(1)
    with AuditLog.open(home) as log:
        ours = log.proof.public_keys
    assert [problem.what for problem in foreign.verify(ours)] == ["checkpoint_refused"]
    assert found(home, kept=[foreign.checkpoint]) == {"checkpoint_refused"}


def test_9_two_readers_are_shown_two_logs(home: Path, elsewhere: Path, tmp_path: Path) -> None:
    twin = shutil.copytree(home, tmp_path / "twin")
    shown = []
    for each, tenant in ((home, "a"), (twin, "b")):
        with AuditLog.open(each) as log:
            fill(log, 5, tenant=tenant)
            shown.append(log.proof.checkpoint().note)
    assert "root_differs" in found(home, kept=shown)
    assert "root_differs" in found(twin, kept=shown)
    # Both under the eyes of one place that remembers: the second one cannot sign.
    elsewhere.write_text(shown[0])
    with pytest.raises(LogCorrupt, match="mark elsewhere"):
        AuditLog.open(twin, mark=elsewhere)


def test_10_the_signer_is_asked_to_sign_another_tree(home: Path) -> None:
    """The log is open when its file is forged under it: the signer's own memory refuses."""
    with AuditLog.open(home) as log:
        forge_memory = Paths(home).signed.read_text()
        rewrite_rows(home)
        recompute(home)
        connection = connect(home)
        connection.execute("DELETE FROM checkpoint")
        connection.close()
        forget_marks(home)
        Paths(home).signed.write_text(forge_memory)
        with pytest.raises(LogCorrupt, match="the signer refuses"):
            log.proof.checkpoint()
        with pytest.raises(LogCorrupt, match="the signer refuses"):
            log.proof.receipt(3)
    connection = connect(home)
    assert list(connection.execute("SELECT * FROM checkpoint")) == []
    connection.close()


def test_10_a_shorter_tree(home: Path) -> None:
    with AuditLog.open(home) as log:
        connection = connect(home)
        connection.execute("DELETE FROM entry WHERE idx >= 290")
        connection.execute("DELETE FROM content WHERE idx >= 290")
        connection.execute("DELETE FROM checkpoint")
        connection.close()
        recompute(home)
        with pytest.raises(LogCorrupt, match="the signer refuses"):
            log.proof.checkpoint()


def test_a_place_that_cannot_be_looked_at_is_said(home: Path, tmp_path: Path) -> None:
    """A folder stands where the mark should be: neither nothing found nor all well."""
    (tmp_path / "mark").mkdir()
    report = verify_log(home, mark=tmp_path / "mark")
    assert len(report.not_looked_at) == 1
    assert "mark elsewhere" in json.dumps(report.to_dict())


def test_contents_that_nobody_can_open_are_said(home: Path) -> None:
    """Without data keys the proofs hold; no content was compared, and no later walk skips it."""
    paths = Paths(home)
    shutil.rmtree(paths.keys.parent)
    paths.verified.unlink(missing_ok=True)
    report = verify_log(home)
    assert report.ok
    (place,) = report.not_looked_at
    assert place.startswith("data keys: ")
    assert not paths.verified.exists()


def new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load(pem: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
