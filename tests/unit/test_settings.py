from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from chopmark.errors import ConfigurationError
from chopmark.settings import Settings, load_settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_in_its_own_words() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `CHOPMARK_(\w+)` \| .*? \| (.*) \|$", text, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        assert field.description, name
        # The page may go on with the values that it takes, or a pointer to another page.
        first = re.split(r"[.:;(,]", field.description)[0]
        assert rows.get(name.upper(), "").startswith(first), name
    assert len(rows) == len(Settings.model_fields)


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
