from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chopmark.errors import ConfigurationError
from chopmark.settings import Settings, load_settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_with_its_default() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert f"`CHOPMARK_{name.upper()}`" in text, name
        assert field.description, name


def test_a_wrong_value_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_PORT", "eighty")
    with pytest.raises(ConfigurationError, match="port") as caught:
        load_settings()
    assert "CHOPMARK_PORT" in caught.value.hint


def test_the_home_is_made_private(settings: Settings) -> None:
    assert stat.S_IMODE(settings.open_home().stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="home"):
        Settings(home=tmp_path / "file" / "below").open_home()


def test_an_override_that_was_not_given_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_MODEL", "hf:somebody/model")
    assert load_settings(model=None).model == "hf:somebody/model"
    assert load_settings(model="embedded").model == "embedded"
