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
from chopmark.api import c2pa, health, native, publiclog, signin
from chopmark.api.desk import appeals, exports, hash_lists, policies, records
from chopmark.api.gemini import routes as gemini
from chopmark.api.idempotency import Idempotency
from chopmark.api.openai import routes as openai
from chopmark.api.schema import describe
from chopmark.service.access import Access
from chopmark.service.body_limit import BodyLimit
from chopmark.service.envelope import Envelope
from chopmark.service.identity import Identity
from chopmark.service.logging import make_logger
from chopmark.service.problems import install_handlers
from chopmark.service.service import Service
from chopmark.tenancy import AccessStore, People
from chopmark.tenancy.rates import Rates
from chopmark.tenancy.replays import Replays
from chopmark.tenancy.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.pipeline import Pipeline

__all__ = ["create_app"]

_MOST_SIGNING_IN = 16


def create_app(pipeline: Pipeline, *, logger: Any = None) -> FastAPI:
    """Return the ASGI application over one pipeline.

    Args:
        pipeline: Its rooms are opened when first used.
        logger: A structlog logger; JSON lines to stderr when not given.

    Raises:
        ConfigurationError: The files of keys and people, or a setting, cannot be used.
    """
    settings, store = pipeline.settings, AccessStore.open(pipeline.parts.home)
    people = People.open(
        pipeline.parts.home,
        idle_s=60 * settings.session_idle_minutes,
        longest_s=3600 * settings.session_hours,
    )
    identity = Identity(settings, store, people)
    app = FastAPI(
        title="Chopmark",
        version=__version__,
        summary="Generated pictures that can be accounted for.",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
    )
    replays = Replays.open(pipeline.parts.home)
    service = Service(pipeline, store)
    app.state.service = service
    app.state.replays = replays
    app.state.identity = identity
    app.state.access = Access(app, identity=identity, settings=settings)
    app.state.public_log = publiclog.PublicLog(pipeline.parts.home)
    app.state.appealing = Rates()
    app.state.signing = Turns(slots=1, places=_MOST_SIGNING_IN)
    install_handlers(app, appeal_url=settings.appeal_url)
    # Gemini's first: its paths end in a verb that OpenAI's GET /v1/models/{model} would take too.
    for part in (gemini, openai, native, signin, records, appeals, hash_lists, policies, exports):
        app.include_router(part.router)
    for part in (publiclog, c2pa, health):
        app.include_router(part.router)
    describe(app)
    # The last one added is the outermost.
    app.add_middleware(Idempotency, replays=replays)
    app.add_middleware(Access, identity=identity, settings=settings)
    app.add_middleware(BodyLimit, max_image_bytes=settings.max_image_bytes)
    app.add_middleware(Envelope, metrics=service.metrics, logger=logger or make_logger())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.service.drained()
    app.state.service.store.close()
    app.state.identity.people.close()
    app.state.replays.close()
