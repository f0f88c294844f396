"""The published files, read by a small reader written from the specification."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event, LogCorrupt
from chopmark.audit.proof.publish import tile_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read_log(folder: Path) -> list[bytes]:
    """Read checkpoint, entry bundles and tiles; check all against one another; give the entries."""
    origin, size_text, root, _rest = (folder / "checkpoint").read_text().split("\n", 3)
    assert origin == "chopmark.local/log"
    size, entries = int(size_text), []
    hashes: list[bytes] = []
    for n in range(-(-size // 256)):
        width = min(256, size - n * 256)
        bundle = (folder / tile_path("entries", n, width)).read_bytes()
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        tile = (folder / tile_path(0, n, width)).read_bytes()
        hashes += [tile[i : i + 32] for i in range(0, len(tile), 32)]
    assert hashes == [hashlib.sha256(b"\0" + entry).digest() for entry in entries]
    assert len(entries) == size
    row, level = hashes, 0
    while len(row) >= 256:
        row = [subtree(row[i : i + 256]) for i in range(0, len(row) - 255, 256)]
        level += 1
        for n in range(-(-len(row) // 256)):
            width = min(256, len(row) - n * 256)
            tile = (folder / tile_path(level, n, width)).read_bytes()
            assert tile == b"".join(row[n * 256 : n * 256 + width])
    assert base64.b64decode(root) == subtree(hashes)
    return entries


def subtree(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + subtree(hashes[:k]) + subtree(hashes[k:])).digest()


def append(log: AuditLog, make_event: Callable[..., Event], count: int) -> None:
    for job in [log.submit(make_event(private={}, subject=None)) for _ in range(count)]:
        job.result(30)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_grows_from_partial_to_full_tiles(
    open_log: Callable[..., AuditLog], make_event: Callable[..., Event], tmp_path: Path
) -> None:
    log, folder = open_log(), tmp_path / "public"
    total = 0
    for count in (3, 100, 153, 1, 300, 211):
        append(log, make_event, count)
        total += count
        checkpoint = log.proof.publish(folder)
        assert checkpoint.size == total
        entries = read_log(folder)
        assert json.loads(entries[-1])["event_id"] == log.get(total - 1).event_id
    assert files(folder) == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002",
        "tile/1/000.p/3",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002",
    ]


def test_publishing_again_changes_nothing(
    open_log: Callable[..., AuditLog], make_event: Callable[..., Event], tmp_path: Path
) -> None:
    log, folder = open_log(), tmp_path / "public"
    append(log, make_event, 260)
    log.proof.publish(folder)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    log.proof.publish(folder)
    assert before == {name: (folder / name).read_bytes() for name in files(folder)}


def test_a_folder_of_another_log_is_refused(
    open_log: Callable[..., AuditLog], make_event: Callable[..., Event], tmp_path: Path
) -> None:
    folder = tmp_path / "public"
    log = open_log(tmp_path / "one")
    append(log, make_event, 3)
    log.proof.publish(folder)
    other = open_log(tmp_path / "two")
    append(other, make_event, 5)
    with pytest.raises(LogCorrupt):
        other.proof.publish(folder)


def test_a_folder_that_is_ahead_is_refused(
    open_log: Callable[..., AuditLog], make_event: Callable[..., Event], tmp_path: Path
) -> None:
    folder = tmp_path / "public"
    log = open_log()
    append(log, make_event, 3)
    ahead = log.proof._keys.signer.sign(9, bytes(32))
    folder.mkdir()
    (folder / "checkpoint").write_text(ahead.note)
    with pytest.raises(LogCorrupt, match="published up to 9"):
        log.proof.publish(folder)


@pytest.mark.parametrize(
    ("level", "n", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 999, 5, "tile/1/999.p/5"),
        ("entries", 1000, 256, "tile/entries/x001/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
    ],
)
def test_paths(level: int | str, n: int, width: int, path: str) -> None:
    assert tile_path(level, n, width) == path
