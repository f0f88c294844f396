"""Our own route for pictures: tell what one is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from chopmark.service.caller import Verifier
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["chopmark"])


@router.post("/verify")
async def verify(
    image: Annotated[UploadFile, File()], request: Request, service: TheService, caller: Verifier
) -> Response:
    """Report what a picture is. Neither it nor a digest of it is kept."""
    looked = await service.attended(request, service.verify(caller, await image.read()))
    return JSONResponse(looked.report.to_dict(), headers={"x-record-id": looked.record_id})
