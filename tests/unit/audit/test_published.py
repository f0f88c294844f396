"""A walk over public files alone: what it finds, and what it cannot look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog
from chopmark.audit.proof.publish import tile_path
from chopmark.audit.proof.published import walk_published
from chopmark.errors import InvalidRequest, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.audit import Event, LogReport

SIZE = 2 * 256 + 3


@pytest.fixture
def log(tmp_path: Path, make_event: Callable[..., Event]) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "log-home") as opened:
        for _ in range(SIZE):
            opened.append(make_event())
        yield opened


@pytest.fixture
def files(log: AuditLog, tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "public"
    log.proof.publish(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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
    log: AuditLog, files: dict[str, bytes], make_event: Callable[..., Event], tmp_path: Path
) -> None:
    earlier = log.proof.checkpoint().note
    assert walked(log, files, earlier).ok
    log.append(make_event())
    later = log.proof.checkpoint().note
    assert found(walked(log, files, later)) == {"history_changed"}
    with AuditLog.open(tmp_path / "other") as other:
        other.append(make_event())
        foreign = other.proof.checkpoint().note
    with pytest.raises(InvalidRequest):
        walked(log, files, foreign)


def test_an_empty_folder_is_no_log(log: AuditLog) -> None:
    with pytest.raises(LogUnavailable, match="no checkpoint"):
        walked(log, {})
