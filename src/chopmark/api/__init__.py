"""The HTTP face: OpenAI-shaped routes under ``/v1``, our own under ``/api/v1``, health.

>>> from chopmark import Pipeline, Settings
>>> from chopmark.api import create_app
>>> app = create_app(Pipeline.from_settings(Settings()))  # doctest: +SKIP

Every route that makes or judges something goes through ``Pipeline``; this package only translates.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from chopmark import __version__
from chopmark.api import gemini, health, native, openai, resolver
from chopmark.api.access import Access
from chopmark.api.envelope import Envelope
from chopmark.api.idempotency import Idempotency
from chopmark.api.limits import BodyLimit
from chopmark.api.logs import make_logger
from chopmark.api.problems import install_handlers
from chopmark.api.schema import describe
from chopmark.api.service import Service
from chopmark.tenancy import AccessStore
from chopmark.tenancy.replays import Replays

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.pipeline import Pipeline

__all__ = ["create_app"]

# Base64 makes a third more of a picture; the rest is room for the other fields.
_BODY_OVERHEAD = 1.4


def create_app(pipeline: Pipeline, *, logger: Any = None) -> FastAPI:
    """Return the ASGI application over one pipeline.

    Args:
        pipeline: Its rooms are opened when first used.
        logger: A structlog logger; JSON lines to stderr when not given.

    Raises:
        ConfigurationError: The file of keys and tenants cannot be used.
    """
    settings, store = pipeline.settings, AccessStore.open(pipeline.rooms.home)
    app = FastAPI(
        title="Chopmark",
        version=__version__,
        summary="Generated pictures that can be accounted for.",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
    )
    replays = Replays.open(pipeline.rooms.home)
    service = Service(pipeline, store)
    app.state.service = service
    app.state.replays = replays
    install_handlers(app, appeal_url=settings.appeal_url)
    # Gemini's first: its paths end in a verb that OpenAI's GET /v1/models/{model} would take too.
    for router in (gemini.router, openai.router, native.router, resolver.router, health.router):
        app.include_router(router)
    describe(app)
    # The last one added is the outermost.
    app.add_middleware(Idempotency, replays=replays)
    app.add_middleware(Access, store=store, settings=settings)
    app.add_middleware(BodyLimit, max_bytes=int(settings.max_image_bytes * _BODY_OVERHEAD))
    app.add_middleware(Envelope, metrics=service.metrics, logger=logger or make_logger())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.store.close()
    app.state.replays.close()
