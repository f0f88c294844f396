"""A walk over public files alone: what it finds, and what it cannot look at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event
from chopmark.audit.proof.publish import tile_path
from chopmark.audit.proof.published import walk_published
from chopmark.errors import InvalidRequest, LogUnavailable
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit import LogReport

SIZE = 2 * 256 + 3


def event() -> Event:
    return Event(
        kind="request.received",
        tenant="default",
        record_id=new_record_id(),
        public={"n": 1},
        private={"prompt": "x"},
    )


def published(log: AuditLog, folder: Path) -> dict[str, bytes]:
    log.proof.publish(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditLog]:
    """A log of two full tiles and a part of one; nobody adds to it."""
    with AuditLog.open(tmp_path_factory.mktemp("log") / "home") as opened:
        with ThreadPoolExecutor(32) as threads:  # those that wait together share a commit
            list(threads.map(lambda _: opened.append(event()), range(SIZE)))
        yield opened


@pytest.fixture(scope="module")
def files(log: AuditLog, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return published(log, tmp_path_factory.mktemp("published") / "public")


def walked(log: AuditLog, files: dict[str, bytes], *kept: str) -> LogReport:
    return walk_published(files.get, public_key=log.proof.public_keys, kept=kept)


def found(report: LogReport) -> set[str]:
    return {problem.what for problem in report.problems}


def test_the_whole_log_is_derived_anew(log: AuditLog, files: dict[str, bytes]) -> None:
    report = walked(log, files)
    assert report.ok
    assert (report.size, report.root) == (SIZE, log.root())
    assert report.not_looked_at == ()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (tile_path("entries", 1), {"leaf_changed"}),
        (tile_path(0, 1), {"leaf_changed", "root_differs", "tile_changed"}),
        (tile_path(1, 0, 2), {"tile_changed"}),
        ("checkpoint", {"checkpoint_refused"}),
    ],
)
def test_a_changed_file_is_named(
    log: AuditLog, files: dict[str, bytes], path: str, what: set[str]
) -> None:
    data = bytearray(files[path])
    data[40] ^= 1
    assert found(walked(log, {**files, path: bytes(data)})) == what


def test_a_missing_tile_ends_the_walk_and_is_a_problem(
    log: AuditLog, files: dict[str, bytes]
) -> None:
    without = {path: data for path, data in files.items() if path != tile_path(0, 1)}
    report = walked(log, without)
    assert found(report) == {"tile_missing"}
    assert report.size == 256


def test_entries_that_are_not_published_are_said_not_to_be_looked_at(
    log: AuditLog, files: dict[str, bytes]
) -> None:
    hashes = {path: data for path, data in files.items() if "entries" not in path}
    report = walked(log, hashes)
    assert report.ok
    assert report.root == log.root()
    assert report.not_looked_at == (
        f"entries 0 to {SIZE - 1}: their bytes are not published, only their hashes",
    )


def test_a_kept_checkpoint_must_be_a_part_of_it(
    log: AuditLog, files: dict[str, bytes], tmp_path: Path
) -> None:
    with AuditLog.open(tmp_path / "other") as other:
        other.append(event())
        earlier, before = other.proof.checkpoint().note, published(other, tmp_path / "before")
        other.append(event())
        later, after = other.proof.checkpoint().note, published(other, tmp_path / "after")
        assert walked(other, after, earlier, later).ok
        # A log that is smaller than it was has lost entries.
        assert found(walked(other, before, later)) == {"history_changed"}
    with pytest.raises(InvalidRequest):
        walked(log, files, earlier)


def test_an_empty_folder_is_no_log(log: AuditLog) -> None:
    with pytest.raises(LogUnavailable, match="no checkpoint"):
        walked(log, {})
