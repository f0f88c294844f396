"""A signed release is what was signed, to the last byte and file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import release


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, signed."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in ("a.whl", "sbom.cdx.json"):
        (folder / name).write_text(name)
    release.sign(folder, release.signing_key(tmp_path / "key.pem"))
    return folder


@pytest.fixture
def key(folder: Path, tmp_path: Path) -> Path:
    """The public key, as it came another way."""
    return Path(shutil.copy(folder / release.PUBLIC, tmp_path / "trusted.pub"))


def test_it_holds_and_openssl_says_so_too(folder: Path, key: Path) -> None:
    assert release.check(folder, key) == []
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin",
         "-in", folder / release.SUMS, "-sigfile", folder / release.SIGNATURE],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_change_is_named(folder: Path, key: Path, tmp_path: Path) -> None:
    (folder / "a.whl").write_text("other")
    assert release.check(folder, key) == ["a.whl is not the file that was signed"]
    (folder / "a.whl").unlink()
    assert release.check(folder, key) == ["a.whl is missing"]
    (folder / "a.whl").write_text("a.whl")
    (folder / "b.whl").write_text("more")
    assert release.check(folder, key) == ["b.whl is not in SHA256SUMS"]
    (folder / "b.whl").unlink()
    # Signed anew by somebody else, with their key beside it.
    release.sign(folder, release.signing_key(tmp_path / "theirs.pem"))
    assert "is not signed by" in release.check(folder, key)[0]
    (folder / release.SIGNATURE).unlink()
    assert "is missing" in release.check(folder, key)[0]


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    release.signing_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(SystemExit, match="chmod 600"):
        release.signing_key(file)


def test_both_distributions_have_one_version() -> None:
    assert len(release.versions()) == 1
