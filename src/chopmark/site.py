"""The site: the HTTP API and the pages behind one address, over one deployment.

>>> from chopmark import Pipeline, Settings
>>> from chopmark.site import create_site
>>> site = create_site(Pipeline.from_settings(Settings()))  # doctest: +SKIP

It stands above both, so that neither needs the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.api import app_over
from chopmark.service.deployment import Deployment
from chopmark.service.logging import make_logger
from chopmark.web import is_page, pages_over

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from chopmark.pipeline import Pipeline
    from chopmark.service.logging import ServerLogger

__all__ = ["create_site"]


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
