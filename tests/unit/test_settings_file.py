"""``chopmark.toml``: which one counts, what wins over it, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chopmark.errors import ConfigurationError
from chopmark.settings import Settings, load_settings, settings_file, settings_origins


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(name: str = "") -> ConfigurationError:
    with pytest.raises(ConfigurationError, match=name) as caught:
        load_settings()
    return caught.value


def test_the_named_file_counts_then_the_folders_then_the_homes(
    home: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_file() is None
    write(home / "chopmark.toml", "port = 1")
    assert load_settings().port == 1
    write(elsewhere / "chopmark.toml", "port = 2")
    assert load_settings().port == 2
    monkeypatch.setenv("CHOPMARK_CONFIG", str(write(tmp_path / "named.toml", "port = 3")))
    assert load_settings().port == 3


def test_a_home_that_is_given_is_where_its_file_is_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "other" / "chopmark.toml", "port = 4")
    assert load_settings(home=tmp_path / "other").port == 4
    assert load_settings().port == 8000


def test_the_environment_wins_and_an_option_wins_over_both(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / "chopmark.toml", 'port = 1\npolicy = "strict"')
    monkeypatch.setenv("CHOPMARK_PORT", "2")
    assert load_settings().port == 2
    assert load_settings(port=3).port == 3
    assert load_settings().policy == "strict"


def test_an_unknown_key_is_one_error_with_key_file_and_guess(home: Path) -> None:
    path = write(home / "chopmark.toml", "prot = 1")
    error = refused("prot is no setting")
    assert str(path) in error.message
    assert "did you mean port?" in error.hint
    write(path, 'CHOPMARK_POLICY = "strict"')
    assert "did you mean policy?" in refused("CHOPMARK_POLICY").hint
    write(path, "[service]\nport = 1")
    assert "without tables" in refused(r"\[service\]").hint


@pytest.mark.parametrize("text", ["port = ", "port", "port = 1\nport = 2", "\x00"])
def test_what_is_no_toml_is_one_error(home: Path, text: str) -> None:
    path = write(home / "chopmark.toml", text)
    assert str(path) in refused("is not TOML").message


def test_a_wrong_value_names_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home / "chopmark.toml", 'port = "eighty"')
    assert str(path) in refused("port").hint
    monkeypatch.setenv("CHOPMARK_PORT", "ninety")
    assert "CHOPMARK_PORT" in refused("ninety").hint


@pytest.mark.parametrize(
    "line",
    [
        'oidc_client_secret = "s3cret-word"',
        'hma_key = "s3cret-word"',
        'database = "postgresql://me:s3cret-word@host/x"',
    ],
)
def test_a_file_with_a_secret_is_its_owners(home: Path, line: str) -> None:
    path = write(home / "chopmark.toml", line, 0o640)
    error = refused("holds a secret")
    assert error.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert load_settings().home == home
    shown = [one for one in settings_origins(load_settings()) if one.source == "file"]
    assert len(shown) == 1
    assert "s3cret-word" not in repr(shown)


def test_without_a_secret_others_may_read_it_and_nobody_else_write(home: Path) -> None:
    path = write(home / "chopmark.toml", "port = 1", 0o644)
    assert load_settings().port == 1
    path.chmod(0o646)
    assert refused("anybody may change").hint == f"chmod o-w {path}"


def test_a_wrong_secret_is_not_quoted(home: Path) -> None:
    write(home / "chopmark.toml", 'remote_key = ["s3cret-word"]')
    assert "s3cret-word" not in refused("remote_key").explain()


def test_a_named_file_that_is_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_CONFIG", str(tmp_path / "none.toml"))
    assert "chopmark init" in refused("none.toml").hint


def test_a_strangers_file_in_the_working_folder_is_not_read_by_itself(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(elsewhere / "chopmark.toml", "public_verify = true")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(
        Path, "stat", lambda _path, **_: os.stat_result((0o100600, 0, 0, 0, 1234, 0, 0, 0, 0, 0))
    )
    assert "CHOPMARK_CONFIG" in refused("another user").hint


def test_each_setting_says_where_it_comes_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home / "chopmark.toml", 'policy = "strict"\nport = 1')
    monkeypatch.setenv("CHOPMARK_PORT", "2")
    monkeypatch.setenv("CHOPMARK_REMOTE_KEY", "s3cret-word")
    origins = {one.name: one for one in settings_origins(load_settings())}
    assert set(origins) == set(Settings.model_fields)
    assert (origins["policy"].source, origins["policy"].place) == ("file", str(path))
    assert (origins["port"].value, origins["port"].place) == ("2", "CHOPMARK_PORT")
    assert origins["model"].source == "default"
    assert origins["remote_key"].value == "set, not shown"
    assert origins["oidc_client_secret"].value == "unset"
