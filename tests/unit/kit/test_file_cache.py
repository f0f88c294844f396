from __future__ import annotations

import os
from pathlib import Path

import pytest

from chopmark.kit.file_cache import FileCache


def test_a_file_is_read_once_for_each_of_its_versions(tmp_path: Path) -> None:
    file, read = tmp_path / "a.txt", []

    def text_of(name: str) -> str:
        read.append(name)
        return Path(name).read_text()

    cache = FileCache(text_of)
    file.write_text("one")
    assert [cache.get(str(file)) for _ in range(3)] == ["one"] * 3
    assert len(read) == 1
    file.write_text("another")
    assert cache.get(str(file)) == "another"
    # Replaced by one of the same size and time, as `rsync --times` or a restore does.
    before = file.stat()
    other = tmp_path / "b.txt"
    other.write_text("athird.")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert cache.get(str(file)) == "athird."


def test_what_cannot_be_read_is_not_answered_from_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    cache = FileCache(lambda name: Path(name).read_text())
    assert cache.get(str(file)) == "one"
    file.unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            cache.get(str(file))
    file.write_text("one")
    assert cache.get(str(file)) == "one"


def test_a_name_that_is_no_file_is_read_once() -> None:
    read: list[str] = []

    def name_of(name: str) -> str:
        read.append(name)
        return name

    cache = FileCache(name_of)
    assert cache.get("default") == cache.get("default") == "default"
    assert read == ["default"]
