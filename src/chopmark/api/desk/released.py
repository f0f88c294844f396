"""A picture that the desk let out: fetched by the link that the desk was given, without a key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from chopmark.api.desk.records import AnyId
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.released import fetch

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/released", responses=RESPONSES, tags=["desk"])


@router.get(
    "/{record_id}",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}},
)
async def released(
    record_id: AnyId,
    service: TheService,
    ticket: Annotated[str, Query(max_length=100, description="As the link has it")] = "",
) -> Response:
    """Fetch a picture that was held for review and that the desk let out, while the link holds."""
    parts = service.pipeline.parts
    file = await in_thread(lambda: fetch(parts, record_id, ticket))
    return Response(
        file.data,
        media_type=file.mime,
        headers={
            "cache-control": "private, no-store",
            "content-disposition": f'inline; filename="{file.name}"',
        },
    )
