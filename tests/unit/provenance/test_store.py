"""The store keeps what it promised, and finds it by what a picture can still tell."""

from __future__ import annotations

import contextlib
import io
import secrets
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chopmark.errors import (
    ChopmarkError,
    ConfigurationError,
    InvalidRequest,
    ManifestNotFound,
    UnsupportedImage,
)
from chopmark.kit.fingerprint import distance
from chopmark.provenance import ManifestStore, reattach, verify
from chopmark.provenance.reattachment import insert, remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.provenance import Signed
    from tests.unit.provenance import provenance_attacks as attacks
    from tests.unit.provenance.conftest import Maker
else:
    import provenance_attacks as attacks


def test_put_and_get_survive_closing(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    store.put(manifest_id="urn:c2pa:x", manifest=b"abc", output_id="a" * 16, record_id="b" * 16,
              pdq="0f" * 32, signed_sha256="cd" * 32)  # fmt: skip
    store.close()
    again = ManifestStore.open(tmp_path)
    assert again.get("urn:c2pa:x") == b"abc"
    entry = again.by_output("a" * 16)
    assert entry is not None
    assert (entry.manifest_id, entry.record_id, entry.pdq) == ("urn:c2pa:x", "b" * 16, "0f" * 32)
    assert again.by_signed("cd" * 32) == entry
    assert again.entry("urn:c2pa:x") == entry
    assert again.count() == 1
    again.close()


def test_files_are_private(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    store.put(manifest_id="x", manifest=b"abc")
    for path in (tmp_path / "manifests").rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        if path.parent.name == "manifests" or path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    store.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "\0", "x" * 5000, "\ud800", ""])
def test_an_id_is_no_file_name(tmp_path: Path, name: str) -> None:
    store = ManifestStore.open(tmp_path)
    assert store.get(name) is None
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    if "\ud800" not in name:
        store.put(manifest_id=name, manifest=b"abc")
        assert store.get(name) == b"abc"
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(tmp_path / "manifests") for path in after - before)
    store.close()


