"""Each failure that ``chopmark doctor`` finds comes with a command that there is."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest
import typer.main

from chopmark import doctor
from chopmark.cli import app
from chopmark.doctor import Diagnosis, fix_for
from chopmark.errors import ConfigurationError
from chopmark.settings import Settings

PARTS = re.findall(
    r'^        \("([\w ]+)", _\w+\),$', inspect.getsource(doctor.diagnose), re.MULTILINE
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("model", ["embedded", "hf:org/name"])
def test_every_part_has_a_command_that_there_is(part: str, model: str) -> None:
    words = shlex.split(fix_for(part, Settings(model=model, policy="a file.yaml")))
    words = [word for word in words if "=" not in word or not word.isupper()]
    if words[0] != "chopmark" and "chopmark" in words and "pip" not in words:
        words = words[words.index("chopmark") :]
    if "pip" in words:
        assert words[-1] == "chopmark"
        return
    assert words[0] == "chopmark"
    group = typer.main.get_command(app)
    for word in (word for word in words[1:] if not word.startswith("--")):
        commands = getattr(group, "commands", None)
        if commands is None:
            break  # an argument of the command
        assert word in commands, words
        group = commands[word]


def test_there_are_parts() -> None:
    assert len(PARTS) == 13


@pytest.mark.parametrize(
    ("hint", "fix"),
    [
        ("wait, or set the clock right", "chopmark keys init"),
        ("renew it; `chopmark keys rotate` takes a new one", "chopmark keys rotate"),
        ("chmod 600 /home/x/key", "chmod 600 /home/x/key"),
        ("pip install --force-reinstall 'chopmark[ocr]', or X=never",
         "pip install --force-reinstall 'chopmark[ocr]'"),
        ("`Report` is a class", "chopmark keys init"),
    ],
)  # fmt: skip
def test_a_command_in_the_hint_wins(hint: str, fix: str) -> None:
    assert fix_for("signing", Settings(), hint) == fix


def test_a_part_that_fails_says_what_to_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> str:
        raise ConfigurationError("the policy is no YAML")

    for name in [name for name in vars(doctor) if name.startswith("_") and name != "_policy"]:
        if inspect.isfunction(vars(doctor)[name]):
            monkeypatch.setattr(doctor, name, lambda _: "fine")
    monkeypatch.setattr(doctor, "_policy", broken)
    found = [one for one in doctor.diagnose(settings) if not one.ok]
    assert found == [
        Diagnosis(
            part="policy",
            ok=False,
            detail="configuration_error: the policy is no YAML",
            fix="chopmark policy check default",
        )
    ]
