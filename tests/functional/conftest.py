"""One real pipeline for all functional tests: embedded model, real guards, keys and log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark import Pipeline, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    from chopmark.provenance import DevelopmentCredentialWarning

    home = tmp_path_factory.mktemp("shared") / "home"
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        with pytest.warns(DevelopmentCredentialWarning):
            _ = pipeline.rooms.credential
        pipeline.rooms.open_all()
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline: Pipeline) -> Iterator[Pipeline]:
    """The shared pipeline; whatever a test puts in place of a part is taken out again."""
    rooms, settings = dict(shared_pipeline.rooms.__dict__), shared_pipeline.settings
    yield shared_pipeline
    shared_pipeline.rooms.__dict__.clear()
    shared_pipeline.rooms.__dict__.update(rooms)
    shared_pipeline.settings = settings
