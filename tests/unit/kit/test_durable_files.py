"""Files that must be whole or secret: on full disks, after crashes, and made by many at once."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.errors import ChopmarkError, ConfigurationError, HashListError, LogUnavailable
from chopmark.kit import files
from chopmark.kit.files import (
    install_folder,
    make_private_folder,
    random_secret,
    read_private,
    secret_file,
    write_private,
    write_public,
)
from tests.unit.kit.secrets_worker import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER = Path(__file__).with_name("secrets_worker.py")
# The call that gives a secret its name.
FAILS_AT = {name: "replace" if name == "credential" else "link" for name in SECRETS}
EVERY_SECRET = pytest.mark.parametrize("name", SECRETS)


def start(work: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.kit.secrets_worker", work, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=WORKER.parents[3],
    )


def kept(home: Path) -> list[Path]:
    """Return every file but those that are only locked."""
    return [path for path in home.rglob("*") if path.is_file() and path.name != ".lock"]


# Full disks


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Have another process make every secret for the first time where no file may grow."""
    root = tmp_path_factory.mktemp("full")
    output, _ = start("full", root).communicate()
    codes: dict[str, str] = json.loads(output.splitlines()[-1])
    return root, codes


@EVERY_SECRET
def test_a_disk_full_at_first_use_leaves_no_key(
    full: tuple[Path, dict[str, str]], name: str
) -> None:
    root, codes = full
    make, _, expected = SECRETS[name]
    assert codes[name] in expected
    assert kept(root / name) == []
    whole = make(root / name)  # there is room again
    assert len(whole) >= 32
    assert make(root / name) == whole


@EVERY_SECRET
@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
def test_a_call_that_fails_at_first_use_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    make, place, expected = SECRETS[name]
    monkeypatch.setattr(os, call, _no_space if call != "fsync" else _no_space_for_files)
    code = ""
    try:
        make(tmp_path)
    except ChopmarkError as error:
        code = error.code
    left = [path.read_bytes() for path in tmp_path.glob(place)]
    monkeypatch.undo()
    # What is made once is linked and never renamed; the credential is renewed, so renamed.
    assert code in (expected if call in {"fsync", FAILS_AT[name]} else {*expected, ""})
    whole = make(tmp_path)
    if code and call in {"fsync", FAILS_AT[name]}:
        assert left == []
    elif code:  # something that came after the secret failed
        assert left[0] in whole
    assert len(whole) >= 32
    assert make(tmp_path) == whole


@EVERY_SECRET
@pytest.mark.parametrize("part", [0.0, 0.5], ids=["empty", "half"])
def test_a_key_that_is_not_whole_is_refused(tmp_path: Path, name: str, part: float) -> None:
    make, place, expected = SECRETS[name]
    make(tmp_path)
    (path,) = tmp_path.glob(place)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(ChopmarkError) as caught:
            make(tmp_path)
        assert caught.value.code in expected
        assert caught.value.hint
    assert path.read_bytes() == before  # what may be somebody's only copy is not written over
    path.write_bytes(whole)
    make(tmp_path)


@EVERY_SECRET
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    make, place, expected = SECRETS[name]
    make(tmp_path)
    (path,) = tmp_path.glob(place)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for mode in (0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(ChopmarkError, match="others may read it") as caught:
            make(tmp_path)
        assert caught.value.code in expected


# Many at once


def test_processes_that_come_at_once_end_with_the_same_bytes(tmp_path: Path) -> None:
    workers = [start("race", tmp_path) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    assert len(answers[0]) == 5 * len(SECRETS)
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == len(answers[0])


def test_of_many_secrets_the_first_stays(tmp_path: Path) -> None:
    """Each thread has another secret ready before any of them is in place."""
    barrier = threading.Barrier(8)
    given: list[bytes] = []

    def come(number: int) -> None:
        def make() -> bytes:
            barrier.wait()
            return bytes([number]) * 32

        given.append(secret_file(tmp_path / "key", make, length=32))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert set(given) == {(tmp_path / "key").read_bytes()}
    assert kept(tmp_path) == [tmp_path / "key"]


def test_a_secret_that_exists_is_not_made(tmp_path: Path) -> None:
    first = random_secret(tmp_path / "key")

    def never() -> bytes:
        raise AssertionError

    assert secret_file(tmp_path / "key", never) == first
    with pytest.raises(ConfigurationError, match="has 32 bytes, not 16"):
        random_secret(tmp_path / "key", length=16)


# Whole files


WRITERS: dict[str, Callable[[Path, bytes], None]] = {
    "private": write_private,
    "public": write_public,
}


@pytest.mark.parametrize(("writer", "mode"), [("private", 0o600), ("public", 0o644)])
def test_a_file_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, mode: int
) -> None:
    write, path = WRITERS[writer], tmp_path / "deep" / "file"
    write(path, b"old")
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, _no_space)
            with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
                write(path, b"new")
        assert path.read_bytes() == b"old"
        assert kept(tmp_path) == [path]
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode & ~_umask()


def test_the_bytes_are_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that a crash cannot turn round: bytes, name, folder."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")
        fsync(descriptor)

    def renamed(*names: Path) -> None:
        calls.append("name")
        replace(*names)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_private(tmp_path / "file", b"x")
    assert calls == ["bytes", "name", "folder"]


def test_failures_are_of_the_class_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for error in (LogUnavailable, HashListError):
        for use in (
            lambda error: make_private_folder(tmp_path / "file", error=error),
            lambda error: write_private(tmp_path / "file" / "x", b"", error=error),
            lambda error: write_public(tmp_path / "file" / "x", b"", error=error),
            lambda error: random_secret(tmp_path / "file" / "x", error=error),
            lambda error: read_private(tmp_path / "none", error=error),
            lambda error: install_folder(tmp_path / "none", tmp_path / "file", error=error),
        ):
            with pytest.raises(error):
                use(error)


def test_a_private_folder_is_private_all_the_way(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b" / "c")
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    make_private_folder(tmp_path / "a" / "b" / "c")


# Whole folders


def test_a_folder_appears_once_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, folder = tmp_path / "draft", tmp_path / "model"
    _fill(draft, b"new")
    synced: list[Path] = []
    real = files._sync

    def sync(path: Path, flags: int) -> None:
        assert path == tmp_path or not folder.exists()
        synced.append(path)
        real(path, flags)

    monkeypatch.setattr(files, "_sync", sync)
    install_folder(draft, folder)
    assert {path.name for path in synced} == {"draft", "part", "weights", tmp_path.name}
    assert (folder / "part" / "weights").read_bytes() == b"new"


def test_a_folder_that_is_there_stays_or_goes(tmp_path: Path) -> None:
    draft, folder = tmp_path / "draft", tmp_path / "model"
    _fill(folder, b"old")
    _fill(draft, b"new")
    install_folder(draft, folder)
    assert (folder / "part" / "weights").read_bytes() == b"old"
    install_folder(draft, folder, replace=True)
    assert (folder / "part" / "weights").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _fill(folder: Path, data: bytes) -> None:
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "weights").write_bytes(data)


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_space_for_files(descriptor: int) -> None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        _no_space()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
