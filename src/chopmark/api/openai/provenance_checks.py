"""``POST /v1/content_provenance_checks``: what a picture says of itself, in OpenAI's shape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from chopmark.errors import UnsupportedImage
from chopmark.service.caller import Verifier
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.kit.types import JsonValue
    from chopmark.provenance import Report

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])
_NOT_PRESENT: Final[Mapping[str, str]] = {"absent": "not_present", "remote_only": "not_present"}


@router.post("/content_provenance_checks")
async def check(
    file: Annotated[UploadFile, File()], request: Request, service: TheService, caller: Verifier
) -> Response:
    """Report whether a picture carries our manifest and our watermark; nothing of it is kept.

    The report of ``/api/v1/verify`` in fewer words; these stand beside it as ``provenance``.
    """
    looked = await service.attended(request, service.verify(caller, await file.read()))
    report = looked.report
    if str(report.watermark.state) == "not_examined":
        # This shape knows "detected" and "not detected" only, and it is neither.
        raise UnsupportedImage(
            f"the picture's pixels were not looked at: {report.watermark.reason or 'unreadable'}",
            hint="save it as PNG, JPEG, WebP or AVIF; /api/v1/verify reports what else is known",
            param="file",
        )
    return JSONResponse(
        {
            "object": "content_provenance_check",
            "created_at": int(time.time()),
            "results": [_manifest(report), _watermark(report)],
            "provenance": {
                "record_id": looked.record_id,
                "verdict": report.verdict,
                "summary": report.summary,
            },
        },
        headers={"x-record-id": looked.record_id},
    )


def _manifest(report: Report) -> dict[str, JsonValue]:
    manifest, credential = report.manifest, report.credential
    intact = manifest.state == "intact"
    state = _NOT_PRESENT.get(manifest.state, "invalid")
    if intact:
        state = "trusted" if credential.state == "trusted" else "valid"
    ours = intact and credential.own
    return {
        "type": "c2pa",
        "outcome": "detected" if ours else "not_detected",
        "validation_state": state,
        "issuer": credential.issuer or credential.name,
        "model": report.ai_signal.system if ours else None,
        "generated_at": _made_at(report) if ours else None,
    }


def _watermark(report: Report) -> dict[str, JsonValue]:
    mark = report.watermark
    found = mark.state in ("detected", "conflict")
    return {
        # OpenAI's clients know one kind of watermark, by the name of theirs; `method` is the truth.
        "type": "synthid",
        "outcome": "detected" if found else "not_detected",
        "method": mark.method if found else None,
        "conflict": mark.state == "conflict",
        "model": None,
        "generated_at": _made_at(report) if mark.state == "detected" else None,
    }


def _made_at(report: Report) -> str | None:
    record = report.record or {}
    at = record.get("time") or report.time.signed_at
    return at if isinstance(at, str) else None
