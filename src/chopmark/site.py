"""The site: the HTTP API and the pages behind one address, over one deployment.

>>> from chopmark import Pipeline, Settings
>>> from chopmark.site import create_site
>>> site = create_site(Pipeline.from_settings(Settings()))  # doctest: +SKIP

It stands above both, so that neither needs the other.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.api import app_over
from chopmark.pipeline import Pipeline
from chopmark.pipeline.lost import close_lost
from chopmark.service.checkpoints import checkpointing
from chopmark.service.connection import behind_proxies
from chopmark.service.deployment import Deployment
from chopmark.service.logging import make_logger
from chopmark.service.reconciling import reconciling
from chopmark.service.retention import retaining
from chopmark.service.timestamps import stamping
from chopmark.web import is_page, pages_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from chopmark.generation import Generator
    from chopmark.service.logging import ServerLogger
    from chopmark.settings import Settings
    from chopmark.workers import Engine

__all__ = ["create_site", "running_site", "serving"]

_LOG = logging.getLogger(__name__)


@contextmanager
def running_site(settings: Settings, *, engine: Engine, generator: Generator) -> Iterator[ASGIApp]:
    """Run a site of a cluster for the time of a ``with`` block: its parts, its clocks, and itself.

    Args:
        settings: Of its machine.
        engine: Does the work on the cluster.
        generator: Makes the pictures there.

    Raises:
        ConfigurationError: A part cannot be opened as it is set.
    """
    with Pipeline.from_settings(settings) as pipeline:
        pipeline.parts.use(engine=engine, generator=generator)
        pipeline.parts.open_all()
        if lost := close_lost(pipeline.parts):
            _LOG.warning("closed %d requests that an earlier run left open", len(lost))
        with serving(pipeline) as site:
            yield behind_proxies(site, settings)


@contextmanager
def serving(pipeline: Pipeline) -> Iterator[ASGIApp]:
    """Make the site of an opened pipeline, and run what a server does by the clock.

    Args:
        pipeline: Stays open afterwards.

    Raises:
        ConfigurationError: The files of keys and people, or a setting, cannot be used.
    """
    parts = pipeline.parts
    with stamping(parts), retaining(parts), checkpointing(parts), reconciling(parts):
        yield create_site(pipeline)


def create_site(pipeline: Pipeline, *, logger: ServerLogger | None = None) -> ASGIApp:
    """Return the ASGI application that ``chopmark serve`` runs: the API and the pages.

    Args:
        pipeline: As for :func:`chopmark.api.create_app`.
        logger: Likewise.

    Raises:
        ConfigurationError: The files of keys and people, or a setting, cannot be used.
    """
    deployment, logger = Deployment.open(pipeline), logger or make_logger()
    return _Site(
        api=app_over(deployment, logger=logger), pages=pages_over(deployment, logger=logger)
    )


class _Site:
    """Sends a request to the pages or to the API, by the first part of its path."""

    def __init__(self, *, api: ASGIApp, pages: ASGIApp) -> None:
        self.api = api
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the server's own start and stop go to the API."""
        mine = scope["type"] == "http" and is_page(scope["path"])
        await (self.pages if mine else self.api)(scope, receive, send)
