"""``/verify``: what a picture is, for anybody who asks. Nothing of the picture is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from chopmark.errors import InvalidRequest
from chopmark.kit.pictures import sniff
from chopmark.pipeline.inspect import reattach
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.web.render import is_part, page
from chopmark.web.report_in_words import in_words
from chopmark.web.viewers import VerifyViewer

if TYPE_CHECKING:
    from chopmark.pipeline.inspect import Verification
    from chopmark.provenance import Report
    from chopmark.service.service import Service
    from chopmark.web.viewers import Viewer

__all__ = ["report_page", "router"]

router = APIRouter(include_in_schema=False)
_FETCH_S: Final = 10.0
_COPY_SIDE: Final = 640
_ALTERED: Final = frozenset({"edited_after_signing", "marked_but_altered"})


@router.get("/verify")
async def verify_page(request: Request, service: TheService, _viewer: VerifyViewer) -> Response:
    """Show the empty form."""
    return page(request, "verify.html", report=None, urls=service.pipeline.settings.verify_urls)


@router.post("/verify")
async def verify(
    request: Request,
    service: TheService,
    viewer: VerifyViewer,
    image: Annotated[UploadFile | None, File()] = None,
    url: Annotated[str, Form()] = "",
) -> Response:
    """Tell what a picture is."""
    data = await image.read() if image is not None else b""
    if not data and url.strip():
        data = await _fetched(service, url.strip())
    if not data:
        raise InvalidRequest("there is no picture", hint="choose a file", param="image")
    return await report_page(request, service, viewer, data)


@router.post("/verify/restored")
async def restored(
    request: Request,
    service: TheService,
    viewer: VerifyViewer,
    image: Annotated[UploadFile, File()],
) -> Response:
    """Return the file with the manifest that it had lost, byte for byte as it left."""
    data = await image.read()
    parts = service.pipeline.parts
    whole = await service.look(request, viewer.caller, [data], lambda: reattach(parts, data))
    name = (sniff(whole) or "").lower()
    return Response(
        whole,
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="restored.{name}"'},
    )


async def report_page(request: Request, service: Service, viewer: Viewer, data: bytes) -> Response:
    """Return the report on a picture, as a page or as the part that holds the result."""
    pipeline, settings = service.pipeline, service.pipeline.settings
    files = pipeline.parts.files

    def copies(report: Report) -> tuple[str | None, str | None]:
        altered = report.verdict in _ALTERED
        signed = files.small_copy(data, side=_COPY_SIDE, signed=True) if altered else None
        return files.small_copy(data, side=_COPY_SIDE), signed

    async def look() -> tuple[Verification, str | None, str | None]:
        verification = await pipeline.verify(data, tenant=viewer.caller.tenant.name)
        # One after the other, in the same turn: each holds the picture's pixels.
        return verification, *await in_thread(lambda: copies(verification.report))

    looked, copy, signed = await service.attended(
        request, service.looking.run(viewer.caller, [data], look)
    )
    report = looked.report
    answer = page(
        request,
        "_report.html" if is_part(request) else "verify.html",
        report=report,
        words=in_words(report),
        copy=copy,
        signed_copy=signed,
        urls=settings.verify_urls,
    )
    answer.headers["x-record-id"] = looked.record_id
    return answer


async def _fetched(service: Service, url: str) -> bytes:
    """Return the file at an address, where the operator allows that addresses are visited."""
    from chopmark.provenance import fetch_public

    settings = service.pipeline.settings
    if not settings.verify_urls:
        raise InvalidRequest(
            "addresses are not visited here", hint="save the picture and choose the file"
        )
    return await in_thread(
        lambda: fetch_public(url, max_bytes=settings.max_image_bytes, timeout_s=_FETCH_S)
    )
