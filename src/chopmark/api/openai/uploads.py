"""``/v1/uploads``: a file in parts, which is one of ``/v1/files`` once they are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, File, Path, UploadFile
from pydantic import ConfigDict, Field

from chopmark.api.nullable import SentBody
from chopmark.api.openai.files import described, keep_seconds, printable
from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Batcher
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.tenancy.uploads import Uploads

if TYPE_CHECKING:
    from chopmark.tenancy.uploads import Upload

__all__ = ["router"]

router = APIRouter(prefix="/v1/uploads", responses=RESPONSES, tags=["openai"])
UploadId = Annotated[str, Path(min_length=1, max_length=64)]


class _Strict(SentBody):
    model_config = ConfigDict(extra="ignore", strict=True)


class ExpiresAfter(_Strict):
    """How long the file is kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateUpload(_Strict):
    """What the file will be."""

    bytes: Annotated[int, Field(ge=1)]
    filename: Annotated[str, Field(max_length=4096)]
    mime_type: Annotated[str, Field(max_length=200)]
    purpose: Literal["batch", "user_data", "vision"]
    expires_after: ExpiresAfter | None = None


class CompleteUpload(_Strict):
    """Which parts, in which order."""

    part_ids: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10_000)
    ]
    md5: Annotated[str, Field(pattern="^(?:[0-9a-fA-F]{32})?$")] = ""


@router.post("")
async def create(body: CreateUpload, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Begin with a file that comes in parts; they are taken for an hour."""
    settings = deployment.settings
    if body.bytes > settings.max_file_bytes:
        raise InvalidRequest(
            f"a file has at most {settings.max_file_bytes} bytes",
            hint="the operator can raise CHOPMARK_MAX_FILE_BYTES",
            param="bytes",
        )
    seconds = None if body.expires_after is None else body.expires_after.seconds
    upload = await in_thread(
        lambda: Uploads(deployment.files).begin(
            caller.tenant.name,
            size=body.bytes,
            purpose=body.purpose,
            filename=printable(body.filename),
            keep_s=keep_seconds(settings, seconds),
        )
    )
    return _described(upload)


@router.post("/{upload_id}/parts")
async def add_part(
    upload_id: UploadId,
    data: Annotated[UploadFile, File()],
    deployment: TheDeployment,
    caller: Batcher,
) -> dict[str, Any]:
    """Add a part."""
    sent = await data.read()
    if not sent:
        raise InvalidRequest("the part is empty", param="data")
    most = deployment.settings.files_mb * 2**20
    part = await in_thread(
        lambda: Uploads(deployment.files).add_part(
            caller.tenant.name, upload_id, sent, most_bytes=most
        )
    )
    return {
        "id": part.file_id,
        "object": "upload.part",
        "created_at": part.created,
        "upload_id": upload_id,
    }


@router.post("/{upload_id}/complete")
async def complete(
    upload_id: UploadId, body: CompleteUpload, deployment: TheDeployment, caller: Batcher
) -> dict[str, Any]:
    """Put the parts together; the answer has the file."""
    most = deployment.settings.files_mb * 2**20
    upload, kept = await in_thread(
        lambda: Uploads(deployment.files).complete(
            caller.tenant.name, upload_id, body.part_ids, md5=body.md5, most_bytes=most
        )
    )
    return {**_described(upload), "file": described(kept)}


@router.post("/{upload_id}/cancel")
async def cancel(upload_id: UploadId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Take no more parts, and let go of those that came."""
    uploads, tenant = Uploads(deployment.files), caller.tenant.name
    return _described(await in_thread(lambda: uploads.cancel(tenant, upload_id)))


def _described(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.upload_id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": upload.created,
        "expires_at": upload.expires,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": None,
    }
