"""A live server on loopback over the real guards, watermark, signer and log.

Only the generator is the stand-in that draws: these tests are about what goes over the wire. The
same clients against the embedded model stand in tests/functional/test_service_clients.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.generator import StandIn
from tests.support.server import Live, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark import Pipeline


@pytest.fixture
def live_server(open_pipeline: Callable[..., Pipeline]) -> Callable[..., Any]:
    """Returns a factory of running servers, each with settings of its own."""

    @contextmanager
    def start(*, generator: StandIn | None = None, **settings: Any) -> Iterator[Live]:
        pipeline = open_pipeline(generator=generator or StandIn(), **settings)
        with serve(pipeline, shutdown_s=pipeline.settings.shutdown_s) as live:
            yield live

    return start


@pytest.fixture
def forgiving(live_server: Callable[..., Any]) -> Iterator[Live]:
    """A running server for thousands of small requests: no rate, no cool-down, small pictures."""
    small = StandIn(default_size=(256, 256), max_size=256, default_steps=1)
    with live_server(generator=small, requests_per_minute=0, abuse="none", max_outputs=2) as live:
        yield live


@pytest.fixture
def live(live_server: Callable[..., Any]) -> Iterator[Live]:
    with live_server() as live:
        yield live
