"""Exports over HTTP: one exporter asks, another one agrees, then the files can be fetched."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse
from pydantic import Field

from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller
from chopmark.service.deployment import TheService
from chopmark.service.export_requests import ExportForm
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import SearchForm, Strict, Whole

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/exports", responses=RESPONSES, tags=["exports"])
ExportId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
FileName = Annotated[str, Path(pattern="^(manifest\\.json|entries\\.(jsonl|csv|parquet))$")]


class ExportBody(Strict):
    """What to export, in which form, and why."""

    query: SearchForm = Field(default_factory=SearchForm)
    form: ExportForm = "jsonl"
    content: Annotated[bool, Field(description="With what is encrypted in the log")] = False
    limit: Annotated[int, Field(ge=1, le=1000), Whole] = 1000
    purpose: Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]


@router.post("")
async def ask(body: ExportBody, service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Ask for an export. Another exporter must agree before anything is written."""
    request = await in_thread(
        lambda: service.exports.ask(
            caller,
            body.query.query(),
            purpose=body.purpose,
            form=body.form,
            content=body.content,
            limit=body.limit,
        )
    )
    return request.to_dict()


@router.get("")
async def exports(service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """List what was asked for, and what may be fetched."""
    found = await in_thread(lambda: service.exports.all(caller))
    return {"exports": [request.to_dict() for request in found]}


@router.post("/{export_id}/agree")
async def agree(export_id: ExportId, service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Agree to what somebody else asked for; it is written at once and logged with both names."""
    return (await in_thread(lambda: service.exports.agree(caller, export_id))).to_dict()


@router.get("/{export_id}/files/{name}", response_class=FileResponse)
async def fetch(
    export_id: ExportId, name: FileName, service: TheService, caller: AnyCaller
) -> Response:
    """Fetch a file of an export that was agreed to."""
    path = await in_thread(lambda: service.exports.file(caller, export_id, name))
    return FileResponse(path, filename=name, headers={"cache-control": "no-store"})
