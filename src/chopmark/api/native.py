"""Our own routes: verify a picture, read a record, fetch a receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Path, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from chopmark.api.access import Reading, Verifying
from chopmark.api.problems import RESPONSES
from chopmark.api.service import Serving, attended
from chopmark.errors import RecordNotFound
from chopmark.ids import record_of
from chopmark.stages import in_thread

if TYPE_CHECKING:
    from chopmark.api.access import Caller
    from chopmark.api.service import Service
    from chopmark.audit import Record

__all__ = ["router"]

AnyId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Of a record or an output")]
router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["chopmark"])


@router.post("/verify")
async def verify(
    image: Annotated[UploadFile, File()], request: Request, service: Serving, caller: Verifying
) -> Response:
    """Tell what a picture is. Neither it nor a digest of it is kept."""
    looked = await attended(request, service.verify(caller, await image.read()))
    return JSONResponse(looked.report.to_dict(), headers={"x-record-id": looked.record_id})


@router.get("/records/{record_id}")
async def record(record_id: AnyId, service: Serving, caller: Reading) -> dict[str, Any]:
    """Return the public part of every event of one request."""
    records = await _own_records(record_id, service, caller)
    return {"record_id": records[0].record_id, "events": [item.to_dict() for item in records]}


@router.get("/receipts/{record_id}")
async def receipt(record_id: AnyId, service: Serving, caller: Reading) -> dict[str, Any]:
    """Return the receipt of a request that ended: inclusion proof and signed checkpoint."""
    records = await _own_records(record_id, service, caller)
    log = service.pipeline.rooms.log
    said: dict[str, Any] = (await in_thread(lambda: log.receipt(records[0].record_id))).to_dict()
    return said


async def _own_records(any_id: str, service: Service, caller: Caller) -> list[Record]:
    """Return a record's entries if they are the caller's; else it is as if there were none."""
    name = record_of(any_id)
    records = await in_thread(lambda: service.pipeline.rooms.log.records(name))
    if any(item.tenant != caller.tenant.name for item in records):
        raise RecordNotFound(f"no record {name}")
    return records
