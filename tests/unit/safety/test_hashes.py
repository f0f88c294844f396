"""Hash lists: exact lookup, exchange formats, what an edit of a picture does to its hashes."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from chopmark.errors import HashListError
from chopmark.kit.fingerprint import MATCH_DISTANCE, distance
from chopmark.safety import ImageGuard, decode_image, draw_test_card, load_policy
from chopmark.safety.hashes.bank import HashBank, HashEntry, read_csv, test_bank
from chopmark.safety.hashes.folder import ListFolder
from chopmark.safety.hashes.formats import detect_format, import_list, write_csv
from chopmark.safety.hashes.index import HammingIndex
from chopmark.safety.hashes.perceptual import hash_picture, phash, trimmed
from tests.support.wait import until

PDQ = "f0" * 32
OTHER = "0f" * 32


@pytest.mark.parametrize("bands", [12, 16])
@pytest.mark.parametrize("reach", [0, 7, 31])
def test_the_index_finds_what_brute_force_finds(bands: int, reach: int) -> None:
    dice = np.random.default_rng(bands * 100 + reach)
    rows = dice.integers(0, 256, (3000, 32), dtype=np.uint8)
    index = HammingIndex.build(rows, bands=bands)
    for _ in range(25):
        bits = np.unpackbits(rows[dice.integers(len(rows))])
        bits[dice.choice(256, int(dice.integers(0, 40)), replace=False)] ^= 1
        query = np.packbits(bits)
        distances = np.bitwise_count(rows ^ query).sum(axis=1)
        found, said = index.search(query, reach)
        assert set(found) == set(np.flatnonzero(distances <= reach))
        assert list(said) == sorted(distances[found])


def test_neighbours_at_every_distance_are_found_exactly_to_31() -> None:
    base = np.zeros(256, np.uint8)
    dice = np.random.default_rng(1)
    rows = []
    for flips in range(40):
        bits = base.copy()
        bits[dice.choice(256, flips, replace=False)] = 1
        rows.append(np.packbits(bits))
    found, distances = HammingIndex.build(np.stack(rows)).search(np.packbits(base))
    assert list(found) == list(range(32))
    assert list(distances) == list(range(32))


def test_an_index_is_mapped_from_its_files(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).integers(0, 256, (500, 32), dtype=np.uint8)
    HammingIndex.build(rows).save(tmp_path / "index")
    opened = HammingIndex.open(tmp_path / "index")
    assert len(opened) == 500
    assert list(opened.search(rows[42])[0]) == [42]
    (tmp_path / "index" / "order.npy").write_bytes(b"no array")
    with pytest.raises(HashListError, match="cannot be read"):
        HammingIndex.open(tmp_path / "index")


def _edit(name: str) -> Image.Image:
    card = draw_test_card()
    if name == "jpeg":
        held = io.BytesIO()
        card.save(held, "JPEG", quality=40)
        return decode_image(held.getvalue())
    if name == "mirrored":
        return ImageOps.mirror(card)
    if name == "turned":
        return card.transpose(Image.Transpose.ROTATE_90)
    if name == "smaller":
        return card.resize((256, 256))
    if name == "bordered":
        return ImageOps.expand(card, border=40, fill=(255, 255, 255))
    return card.crop((6, 6, 506, 506))


@pytest.mark.parametrize("name", ["jpeg", "mirrored", "turned", "smaller", "bordered", "cropped"])
def test_an_edited_test_card_is_still_blocked(name: str) -> None:
    bank = test_bank()
    matches = bank.match(hash_picture(_edit(name)))
    assert matches
    assert matches[0].entry.reference == "test card"


@pytest.mark.parametrize("turn", list(Image.Transpose), ids=lambda turn: turn.name.lower())
def test_a_turned_picture_of_fine_texture_is_found_though_derived_hashes_miss_it(
    turn: Image.Transpose,
) -> None:
    from benchmarks.turned_pictures import derived

    cells = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((512, 512), Image.Resampling.BICUBIC)
    listed = hash_picture(picture).pdq[0].tobytes().hex()
    bank = HashBank(name="ours", entries=(HashEntry(kind="pdq", value=listed),))
    held = io.BytesIO()
    picture.transpose(turn).save(held, "JPEG", quality=75)
    copy = decode_image(held.getvalue())
    (match,) = bank.match(hash_picture(copy))
    assert match.distance <= 8
    if turn is not Image.Transpose.TRANSPOSE:  # which a spectrum gives exactly
        assert min(distance(one, listed) for one in derived(copy)) > MATCH_DISTANCE


def test_another_picture_is_not_on_the_list() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert test_bank().match(hash_picture(Image.fromarray(noise))) == ()


def test_an_even_picture_matches_nothing() -> None:
    flat = hash_picture(Image.new("RGB", (128, 128), (90, 90, 90)))
    everything = HashBank(
        name="all",
        entries=tuple(
            HashEntry(kind="pdq", value=row.tobytes().hex()) for row in np.unique(flat.pdq, axis=0)
        ),
    )
    assert everything.match(flat) == ()  # no detail: its hash says nothing


def test_borders_are_taken_off_and_pictures_left_alone() -> None:
    card = draw_test_card()
    inner = trimmed(np.asarray(ImageOps.expand(card, border=30, fill=(0, 0, 0))))
    assert inner is not None
    assert inner.shape[1::-1] == card.size
    noise = np.random.default_rng(6).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert trimmed(noise) is None


def test_the_eight_orientations_have_one_set_of_phashes() -> None:
    card = draw_test_card()
    turned = card.transpose(Image.Transpose.ROTATE_180)
    assert min(int(np.bitwise_count(a ^ phash(turned)[0])) for a in phash(card)) <= 2


def test_csv_round_trip_and_a_disabled_bank(tmp_path: Path) -> None:
    bank = HashBank(
        name="ours",
        source="a test",
        entries=(
            HashEntry(kind="pdq", value=PDQ, category="sexual", reference="case 1"),
            HashEntry(kind="phash", value="00ff" * 4),
        ),
    )
    write_csv(bank, tmp_path / "ours.csv")
    assert read_csv(tmp_path / "ours.csv").entries == bank.entries
    picture = hash_picture(draw_test_card())
    closed = HashBank(name="off", entries=test_bank().entries, enabled=False)
    assert closed.match(picture) == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pdq,xyz", ":2: 'xyz' is no pdq"),
        ("md5,00", "no hash of the kind 'md5'"),
        ("pdq", "a kind and a hash"),
        (f"pdq,{PDQ},sexual/minor", "unknown category"),
        (f"pdq,{PDQ},No Category", "no category.s name"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"pdq,{PDQ}\n{line}\n", "utf-8")
    with pytest.raises(HashListError, match=said):
        read_csv(path)


THREATEXCHANGE = {
    "data": [
        {"id": "11", "indicator": PDQ, "type": "HASH_PDQ", "should_delete": False},
        {"id": "12", "indicator": OTHER, "type": "HASH_PDQ", "should_delete": True},
        {"id": "13", "indicator": "0" * 32, "type": "HASH_MD5"},
    ],
    "paging": {"next": "https://example.invalid/next"},
}
STOPNCII = {
    "hashRecords": [
        {"hashValue": PDQ, "hashStatus": "Active", "signalType": "ImagePDQ"},
        {"hashValue": OTHER, "hashStatus": "Withdrawn", "signalType": "ImagePDQ"},
        {"hashValue": "0" * 32, "hashStatus": "Active", "signalType": "VideoMD5"},
    ],
    "nextPageToken": "token",
}
NCMEC = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">
  <images count="1">
    <image>
      <member id="42">Example Member</member><id>image1</id><classification>A1</classification>
      <fingerprints><md5>{"0" * 32}</md5><pdna>0,1,2</pdna><pdq>{PDQ}</pdq></fingerprints>
    </image>
  </images>
  <deletedImages count="1">
    <deletedImage><member id="42">E</member><id>image9</id></deletedImage>
  </deletedImages>
  <paging><next>/v2/entries?start=2001</next></paging>
</queryResult>"""


