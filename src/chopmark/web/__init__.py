"""The pages: `/verify` for everybody, `/studio` for creators, `/console` for reviewers.

Rendered on the server. Every page does its main job without JavaScript; what there is of it makes
the same forms quicker. No page asks anything of another host, and the Content-Security-Policy sees
to it. ``chopmark.site.create_site`` puts them and the HTTP API behind one address.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from chopmark.service.body_limit import BodyLimit
from chopmark.service.envelope import Envelope
from chopmark.service.forms import FORM_LIMITS
from chopmark.service.head import Head
from chopmark.service.problems import install_handlers
from chopmark.service.state import put_state
from chopmark.web import console, live, sign_in, studio, verify
from chopmark.web.csrf import CsrfProtection, check_csrf
from chopmark.web.headers import PageHeaders
from chopmark.web.page_state import PageState
from chopmark.web.viewers import Viewers

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from chopmark.service.deployment import Deployment
    from chopmark.service.logging import ServerLogger

__all__ = ["is_page", "pages_over"]

_PAGES: Final = frozenset({"verify", "studio", "console", "sign-in", "sign-out", "static"})


def is_page(path: str) -> bool:
    """Tell whether a path is one of the pages'."""
    return path == "/" or (path.startswith("/") and path.split("/", 2)[1] in _PAGES)


def pages_over(deployment: Deployment, *, logger: ServerLogger) -> ASGIApp:
    """Return the ASGI application of the pages; it closes nothing that is in the deployment.

    Raises:
        ConfigurationError: The rules that send records to review cannot be used.
    """
    settings = deployment.settings
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect's address would be made of the caller's `Host`
        dependencies=[Depends(check_csrf)],
        form_limits=FORM_LIMITS,
    )
    put_state(app, deployment)
    put_state(app, PageState.open(settings))
    install_handlers(app, appeal_url=settings.appeal_url)
    for router in (verify.router, sign_in.router, studio.router, live.router, console.router):
        app.include_router(router)

    @app.get("/")
    async def root() -> Response:
        return RedirectResponse("/verify", status_code=303)

    static = resources.files("chopmark.web") / "static"
    app.mount("/static", StaticFiles(directory=str(static)), name="static")
    # The last one added is the outermost.
    app.add_middleware(CsrfProtection, viewers=Viewers(deployment.callers))
    app.add_middleware(BodyLimit, settings=settings, bodies=deployment.bodies)
    app.add_middleware(Head)
    app.add_middleware(Envelope, metrics=deployment.service.metrics, logger=logger)
    return PageHeaders(app)
