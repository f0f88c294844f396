"""Runbooks, alerts and dashboard: every command is one, and every metric is told by a server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from chopmark.audit import AuditLog, Event
from chopmark.cli import app
from chopmark.kit.ids import new_record_id
from chopmark.service.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import EventKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
ALERTS = ROOT / "deploy" / "prometheus-alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
# These open every part, make keys or need a network: they have tests of their own.
ELSEWHERE = ("doctor", "keys stamp", "keys rotate", "models list")


def _commands() -> list[list[str]]:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(chopmark [^`]+)`", PAGE)
    return [shlex.split(line)[1:] for line in (*lines, *inline) if line.startswith("chopmark ")]


def _to_run() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_each_command_and_option_is_there(words: list[str]) -> None:
    found: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and hasattr(found, "commands"):
        name = rest.pop(0)
        assert name in found.commands, words
        found = found.commands[name]
    options = {option for parameter in found.params for option in parameter.opts}
    for word in rest:
        assert not word.startswith("-") or word in options, (words, word)
    given = {word for word in rest if word.startswith("-")}
    if words and not hasattr(found, "commands") and given:
        needed = {
            parameter.opts[0]
            for parameter in found.params
            if parameter.required and parameter.opts[0].startswith("-")
        }
        assert needed <= given, words


def test_the_commands_of_a_page_run_one_after_the_other(home: Path) -> None:
    record_id = new_record_id()
    kinds: tuple[EventKind, ...] = ("request.received", "request.completed")
    with AuditLog.open(home) as log:
        for kind in kinds:
            log.append(
                Event(
                    kind=kind,
                    record_id=record_id,
                    tenant="default",
                    subject="default:somebody",
                    public={},
                    private={"prompt": "a red apple"},
                )
            )
        log.proof.checkpoint()
    runner = CliRunner()
    with pytest.warns(UserWarning, match="development certificate"):
        assert runner.invoke(app, ["keys", "init"]).exit_code == 0
    ran = 0
    for words in _to_run():
        if " ".join(words).startswith(ELSEWHERE):
            continue
        result = runner.invoke(app, words)
        assert result.exit_code == 0, (words, result.output, result.exception)
        ran += 1
    assert ran >= 8


def _metrics(open_pipeline: Callable[..., Any]) -> set[str]:
    """Return the names as Prometheus sees them."""
    parts = open_pipeline(lend=()).parts
    metrics = Metrics(parts, {}, repeats=parts.answer_cache)
    metrics.watch_state(lambda: "")
    names: set[str] = set()
    for family in metrics.registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        names |= {family.name + one for one in suffixes.get(family.type, ("",))}
    return names


def _used(text: str) -> set[str]:
    return set(re.findall(r"\bchopmark_[a-z_]+", text))


def test_alerts_and_dashboard_use_metrics_that_are_there(
    open_pipeline: Callable[..., Any],
) -> None:
    names = _metrics(open_pipeline)
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
    used = set().union(*(_used(rule["expr"]) for rule in rules))
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    shown = set().union(*(_used(target["expr"]) for panel in panels for target in panel["targets"]))
    assert used
    assert used - names == set()
    assert shown - names == set()
    # Nothing that a server tells is left out of the dashboard, but the parts of histograms.
    told = {re.sub(r"_(sum|count)$", "_bucket", name) for name in names}
    assert {name for name in told if not name.endswith("_created")} - shown == set()


def test_each_alert_leads_to_a_page_and_a_heading_that_are_there() -> None:
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
    from chopmark.errors import ChopmarkError

    codes = {one.code for one in _every(ChopmarkError)}
    for rule in rules:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        text = (ROOT / path).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in text.splitlines()
            if line.startswith("#")
        }
        assert not anchor or anchor in headings, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        for named in re.findall(r'code=~?"([^"]+)"', rule["expr"]):
            assert set(named.split("|")) <= codes, rule["alert"]


def _every(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(_every(one) for one in kind.__subclasses__()))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus has promtool")
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