@pytest.mark.parametrize(
    ("kind", "content", "category", "next_page"),
    [
        ("threatexchange", json.dumps(THREATEXCHANGE), "listed", "https://example.invalid/next"),
        ("stopncii", json.dumps(STOPNCII), "sexual", "token"),
        ("ncmec", NCMEC, "sexual/minors", "/v2/entries?start=2001"),
    ],
)
def test_exchange_formats(
    tmp_path: Path, kind: str, content: str, category: str, next_page: str
) -> None:
    path = tmp_path / "list"
    path.write_text(content, "utf-8")
    assert detect_format(content.encode()) == kind
    got = import_list(path)
    assert [(entry.value, entry.category) for entry in got.bank.entries] == [(PDQ, category)]
    assert got.next_page == next_page
    assert len(got.retracted) == 1
    assert got.skipped
    assert sum(got.skipped.values()) >= 1


def test_a_retraction_takes_the_entry_out(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    old = HashBank(
        name="list",
        entries=(
            HashEntry(kind="pdq", value=OTHER, reference="12"),
            HashEntry(kind="pdq", value="aa" * 32, reference="10"),
        ),
    )
    path.write_text(json.dumps(THREATEXCHANGE), "utf-8")
    new = import_list(path).applied_to(old)
    assert {entry.reference for entry in new.entries} == {"10", "11"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"{",
        b"[1, 2]",
        b'{"data": 3}',
        b'{"data": [{"type": 1}]}',
        b'{"hashRecords": [{}]}',
        b"<a/>",
        b"<queryResult",
        b'<!DOCTYPE x [<!ENTITY a "b">]><queryResult>&a;</queryResult>',
        b"pdq,\xff\xfe",
        b'pdq,"unclosed',
        b"[" * 100_000,
    ],
)
def test_foreign_bytes_raise_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    with pytest.raises(HashListError):
        import_list(path)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_no_bytes_leak_another_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "list"
    path.write_bytes(data)
    with contextlib.suppress(HashListError):
        import_list(path)


