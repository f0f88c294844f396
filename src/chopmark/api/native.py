"""Our own routes: verify a picture, read a record, fetch a receipt."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from chopmark.api.problems import RESPONSES
from chopmark.api.service import Serving, attended
from chopmark.ids import record_of

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["chopmark"])


@router.post("/verify")
async def verify(
    image: Annotated[UploadFile, File()], request: Request, service: Serving
) -> Response:
    """Tell what a picture is. Neither it nor a digest of it is kept."""
    looked = await attended(request, service.pipeline.verify(await image.read()))
    return JSONResponse(looked.report.to_dict(), headers={"x-record-id": looked.record_id})


@router.get("/records/{record_id}")
async def record(record_id: str, service: Serving) -> dict[str, Any]:
    """Return the public part of every event of one request."""
    records = service.pipeline.rooms.log.records(record_of(record_id))
    return {"record_id": record_of(record_id), "events": [item.to_dict() for item in records]}


@router.get("/receipts/{record_id}")
async def receipt(record_id: str, service: Serving) -> dict[str, Any]:
    """Return the receipt of a request that ended: inclusion proof and signed checkpoint."""
    said: dict[str, Any] = service.pipeline.rooms.log.receipt(record_of(record_id)).to_dict()
    return said
