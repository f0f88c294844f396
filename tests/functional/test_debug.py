"""Whoever debugs sees why: `chopmark --debug`, and what an error says without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KEY = "cm_0123456789ab_" + "aB3_-" * 8 + "xyz"
# The command line in a process of its own, with a step that breaks as a library would break it.
BROKEN = f"""
import chopmark.provenance
def broken(*arguments):
    raise RuntimeError("the planted cause, sent with {KEY}") from OSError("below it")
chopmark.provenance.write_xmp = broken
from chopmark.cli import main
main()
"""


def generate(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-c", BROKEN, *options,
            "generate", "a red apple", "--steps", "2", "--seed", "7", "--json",
        ],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_shows_a_planted_failure_with_every_cause(tmp_path: Path, way: str) -> None:
    if way == "option":
        done = generate(tmp_path, "--debug")
    else:
        done = generate(tmp_path, CHOPMARK_DEBUG="1")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "signing_failed"
    told = done.stderr
    assert "RuntimeError: the planted cause, sent with [redacted]" in told
    assert "OSError: below it" in told
    assert "The above exception was the direct cause" in told
    assert ", in broken\n" in told
    assert "ERROR   chopmark.pipeline.steps: sign failed" in told
    assert KEY not in told + done.stdout
    # Each room says what it decided on the way.
    for room in (
        "audit",
        "generation",
        "pipeline.opened_once",
        "pipeline.policy_book",
        "provenance",
    ):
        assert f" chopmark.{room}" in told, room


def test_without_debug_an_error_says_how_to_see_its_cause(tmp_path: Path) -> None:
    done = generate(tmp_path)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "sign failed: RuntimeError"
    assert error["hint"] == "nothing left the system; `chopmark --debug ...` shows the cause"
    assert "Traceback" not in done.stderr
    assert "planted" not in done.stderr


def test_a_mistake_of_the_callers_needs_no_debugging(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chopmark", "generate", "a red apple", "--steps", "151", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["error"] == {
        "code": "invalid_request",
        "message": "steps is 151, not in 1..150",
        "hint": "",
    }
