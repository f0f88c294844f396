"""``/healthz``: the process lives. ``/readyz``: it could do its work now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from chopmark.errors import ChopmarkError
from chopmark.service.caller import MetricsReader
from chopmark.service.deployment import TheService
from chopmark.service.metrics import CONTENT_TYPE_LATEST
from chopmark.service.problems import RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.pipeline.parts import Parts

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer as long as the process answers at all."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "A part is not ready"}})
async def readyz(service: TheService) -> Response:
    """Say whether the model is loaded, the signer able and the log writable."""
    parts: Parts = service.pipeline.parts
    checks: dict[str, Callable[[], object]] = {
        "model": lambda: parts.generator.info,
        "guards": lambda: (parts.prompt_guard, parts.image_guard, parts.policies.active()),
        "signer": lambda: parts.credential.check(),  # noqa: PLW0108  opened inside the try
        "log": lambda: parts.request_log.writable(),  # noqa: PLW0108  opened inside the try
    }
    results: dict[str, str] = {}
    for name, check in checks.items():
        try:
            await asyncio.to_thread(check)
            results[name] = "ok"
        except ChopmarkError as error:
            results[name] = f"{error.code}: {error.message}"
    ready = all(value == "ok" for value in results.values())
    return JSONResponse({"ready": ready, "checks": results}, status_code=200 if ready else 503)


@router.get("/metrics", responses=RESPONSES, response_class=PlainTextResponse)
async def metrics(service: TheService, _caller: MetricsReader) -> Response:
    """What Prometheus reads."""
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)
