"""The HTTP face: OpenAI-shaped routes under ``/v1``, our own under ``/api/v1``, health.

>>> from chopmark import Pipeline, Settings
>>> from chopmark.api import create_app
>>> app = create_app(Pipeline.from_settings(Settings()))  # doctest: +SKIP

Every route that makes or judges something goes through ``Pipeline``; this package only translates.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from chopmark import __version__
from chopmark.api import guardrail, health, jobs, public_log, seal, signin, signpost, verify
from chopmark.api.c2pa import routes as c2pa_routes
from chopmark.api.desk import (
    actions,
    appeals,
    by_image,
    coop,
    custody,
    exceptions,
    exports,
    hash_lists,
    policies,
    queues,
    records,
    released,
    webhooks,
)
from chopmark.api.gemini import earlier_interactions, interactions, predict
from chopmark.api.gemini import routes as gemini_routes
from chopmark.api.idempotency import Idempotency
from chopmark.api.openai import (
    batches,
    chat,
    content,
    earlier_responses,
    files,
    provenance_checks,
    responses,
    uploads,
    webhook_endpoints,
)
from chopmark.api.openai import routes as openai_routes
from chopmark.api.public_log import PublicLog
from chopmark.api.schema import describe
from chopmark.pipeline.withdrawals import refuse_withdrawn
from chopmark.service.access import Access
from chopmark.service.azure_paths import AzurePaths
from chopmark.service.batch_runner import BatchRunner
from chopmark.service.body_limit import BodyLimit
from chopmark.service.cors import cors_of
from chopmark.service.deployment import Deployment
from chopmark.service.envelope import Envelope
from chopmark.service.forms import FORM_LIMITS
from chopmark.service.head import Head
from chopmark.service.json_body import JsonBody
from chopmark.service.logging import make_logger
from chopmark.service.problems import install_handlers
from chopmark.service.shared_pictures import EarlierAnswers, SharedPictures
from chopmark.service.state import put_state, state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.pipeline import Pipeline
    from chopmark.service.logging import ServerLogger

__all__ = ["app_over", "create_app"]

# Gemini's first: its paths end in a verb that OpenAI's GET /v1/models/{model} would take too.
_PARTS = (
    predict,
    interactions,
    earlier_interactions,
    gemini_routes,
    openai_routes,
    provenance_checks,
    content,
    files,
    uploads,
    batches,
    webhook_endpoints,
    jobs,
    chat,
    responses,
    earlier_responses,
    guardrail,
    verify,
    seal,
    signin,
    records,
    actions,
    queues,
    by_image,
    coop,
    exceptions,
    released,
    webhooks,
    appeals,
    hash_lists,
    policies,
    exports,
    custody,
    public_log,
    signpost,
    c2pa_routes,
    health,
)


def create_app(pipeline: Pipeline, *, logger: ServerLogger | None = None) -> FastAPI:
    """Return the ASGI application over one pipeline; what it opens, its shutdown closes.

    Args:
        pipeline: Its rooms are opened when first used.
        logger: A structlog logger; JSON lines to stderr when not given.

    Raises:
        ConfigurationError: The files of keys and people, or a setting, cannot be used.
    """
    return app_over(Deployment.open(pipeline), logger=logger or make_logger())


def app_over(deployment: Deployment, *, logger: ServerLogger) -> FastAPI:
    """Return the ASGI application over what is open already; its shutdown closes that."""
    settings = deployment.settings
    app = FastAPI(
        title="Chopmark",
        version=__version__,
        summary="Generated pictures that can be accounted for.",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # the redirect's address would be made of the caller's `Host`
        lifespan=_lifespan,
        form_limits=FORM_LIMITS,
    )
    put_state(app, deployment)
    runner = BatchRunner(app, deployment)
    put_state(app, runner)
    put_state(app, SharedPictures(deployment.files, deployment.service.pipeline.parts.home))
    put_state(app, EarlierAnswers(deployment.files))
    put_state(app, PublicLog(deployment.service.pipeline.parts.home))
    install_handlers(app, appeal_url=settings.appeal_url)
    for part in _PARTS:
        app.include_router(part.router)
    describe(app)
    # The last one added is the outermost.
    parts = deployment.service.pipeline.parts
    app.add_middleware(jobs.RespondAsync, deployment=deployment, runner=runner)
    app.add_middleware(
        Idempotency,
        replays=deployment.replays,
        erased=deployment.is_erased,
        check=partial(refuse_withdrawn, parts),
    )
    app.add_middleware(JsonBody)
    app.add_middleware(Access, callers=deployment.callers)
    app.add_middleware(BodyLimit, settings=settings, bodies=deployment.bodies)
    app.add_middleware(AzurePaths)
    app.add_middleware(Head)
    if (cors := cors_of(settings)) is not None:
        app.add_middleware(CORSMiddleware, **cors)
    app.add_middleware(Envelope, metrics=deployment.service.metrics, logger=logger)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state_of(app, Deployment).desk_worker.start()
    runner = state_of(app, BatchRunner)
    running = asyncio.create_task(runner.run())
    yield
    await runner.stop()
    await running
    await state_of(app, Deployment).close()
