"""What a user can meet is documented: commands, options, routes; and doors say what they hold."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from chopmark.cli import app
from chopmark.errors import ChopmarkError
from chopmark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

DOORS = {
    "chopmark": [
        "EditRequest",
        "GenerationRequest",
        "Pipeline",
        "Refused",
        "Released",
        "SealRequest",
        "Settings",
    ],
    "chopmark.generation": [
        "DiffusersGenerator",
        "Draft",
        "GenerationJob",
        "Generator",
        "LoadOptions",
        "ModelInfo",
        "RemoteGenerator",
        "RemoteOptions",
        "batch_size",
        "load_generator",
    ],
    "chopmark.audit": [
        "Actor",
        "Appeal",
        "AppealState",
        "AuditLog",
        "Checkpoint",
        "Cosignature",
        "Desk",
        "DuplicateRecord",
        "Event",
        "EventKind",
        "Hit",
        "Hold",
        "LogCorrupt",
        "LogReport",
        "LogUnavailable",
        "PersonView",
        "Problem",
        "PromptException",
        "Query",
        "Receipt",
        "Record",
        "RecordNotFound",
        "RetentionClass",
        "Role",
        "Rule",
        "SavedQuery",
        "Stamp",
        "StatementTemplate",
        "Task",
        "View",
        "Witness",
        "WitnessKey",
        "check_export",
        "check_released",
        "check_statement",
        "cosignatures",
        "load_rules",
        "load_witnesses",
        "restore_log",
        "statement_of_reasons",
        "statement_schema",
        "transparency_report",
        "verify_log",
        "volumes",
        "withdrawn_at",
    ],
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_holds_what_it_promises(door: str) -> None:
    module = importlib.import_module(door)
    assert sorted(module.__all__) == DOORS[door]
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize(
    "name",
    [
        "chopmark",
        "chopmark.audit",
        "chopmark.kit.ids",
        "chopmark.provenance.watermark",
        "chopmark.pipeline.request",
        "chopmark.safety",
        "chopmark.settings",
    ],
)
def test_the_examples_in_a_docstring_run(name: str) -> None:
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs=vars(module))
    assert tried
    assert not failed


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_and_option_is_in_the_manual() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for path, command in _commands(typer.main.get_command(app)):
        assert " ".join(path) in text, path
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-") and option != "--help":
                    assert f"`{option}`" in text, (path, option)


def test_every_route_is_in_the_manual() -> None:
    from chopmark import Pipeline
    from chopmark.api import create_app

    text = (DOCS / "http.md").read_text(encoding="utf-8")
    described = create_app(Pipeline.from_settings(Settings())).openapi()
    for path, methods in described["paths"].items():
        shown = re.sub(r"\{\w+\}", "{id}", path)
        for method in methods:
            assert f"`{method.upper()} {shown}`" in text, (method, path)


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            # What is generated as the site is built is there for `mkdocs build --strict` alone.
            if "://" not in target and page.parent.name != "reference":
                assert (page.parent / target).exists(), f"{page.name}: {target}"


#: What the field calls otherwise: log and record, role, report and notify.
HOUSE_WORDS = re.compile(
    r"\b(?:un)?book(?:s|ed|ing)?\b|\bseat(?:s|ed)?\b|\b(?:un)?told\b|\b(?:is|are|was|were) said\b",
    re.IGNORECASE,
)


def _read_by_people() -> Iterator[tuple[str, str]]:
    """Yield what people read: pages, templates, help texts, descriptions of settings and routes."""
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"]:
        text = re.sub(r"^ *<!--.*?-->$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        yield page.name, re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    for page in (ROOT / "src/chopmark/web/templates").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        yield page.name, re.sub(r"\{[%{#].*?[%}#]\}", "", text, flags=re.DOTALL)
    for path, command in _commands(typer.main.get_command(app)):
        yield " ".join(path), f"{command.help} {[each.help for each in command.params]}"
    for name, field in Settings.model_fields.items():
        yield name, field.description or ""
    for sub in _errors(ChopmarkError):
        yield sub.code, f"{sub.__doc__}"


def _errors(cls: type[ChopmarkError]) -> Iterator[type[ChopmarkError]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _errors(sub)


def test_what_people_read_uses_the_words_of_the_field() -> None:
    assert HOUSE_WORDS.search("it was booked, and somebody was told")
    found = [
        f"{place}: ...{text[max(0, hit.start() - 40) : hit.end() + 20]!r}"
        for place, text in _read_by_people()
        for hit in HOUSE_WORDS.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_nothing_is_misspelt() -> None:
    # Which files, and which words are right all the same: [tool.codespell] in pyproject.toml.
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "README.md", "docs", "src/chopmark/web/templates"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["audit.md", "security.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= 10
    for path, name in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), name
