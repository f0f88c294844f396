"""The published log, its notes and its proofs, read by code that others wrote.

Go's ``golang.org/x/mod/sumdb`` comes from Debian (``apt-get install golang-go
golang-golang-x-mod-dev``); sigstore-python and scitt-cose from the package index (``dev`` extra).
Where one of them is not there, its tests say so and are skipped.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event, Receipt
from chopmark.audit.proof.note import open_checkpoint
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable

    Published = tuple[Path, str, list[str], list[Receipt], list[tuple[bytes, ...]]]

SOURCE = Path(__file__).with_name("audit_interop") / "main.go"
GO_PATH = os.environ.get("CHOPMARK_TEST_GOPATH", "/usr/share/gocode")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Publish a log of 700 entries in steps; give folder, key, old checkpoints and receipts."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("public")
    notes = []
    with AuditLog.open(home, origin="example.org/interop") as log:
        for count in (1, 254, 2, 300, 143):
            jobs = [
                log.submit(
                    Event(
                        kind="policy.changed",
                        record_id=new_record_id(),
                        tenant="default",
                        public={"number": number},
                    )
                )
                for number in range(count)
            ]
            for job in jobs:
                job.result(30)
            notes.append(log.proof.publish(folder).note)
        receipts = [log.proof.receipt(index) for index in (0, 1, 254, 255, 256, 511, 512, 699)]
        older = [log.proof.consistency_proof(size) for size in (1, 255, 257, 557, 700)]
        return folder, log.public_key, notes, receipts, older


@pytest.fixture(scope="module")
def go_reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """Build the Go reader; give a function that runs it."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go compiler: apt-get install golang-go golang-golang-x-mod-dev")
    if not (Path(GO_PATH) / "src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("no Go packages: apt-get install golang-golang-x-mod-dev")
    work = tmp_path_factory.mktemp("go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": GO_PATH,
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
    }
    program = work / "reader"
    subprocess.run([go, "build", "-o", str(program), str(SOURCE)], check=True, env=environment)

    def run(key: str, folder: Path, old: Path | None = None) -> tuple[int, str]:
        arguments = [str(program), key, str(folder), *([str(old)] if old else [])]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    return run


def test_go_accepts_notes_tiles_and_proofs(
    published: Published, go_reader: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder, key, notes, _, _ = published
    assert go_reader(key, folder) == (0, "accepted 700 entries, 20 proofs\n")
    for note in notes:
        old = tmp_path / "old"
        old.write_text(note)
        assert go_reader(key, folder, old)[0] == 0


def test_go_refuses_what_was_changed(
    published: Published, go_reader: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder, key, _, _, _ = published
    choose = random.Random(3)  # noqa: S311
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert len(names) == 8
    for name in names:
        for turn in range(3):
            copy = tmp_path / f"{name.replace('/', '-')}-{turn}"
            shutil.copytree(folder, copy)
            data = bytearray((copy / name).read_bytes())
            data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
            (copy / name).write_bytes(bytes(data))
            code, said = go_reader(key, copy)
            assert code == 1, (name, said)
            assert said.startswith("refused")
        (copy / name).unlink()
        assert go_reader(key, copy)[0] == 1


def test_go_refuses_another_history_and_another_key(
    published: Published, go_reader: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder, key, _, _, _ = published
    with AuditLog.open(tmp_path / "home", origin="example.org/interop") as log:
        log.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="forged"))
        other_key = log.public_key
    assert go_reader(other_key, folder)[0] == 1
    assert go_reader(key, folder, tmp_path / "home" / "audit" / "checkpoint")[0] == 1


def test_sigstore_python_accepts_our_proofs(published: Published) -> None:
    merkle = pytest.importorskip(
        "sigstore._internal.merkle", reason="sigstore is not installed (dev extra)"
    )
    from sigstore.errors import VerificationError

    for receipt in published[3]:
        checkpoint = open_checkpoint(receipt.checkpoint, None)
        proof = SimpleNamespace(
            log_index=receipt.index,
            tree_size=checkpoint.size,
            hashes=list(receipt.proof),
            root_hash=checkpoint.root,
        )
        inner = SimpleNamespace(canonicalized_body=receipt.leaf, inclusion_proof=proof)
        merkle.verify_merkle_inclusion(SimpleNamespace(_inner=inner))
        inner.canonicalized_body += b" "
        with pytest.raises(VerificationError):
            merkle.verify_merkle_inclusion(SimpleNamespace(_inner=inner))


def test_sigstore_python_reads_our_checkpoint(published: Published) -> None:
    rekor = pytest.importorskip(
        "sigstore._internal.rekor.checkpoint", reason="sigstore is not installed (dev extra)"
    )
    for note in published[2]:
        signed = rekor.SignedCheckpoint.from_text(note)
        checkpoint = open_checkpoint(note, None)
        assert signed.checkpoint.origin == "example.org/interop"
        assert signed.checkpoint.log_size == checkpoint.size
        assert signed.checkpoint.log_hash == checkpoint.root.hex()


def test_scitt_cose_accepts_our_proofs(published: Published) -> None:
    merkle = pytest.importorskip(
        "scitt_cose.merkle", reason="scitt-cose is not installed (dev extra)"
    )
    for receipt in published[3]:
        checkpoint = open_checkpoint(receipt.checkpoint, None)
        path = [item.hex() for item in receipt.proof]
        given = (receipt.index, checkpoint.size, path, checkpoint.root.hex())
        assert merkle.verify_inclusion(receipt.leaf.hex(), *given)
        assert not merkle.verify_inclusion((receipt.leaf + b" ").hex(), *given)


def test_scitt_cose_accepts_our_consistency_proofs(published: Published) -> None:
    merkle = pytest.importorskip(
        "scitt_cose.merkle", reason="scitt-cose is not installed (dev extra)"
    )
    folder, _, notes, _, proofs = published
    last = open_checkpoint((folder / "checkpoint").read_text(), None)
    for note, proof in zip(notes, proofs, strict=True):
        old = open_checkpoint(note, None)
        path = [item.hex() for item in proof]
        roots = (old.root.hex(), last.root.hex())
        assert merkle.verify_consistency(*roots, old.size, last.size, path)
        if path:
            assert not merkle.verify_consistency(*roots, old.size, last.size, path[1:])


def test_pymerkle_gives_the_same_root(published: Published) -> None:
    pymerkle = pytest.importorskip("pymerkle", reason="pymerkle is not installed (dev extra)")
    folder = published[0]
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for bundle in sorted((folder / "tile" / "entries").glob("0*")):
        file = next(bundle.iterdir()) if bundle.is_dir() else bundle
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            tree.append_entry(data[2 : 2 + length])
            data = data[2 + length :]
    last = open_checkpoint((folder / "checkpoint").read_text(), None)
    assert tree.get_size() == last.size
    assert tree.get_root() == last.root
