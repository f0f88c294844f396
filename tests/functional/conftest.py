"""One real pipeline for all functional tests, and the command line in this process."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from chopmark import Pipeline, Settings
from chopmark.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    from chopmark.provenance import DevelopmentCredentialWarning

    home = tmp_path_factory.mktemp("shared") / "home"
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        with pytest.warns(DevelopmentCredentialWarning):
            _ = pipeline.parts.credential
        pipeline.parts.open_all()
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline: Pipeline) -> Iterator[Pipeline]:
    """The shared pipeline; whatever a test puts in place of a part is taken out again."""
    parts, settings = dict(shared_pipeline.parts.opened), shared_pipeline.settings
    yield shared_pipeline
    shared_pipeline.parts.opened.clear()
    shared_pipeline.parts.opened.update(parts)
    shared_pipeline.parts.settings = settings


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
