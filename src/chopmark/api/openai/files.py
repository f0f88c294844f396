"""``/v1/files``: what batches read and write, and pictures that requests name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.responses import StreamingResponse

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.pipeline.withdrawals import withdrawn
from chopmark.service.caller import Batcher
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.tenancy.files import gone_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.service.deployment import Deployment
    from chopmark.settings import Settings
    from chopmark.tenancy.files import KeptFile

__all__ = ["FileId", "described", "keep_seconds", "page", "printable", "router"]

router = APIRouter(prefix="/v1/files", responses=RESPONSES, tags=["openai"])
FileId = Annotated[str, Path(min_length=1, max_length=64)]
_DAY_S: Final = 24 * 3600
_MOST_NAME: Final = 255
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/octet-stream": {}}}
}


@router.post("")
async def create(
    file: Annotated[UploadFile, File()],
    purpose: Annotated[Literal["batch", "user_data", "vision"], Form()],
    deployment: TheDeployment,
    caller: Batcher,
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[
        int | None, Form(alias="expires_after[seconds]", ge=3600, le=2_592_000)
    ] = None,
) -> dict[str, Any]:
    """Keep a file for the caller's tenant: the lines of a batch, or a picture to name later."""
    settings = deployment.settings
    data = await file.read()
    if not data:
        raise InvalidRequest("the file is empty", param="file")
    if (anchor is None) != (seconds is None):
        raise InvalidRequest(
            "expires_after has anchor and seconds, or is not sent", param="expires_after"
        )
    kept = await in_thread(
        lambda: deployment.files.add(
            caller.tenant.name,
            data,
            purpose=purpose,
            filename=printable(file.filename or ""),
            # What the sender says of it is not told to anybody's browser.
            mime="application/jsonl" if purpose == "batch" else "application/octet-stream",
            keep_s=keep_seconds(settings, seconds),
            most_bytes=settings.files_mb * 2**20,
        )
    )
    return described(kept)


@router.get("")
async def listed(
    deployment: TheDeployment,
    caller: Batcher,
    purpose: Annotated[str | None, Query(max_length=40)] = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """List the files of the caller's tenant, the newest first."""
    found = await in_thread(
        lambda: deployment.files.listed(
            caller.tenant.name,
            purpose=purpose,
            after=after,
            limit=limit + 1,
            newest=order == "desc",
        )
    )
    return page([described(one) for one in found], limit)


@router.get("/{file_id}")
async def retrieve(file_id: FileId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Describe a file."""
    return described(await _shown(deployment, caller.tenant.name, file_id))


@router.get("/{file_id}/content", response_class=StreamingResponse, responses=_BYTES)
async def content(file_id: FileId, deployment: TheDeployment, caller: Batcher) -> StreamingResponse:
    """Give out a file as it is; an answer that was withdrawn or erased since is not in it."""
    kept = await _shown(deployment, caller.tenant.name, file_id)
    gone = await in_thread(lambda: _withdrawn(deployment, file_id))
    return StreamingResponse(
        _bytes(deployment, file_id, gone),
        media_type="application/octet-stream",
        headers={
            "cache-control": "private, no-store",
            "content-disposition": f'attachment; filename="{kept.file_id}"',
        },
    )


@router.delete("/{file_id}")
async def delete(file_id: FileId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Let go of a file; lines of a batch that were not sent yet are not sent any more."""
    kept = await _shown(deployment, caller.tenant.name, file_id)
    await in_thread(lambda: deployment.files.delete(kept.tenant, file_id))
    return {"id": file_id, "object": "file", "deleted": True}


def page(rows: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return a page of a list, of which one row more than ``limit`` was looked for."""
    shown = rows[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(rows) > limit,
    }


async def _shown(deployment: Deployment, tenant: str, file_id: str) -> KeptFile:
    return await in_thread(lambda: deployment.files.get(tenant, file_id, shown=True))


def _withdrawn(deployment: Deployment, file_id: str) -> frozenset[int]:
    """Return the pieces whose answer the desk withdrew."""
    parts = deployment.service.pipeline.parts
    return frozenset(
        number
        for record, numbers in deployment.files.piece_records(file_id).items()
        if withdrawn(parts, record) is not None
        for number in numbers
    )


def _bytes(deployment: Deployment, file_id: str, gone: frozenset[int]) -> Iterator[bytes]:
    for number, data in deployment.files.pieces(file_id):
        if number in gone:
            yield gone_line(data, "output_withdrawn", "what was made here was withdrawn since")
        else:
            yield data


def printable(name: str) -> str:
    """Return a file's name as it can be shown and kept."""
    return "".join(one for one in name if one.isprintable())[:_MOST_NAME] or "file"


def keep_seconds(settings: Settings, seconds: int | None) -> int:
    """Return for how long a file is kept, where its sender says so or not."""
    return settings.files_days * _DAY_S if seconds is None else seconds


def described(kept: KeptFile) -> dict[str, Any]:
    """Return the members of a file for JSON."""
    return {
        "id": kept.file_id,
        "object": "file",
        "bytes": kept.size,
        "created_at": kept.created,
        "expires_at": kept.expires,
        "filename": kept.filename,
        "purpose": kept.purpose,
        "status": "processed",
        "status_details": None,
    }
