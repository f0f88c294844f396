"""A real pipeline for each functional test, and the command line in this process."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark import Pipeline

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pipeline(open_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """The embedded model and everything behind it, over a home of this test's own.

    That policy and keys are new to the home is booked already: what a test finds is its own.
    """
    opened = open_pipeline()
    opened.parts.policies.active()
    opened.parts.announce_keys()
    return opened


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process; returns exit code, stdout and stderr."""
    # The command line puts its own in this place, for good.
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chopmark", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
