"""Machines that share a bucket find each other's manifests, and lose nothing while it is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.errors import DatabaseUnavailable
from chopmark.kit.objects import Objects, checked
from chopmark.provenance import ManifestStore, reattach
from chopmark.provenance.reattachment import remove
from chopmark.provenance.shared_store import SharedManifests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.provenance import Signed
    from tests.unit.provenance.conftest import Maker

stores = pytest.importorskip("obstore.store")

OUTPUT = "a3f09c1122334451"


class Away:
    """A bucket whose link can be cut."""

    def __init__(self, objects: Objects) -> None:
        self._objects, self.away = objects, False

    def __getattr__(self, name: str) -> object:
        if self.away and name != "exceptions":
            raise OSError("no route to host")
        return getattr(self._objects, name)


@pytest.fixture
def bucket() -> Away:
    return Away(checked(stores.MemoryStore()))


@pytest.fixture
def machines(tmp_path: Path, bucket: Away) -> Iterator[tuple[SharedManifests, SharedManifests]]:
    made = tuple(
        SharedManifests(ManifestStore.open(tmp_path / name), bucket)  # type: ignore[arg-type]
        for name in ("one", "two")
    )
    yield made  # type: ignore[misc]
    for one in made:
        one.close()


def keep(store: SharedManifests, name: str = "urn:c2pa:1", output: str = OUTPUT) -> None:
    store.put(manifest_id=name, manifest=b"jumbf of " + name.encode(), output_id=output,
              record_id=OUTPUT[:-1] + "0", pdq="0f" * 32, signed_sha256="ab" * 32)  # fmt: skip


def test_another_machine_finds_it_by_id_mark_and_binding(
    machines: tuple[SharedManifests, SharedManifests],
) -> None:
    one, two = machines
    keep(one)
    assert two.get("urn:c2pa:1") == b"jumbf of urn:c2pa:1"
    assert two.by_output(OUTPUT) == one.by_output(OUTPUT) == two.entry("urn:c2pa:1")
    one.bind("alg", "dmFsdWU=", "urn:c2pa:1")
    keep(two, "urn:c2pa:2", "")
    two.bind("alg", "dmFsdWU=", "urn:c2pa:2")
    assert list(one.by_binding("alg", "dmFsdWU=")) == ["urn:c2pa:1", "urn:c2pa:2"]
    two.bind("alg", "dmFsdWU=", "urn:c2pa:2", replace=True)
    assert list(one.by_binding("alg", "dmFsdWU=")) == ["urn:c2pa:2"]
    two.put_update("urn:c2pa:1", "urn:c2pa:stamped", b"stamped")
    found = one.entry("urn:c2pa:1")
    assert found is not None
    assert one.get(found.updated_by) == b"stamped"
    assert [two.get("urn:c2pa:9"), two.entry("urn:c2pa:9"), two.by_output("b" * 16)] == [None] * 3


def test_another_machine_verifies_a_picture_that_lost_its_manifest(
    machines: tuple[SharedManifests, SharedManifests], maker: Maker, made: dict[str, Signed]
) -> None:
    one, two = machines
    signed = made["png"]
    entry = maker.store.entry(signed.manifest_id)
    assert entry is not None
    told = {name: getattr(entry, name) for name in ("output_id", "record_id", "signed_sha256")}
    one.put(manifest_id=signed.manifest_id, manifest=signed.manifest, pdq=entry.pdq, **told)
    bare = remove(signed.data)
    report = maker.verify(bare, store=two)
    assert report.verdict == "made_here"
    assert report.recovered is not None
    assert (report.recovered.by, report.recovered.exact) == ("watermark", "file")
    assert reattach(bare, two, mark_keys=maker.keys.all) == signed.data


def test_what_is_removed_at_one_is_gone_at_all(
    machines: tuple[SharedManifests, SharedManifests],
) -> None:
    one, two = machines
    keep(one)
    assert [match.distance for match in one.by_pdq("0f" * 32)] == [0]
    two.delete("urn:c2pa:1")
    assert (one.get("urn:c2pa:1"), one.entry("urn:c2pa:1"), one.by_output(OUTPUT)) == (None,) * 3
    assert one.by_pdq("0f" * 32) == []


def test_while_the_bucket_is_away_nothing_is_lost_and_nothing_is_said_not_to_be(
    machines: tuple[SharedManifests, SharedManifests], bucket: Away
) -> None:
    one, two = machines
    keep(one, "urn:c2pa:0", "c" * 16)
    bucket.away = True
    keep(one)  # the picture leaves: its manifest is in it, and durable here
    assert one.get("urn:c2pa:1") == b"jumbf of urn:c2pa:1"
    assert one.by_output(OUTPUT) is not None
    for look in (
        lambda: one.get("urn:c2pa:0"),
        lambda: two.by_output(OUTPUT),
        lambda: two.entry("urn:c2pa:1"),
        lambda: two.by_binding("alg", "dmFsdWU="),
        lambda: one.delete("urn:c2pa:0"),
        one.send_unsent,
    ):
        with pytest.raises(DatabaseUnavailable, match="CHOPMARK_OBJECTS"):
            look()
    bucket.away = False
    assert two.by_output(OUTPUT) is None
    assert one.send_unsent() == 1
    assert two.get("urn:c2pa:1") == b"jumbf of urn:c2pa:1"
    assert one.send_unsent() == 0


def test_what_a_home_had_before_goes_to_the_bucket(tmp_path: Path, bucket: Away) -> None:
    before = ManifestStore.open(tmp_path)
    before.put(manifest_id="urn:c2pa:old", manifest=b"old", output_id=OUTPUT)
    before.close()
    store = SharedManifests(ManifestStore.open(tmp_path), bucket)  # type: ignore[arg-type]
    assert store.get("urn:c2pa:old") == b"old"
    keep(store)
    assert store.send_unsent() == 1  # the clock does it; what is new has gone there by itself
    other = SharedManifests(ManifestStore.open(tmp_path / "other"), bucket)  # type: ignore[arg-type]
    assert other.get("urn:c2pa:old") == b"old"
    for one in (store, other):
        one.close()


def test_what_is_not_ours_in_the_bucket_is_an_error(
    machines: tuple[SharedManifests, SharedManifests], bucket: Away
) -> None:
    one, two = machines
    keep(one)
    for path in list(_paths(bucket)):
        bucket.put(path, b"[]")  # type: ignore[operator]
    with pytest.raises(DatabaseUnavailable, match="not ours"):
        two.by_output(OUTPUT)


def _paths(bucket: Away) -> Iterator[str]:
    import obstore

    for chunk in obstore.list(bucket._objects._store):
        for found in chunk:
            yield str(found["path"])
