"""``chopmark init`` and ``chopmark settings show`` as a newcomer meets them."""

from __future__ import annotations

import io
import json
import stat
from typing import TYPE_CHECKING

import pytest

from chopmark.service.registry import staying
from chopmark.settings import load_settings
from chopmark.tenancy import People

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
FLAGS = ("--policy", "strict", "--person", "ada", "--no-model", "--json")


def test_it_makes_file_keys_person_and_policy_once(run: Run, home: Path) -> None:
    code, out, err = run("init", *FLAGS)
    assert code == 0, err
    done = json.loads(out)
    assert done["written"] is True
    assert done["policy"]["name"] == "strict"
    assert done["person"]["made"] is True
    assert "sign-in?link=" in done["person"]["link"]
    file = home / "chopmark.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_settings().policy == "strict"
    # What stays in the home stands in the registry of exits.
    made = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    assert [name for name in made if staying(name) is None] == []
    before = file.read_bytes()

    code, out, err = run("init", *FLAGS)
    assert code == 0, err
    again = json.loads(out)
    assert again["written"] is False
    assert again["keys"] == done["keys"]
    assert (again["person"]["made"], again["person"]["link"]) == (False, None)
    assert file.read_bytes() == before
    with People.open(home) as people:
        assert [one.name for one in people.everybody()] == ["ada"]


def test_it_asks_nothing_where_nobody_answers(run: Run, home: Path) -> None:
    code, out, _ = run("init", "--no-model", "--yes")
    assert code == 0
    assert "chopmark generate" in out
    # Nothing differs from how it comes, and the file says so by being empty of settings.
    assert load_settings().policy == "default"
    with People.open(home) as people:
        assert people.everybody() == []


def test_a_file_that_says_otherwise_is_not_overwritten(run: Run, home: Path) -> None:
    run("init", *FLAGS)
    before = (home / "chopmark.toml").read_bytes()
    code, out, _ = run("init", "--policy", "strict", "--public-url", "https://x.example",
                       "--no-model", "--json")  # fmt: skip
    assert code == 1
    error = json.loads(out)["error"]
    assert "public_url" in error["message"]
    assert 'public_url = "https://x.example"' in error["hint"]
    assert (home / "chopmark.toml").read_bytes() == before


def test_back_to_how_it_comes_is_a_change_as_well(run: Run) -> None:
    run("init", *FLAGS)
    code, out, _ = run("init", "--policy", "default", "--no-model", "--json")
    assert code == 1
    assert "policy" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--policy", "no-such"), "no-such"),
        (("--signing-cert", "/no/such.pem", "--signing-key", "/no/key.pem"), "such.pem"),
        (("--config", "/no/such/folder/chopmark.toml"), "/no/such/folder"),
    ],
)
def test_what_cannot_be_used_is_one_error_and_no_file(
    run: Run, home: Path, flags: tuple[str, ...], says: str
) -> None:
    code, out, _ = run("init", *flags, "--no-model", "--json")
    assert code == 1
    assert says in json.dumps(json.loads(out)["error"])
    assert not (home / "chopmark.toml").exists()


def test_another_place_is_told_as_a_command(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "etc" / "chopmark.toml"
    file.parent.mkdir()
    code, out, _ = run("init", "--config", file, "--home", tmp_path / "state", "--no-model", "-y")
    assert code == 0
    assert f"export CHOPMARK_CONFIG={file}" in out
    assert f'home = "{tmp_path / "state"}"' in file.read_text()


def test_settings_show_names_the_sources(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init", *FLAGS)
    monkeypatch.setenv("CHOPMARK_PORT", "8001")
    code, out, _ = run("settings", "show", "--changed", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["file"] == str(home / "chopmark.toml")
    assert set(told["settings"]) == {"home", "policy", "port"}
    assert told["settings"]["policy"]["source"] == "file"
    code, out, _ = run("settings", "show", "policy", "CHOPMARK_PORT")
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["policy", "strict", "file"], ["port", "8001", "environment"],
    ]  # fmt: skip
    code, _, err = run("settings", "show", "polcy")
    assert code == 1
    assert "polcy" in err


class Typed(io.StringIO):
    """Answers as a person at a terminal gives them."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_five_things(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("\nstrict\n\n\nada\n"))
    code, out, err = run("init", "--no-model")
    assert code == 0, err
    assert err.count("]:") == 5
    assert str(home) in err
    assert load_settings().policy == "strict"
    assert "person    ada: http" in out