def test_what_is_not_there(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    assert store.get("x") is None
    assert store.by_output("x") is None
    assert store.by_output("") is None
    assert store.by_pdq("00" * 32) == []
    store.close()


def test_by_pdq_agrees_with_counting_bits(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    rng = np.random.default_rng(1)
    centre = rng.bytes(32)
    hashes = {}
    for index in range(200):
        bits = bytearray(centre)
        for bit in rng.choice(256, int(rng.integers(0, 60)), replace=False).tolist():
            bits[bit // 8] ^= 1 << bit % 8
        hashes[f"m{index}"] = bits.hex()
        store.put(manifest_id=f"m{index}", manifest=b"x", pdq=bits.hex())
    found = store.by_pdq(centre.hex(), max_distance=31)
    expected = sorted(distance(centre.hex(), one) for one in hashes.values())[:10]
    assert [match.distance for match in found] == [far for far in expected if far <= 31]
    for match in found:
        assert match.distance == distance(centre.hex(), hashes[match.entry.manifest_id])
    store.close()


def test_what_another_process_puts_is_found(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    assert store.by_pdq("00" * 32) == []
    code = (
        "import sys, pathlib; from chopmark.provenance import ManifestStore;"
        "s = ManifestStore.open(pathlib.Path(sys.argv[1]));"
        "s.put(manifest_id='theirs', manifest=b'x', pdq='00' * 32); s.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [match.entry.manifest_id for match in store.by_pdq("00" * 32)] == ["theirs"]
    store.close()


def test_replacing_a_manifest_moves_its_fingerprint(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    store.put(manifest_id="m", manifest=b"1", pdq="00" * 32)
    assert store.by_pdq("00" * 32, max_distance=0)
    store.put(manifest_id="m", manifest=b"2", pdq="ff" * 32)
    assert store.get("m") == b"2"
    assert store.by_pdq("00" * 32, max_distance=0) == []
    assert [match.distance for match in store.by_pdq("ff" * 32)] == [0]
    store.close()


def test_a_number_that_is_given_again_leads_to_the_new_manifest(tmp_path: Path) -> None:
    """SQLite gives the newest row's number again once the row is gone; the hashes are in memory."""
    one, two = ManifestStore.open(tmp_path), ManifestStore.open(tmp_path)
    for store in (one, two):
        one.put(manifest_id="first", manifest=b"x", pdq="0f" * 32)
        one.put(manifest_id="gone", manifest=b"x", pdq="00" * 32)
        assert [found.entry.manifest_id for found in store.by_pdq("00" * 32)] == ["gone"]
        one.delete("gone")
        one.put(manifest_id="new", manifest=b"x", pdq="ff" * 32)
        assert store.by_pdq("00" * 32) == []
        assert [found.entry.manifest_id for found in store.by_pdq("ff" * 32)] == ["new"]
        one.delete("new")
        assert store.by_pdq("ff" * 32) == []
        assert [found.entry.manifest_id for found in store.by_pdq("0f" * 32)] == ["first"]
    one.close()
    two.close()


@pytest.mark.parametrize("pdq", ["zz", "0f", "0f" * 33, "x" * 64])
def test_what_is_no_pdq_hash(tmp_path: Path, pdq: str) -> None:
    store = ManifestStore.open(tmp_path)
    with pytest.raises(InvalidRequest):
        store.put(manifest_id="m", manifest=b"1", pdq=pdq)
    with pytest.raises(InvalidRequest):
        store.by_pdq(pdq)
    store.close()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError):
        ManifestStore.open(tmp_path / "file")


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_reattach_gives_back_the_very_file(maker: Maker, made: dict[str, Signed], fmt: str) -> None:
    signed = made[fmt].data
    bare = remove(signed)
    assert maker.look(bare).manifest.state == "absent"
    whole = reattach(bare, maker.store, mark_keys=maker.keys.all)
    assert whole == signed
    assert maker.look(whole).credential.own
    # By fingerprint alone, too.
    assert reattach(bare, maker.store) == signed


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_verify_says_that_the_lost_manifest_fits(
    maker: Maker, made: dict[str, Signed], fmt: str
) -> None:
    report = maker.verify(remove(made[fmt].data))
    assert report.verdict == "made_here"
    assert report.recovered is not None
    assert (report.recovered.exact, report.recovered.confidence) == ("file", "certain")
    assert "byte for byte" in report.summary


def test_reattach_refuses_what_was_changed(
    maker: Maker, made: dict[str, Signed], to_bytes: Callable[..., bytes]
) -> None:
    for attack in (attacks.re_encoded, attacks.cropped, attacks.stripped_metadata):
        with pytest.raises(ManifestNotFound, match="none of the manifests"):
            reattach(attack(made["png"].data), maker.store, mark_keys=maker.keys.all)
    with pytest.raises(UnsupportedImage):
        reattach(to_bytes(Image.new("RGB", (64, 64)), "GIF"), maker.store)


def test_an_avif_file_that_lies_about_its_boxes(made: dict[str, Signed]) -> None:
    """Each cut and each changed byte of the structure is one error of ours, or harmless."""
    whole = made["avif"].data
    bare = remove(whole)
    with Image.open(io.BytesIO(bare)) as one, Image.open(io.BytesIO(whole)) as other:
        assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()
    head = len(bare) - int.from_bytes(bare[bare.index(b"mdat") - 4 :][:4], "big")
    for at in range(head):
        for damaged in (bare[:at], bare[:at] + bytes([bare[at] ^ 0xFF]) + bare[at + 1 :]):
            with contextlib.suppress(ChopmarkError):
                remove(insert(damaged, b"manifest"))


def test_reattach_replaces_a_broken_manifest(maker: Maker, made: dict[str, Signed]) -> None:
    swapped = attacks.swapped_issuer(made["png"].data)
    assert reattach(swapped, maker.store, mark_keys=maker.keys.all) == made["png"].data


@pytest.mark.parametrize("size", [1, 63_999, 64_000, 64_001, 200_003])
@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_insert_and_remove_are_inverse(made: dict[str, Signed], fmt: str, size: int) -> None:
    bare = remove(made[fmt].data)
    body = secrets.token_bytes(size)
    manifest = (size + 8).to_bytes(4, "big") + b"jumb" + body
    assert remove(insert(bare, manifest)) == bare


def test_verify_without_store_recovers_nothing(maker: Maker, made: dict[str, Signed]) -> None:
    report = verify(attacks.re_encoded(made["png"].data), mark_keys=maker.keys.all)
    assert report.recovered is None
    assert report.verdict == "marked_but_altered"
    assert "no log could be asked" in report.summary
