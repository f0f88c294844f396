"""Mark keys on disk: made once, private, rotated, refused when damaged."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chopmark.errors import ConfigurationError
from chopmark.provenance.watermark import MarkKey, MarkKeys, load_mark_keys


def test_the_first_use_makes_one_private_key(tmp_path: Path) -> None:
    keys = load_mark_keys(tmp_path)
    (path,) = (tmp_path / "keys" / "watermark").glob("*.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.active.key_id == path.stem
    assert load_mark_keys(tmp_path) == keys


def test_rotation_keeps_the_old_key(tmp_path: Path) -> None:
    old = load_mark_keys(tmp_path)
    new = old.rotate(tmp_path)
    assert new.active != old.active
    assert new.all[1:] == old.all
    assert load_mark_keys(tmp_path) == new


def test_the_secret_is_not_shown() -> None:
    key = MarkKey(key_id="k", secret=b"S" * 32)
    assert "SSS" not in repr(key)
    assert "SSS" not in repr(MarkKeys(all=(key,)))


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, "ü" * 64])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    load_mark_keys(tmp_path)
    (path,) = (tmp_path / "keys" / "watermark").glob("*.key")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"64 hex digits|has 0 bytes"):
        load_mark_keys(tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_mark_keys(tmp_path)
    (path,) = (tmp_path / "keys" / "watermark").glob("*.key")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read it"):
        load_mark_keys(tmp_path)


def test_a_home_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(ConfigurationError):
        load_mark_keys(tmp_path / "file")
