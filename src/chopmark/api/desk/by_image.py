"""Search by picture: a leaked copy leads to the record that it comes from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Request, UploadFile

from chopmark.api.desk.records import CallerDesk
from chopmark.service.by_image import find_by_image
from chopmark.service.caller import RecordReader
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/search", responses=RESPONSES, tags=["desk"])


@router.post("/by-image")
async def by_image(
    image: Annotated[UploadFile, File()],
    request: Request,
    service: TheService,
    desk: CallerDesk,
    caller: RecordReader,
) -> dict[str, Any]:
    """Find the records that a picture may come from: by its mark, then by its fingerprint."""
    data, parts = await image.read(), service.pipeline.parts
    hits, mark = await service.look(
        request, caller, [data], lambda: find_by_image(parts, desk, data)
    )
    return {"hits": [one.to_dict() for one in hits], "watermark": mark}
