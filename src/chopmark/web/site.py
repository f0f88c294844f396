"""The site: the HTTP API and the pages behind one address, over one service."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from chopmark.api import create_app
from chopmark.audit import load_rules
from chopmark.service.body_limit import BodyLimit
from chopmark.service.envelope import Envelope
from chopmark.service.logging import make_logger
from chopmark.service.problems import install_handlers
from chopmark.web import console, sign_in, studio, verify
from chopmark.web.console.seals import Unsealings
from chopmark.web.console.shift import Shifts
from chopmark.web.csrf import Guard, check_csrf
from chopmark.web.headers import Dressing
from chopmark.web.held_pictures import Shelf
from chopmark.web.viewers import Viewers

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from chopmark.pipeline import Pipeline

__all__ = ["create_site"]

_PAGES: Final = frozenset({"verify", "studio", "console", "sign-in", "sign-out", "static"})


def create_site(pipeline: Pipeline, *, logger: Any = None) -> ASGIApp:
    """Return the ASGI application that ``chopmark serve`` runs: the API and the pages.

    Args:
        pipeline: As for :func:`chopmark.api.create_app`.
        logger: Likewise.

    Raises:
        ConfigurationError: The file of keys and tenants cannot be used.
    """
    logger = logger or make_logger()
    api = create_app(pipeline, logger=logger)
    return _Site(api=api, pages=_pages(api, pipeline, logger))


class _Site:
    """Sends a request to the pages or to the API, by the first part of its path."""

    def __init__(self, *, api: FastAPI, pages: ASGIApp) -> None:
        self.api = api
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the server's own start and stop go to the API."""
        path = scope.get("path", "") if scope["type"] == "http" else None
        first = path.split("/", 2)[1] if path and path.startswith("/") else None
        mine = path == "/" or first in _PAGES
        await (self.pages if mine else self.api)(scope, receive, send)


def _pages(api: FastAPI, pipeline: Pipeline, logger: Any) -> ASGIApp:
    service, settings = api.state.service, pipeline.settings
    identity = api.state.identity
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(check_csrf)]
    )
    app.state.service = service
    app.state.identity = identity
    app.state.signing = api.state.signing
    app.state.shelf = Shelf()
    app.state.shifts = Shifts()
    app.state.unsealings = Unsealings()
    app.state.rules = load_rules(settings.review_rules)
    install_handlers(app, appeal_url=settings.appeal_url)
    for router in (verify.router, sign_in.router, studio.router, console.router):
        app.include_router(router)

    @app.get("/")
    async def root() -> Response:
        return RedirectResponse("/verify", status_code=303)

    static = resources.files("chopmark.web") / "static"
    app.mount("/static", StaticFiles(directory=str(static)), name="static")
    # The last one added is the outermost.
    app.add_middleware(
        Guard,
        viewers=Viewers(identity=identity, access=api.state.access, settings=settings),
    )
    app.add_middleware(BodyLimit, max_image_bytes=settings.max_image_bytes)
    app.add_middleware(Envelope, metrics=service.metrics, logger=logger)
    return Dressing(app)