def test_a_deployers_list_is_looked_up_and_a_broken_one_is_never_skipped(tmp_path: Path) -> None:
    picture = Image.fromarray(
        np.random.default_rng(8).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    ).resize((256, 256))
    value = hash_picture(picture).pdq[0].tobytes().hex()
    (tmp_path / "ncii.csv").write_text(f"pdq,{value},sexual,case 7\n", "utf-8")
    verdict = ImageGuard.load(hash_lists=tmp_path).judge(picture, load_policy("default"))
    assert verdict.action == "block"
    assert "sexual" in verdict.categories
    (tmp_path / "broken.csv").write_text("pdq,zz\n", "utf-8")
    with pytest.raises(HashListError, match=r"broken\.csv:1"):
        ImageGuard.load(hash_lists=tmp_path)


def test_a_changed_list_is_soon_in_force(tmp_path: Path) -> None:
    lists = ListFolder(tmp_path)
    assert [bank.name for bank in lists.banks()] == ["chopmark-test"]
    bank = HashBank(name="new", entries=(HashEntry(kind="pdq", value=PDQ),))
    write_csv(bank, tmp_path / "new.csv")
    until(lambda: [b.name for b in lists.banks()] == ["chopmark-test", "new"])
    (tmp_path / "new.csv").write_text("pdq,broken\n", "utf-8")

    def refused() -> bool:
        try:
            lists.banks()
        except HashListError:
            return True
        return False

    until(refused)
    (tmp_path / "new.csv").unlink()
    until(lambda: not refused() and len(lists.banks()) == 1)
