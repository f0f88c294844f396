"""Our own route for pictures that another generator made: judged, marked, signed and booked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from chopmark.api.openai.answers import sealed_response
from chopmark.kit import limits
from chopmark.kit.types import ImageFormat
from chopmark.pipeline.request import SealRequest
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["chopmark"])


@router.post("/seal")
async def seal(
    image: Annotated[UploadFile, File(description="The picture")],
    model: Annotated[str, Form(description="What made it, as you claim", max_length=100)],
    request: Request,
    service: TheService,
    caller: Creator,
    prompt: Annotated[str, Form(description="What it was made from; judged as any prompt")] = "",
    output_format: Annotated[
        ImageFormat | None, Form(description="Unset: the format of `image`")
    ] = None,
    output_compression: Annotated[
        int | None, Form(ge=limits.QUALITY.least, le=limits.QUALITY.most)
    ] = None,
    user: Annotated[str | None, Form(max_length=180)] = None,
) -> Response:
    """Seal a picture that another generator made. The manifest names that one as your claim."""
    asked = SealRequest(
        image=await image.read(),
        prompt=prompt,
        model=model,
        format=output_format,
        quality=output_compression,
    )
    released = await service.make(request, caller, asked, identifier=user or None)
    return JSONResponse(sealed_response(released), headers=released_headers(released))
