"""``/verify``: what pictures are, for anybody who asks. Nothing of a picture is kept."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit.pictures import sniff
from chopmark.kit.plain_text import plain_text
from chopmark.pipeline.inspect import reattach
from chopmark.pipeline.originals import SIDE
from chopmark.pipeline.signed_report import sign_report
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.web.receipt_in_words import MAX_PROOF_BYTES, ProofInWords, proof_in_words
from chopmark.web.render import is_part, page
from chopmark.web.report_in_words import ReportInWords, in_words
from chopmark.web.viewers import VerifyViewer

if TYPE_CHECKING:
    from chopmark.provenance import Report
    from chopmark.provenance._fetch import Fetched
    from chopmark.service.service import Service
    from chopmark.web.viewers import Viewer

__all__ = ["MAX_FILES", "report_page", "router"]

router = APIRouter(include_in_schema=False)
MAX_FILES: Final = 10
_FETCH_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One file that was looked at, or why it could not be.

    Attributes:
        number: 1 for the first.
        name: What the file is called, where there are several.
        report: What was found.
        words: The same for people.
        copy: The picture, small, as a ``data:`` URL.
        signed_report: The report, signed, as a ``data:`` URL.
        error: Why the file could not be looked at.
        sha256: Of the file, hex.
        looked_at: When, RFC 3339.
    """

    number: int
    name: str = ""
    report: Report | None = None
    words: ReportInWords | None = None
    copy: str | None = None
    signed_report: str | None = None
    error: ChopmarkError | None = None
    sha256: str = ""
    looked_at: str = ""


@router.get("/verify")
async def verify_page(request: Request, service: TheService, _viewer: VerifyViewer) -> Response:
    """Show the empty form."""
    return _page(request, service, [])


@router.post("/verify")
async def verify(
    request: Request,
    service: TheService,
    viewer: VerifyViewer,
    image: Annotated[list[UploadFile] | None, File()] = None,
    url: Annotated[str, Form()] = "",
) -> Response:
    """Tell what pictures are."""
    files = [(one.filename or "", await one.read()) for one in image or ()]
    # A browser sends one without a name and bytes where nothing was chosen.
    files = [(name, data) for name, data in files if data or name]
    if not files and url.strip():
        fetched = await _fetched(service, url.strip())
        return await report_page(request, service, viewer, fetched.data, linked=fetched.manifest)
    if not files:
        raise InvalidRequest("there is no picture", hint="choose a file", param="image")
    if len(files) > MAX_FILES:
        raise InvalidRequest(
            f"{len(files)} files are more than the {MAX_FILES} that are looked at together",
            param="image",
        )
    if len(files) == 1:
        return await report_page(request, service, viewer, files[0][1])
    return await _several(request, service, viewer, files)


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


@router.post("/verify/proof")
async def proof(
    request: Request,
    service: TheService,
    viewer: VerifyViewer,
    proof: Annotated[UploadFile, File()],
    of: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Tell whether a receipt, or a report that was downloaded here, holds, and of what it is."""
    text = await proof.read(MAX_PROOF_BYTES + 1)
    data = await of.read() if of is not None else b""
    parts = service.pipeline.parts
    said = await service.look(
        request, viewer.caller, [data] if data else [],
        lambda: proof_in_words(parts, text, data or None),
    )  # fmt: skip
    return _page(request, service, [], proof=said)


async def report_page(
    request: Request, service: Service, viewer: Viewer, data: bytes, *, linked: str | None = None
) -> Response:
    """Return the report on a picture, as a page or as the part that holds the result.

    Args:
        request: The request.
        service: Looks.
        viewer: Who asks.
        data: The file.
        linked: Where whoever serves the file says that its manifest is.
    """
    looked, record_id = await _look(
        request, service, viewer, data, number=1, name="", linked=linked
    )
    answer = _page(request, service, [looked])
    answer.headers["x-record-id"] = record_id
    return answer


async def _several(
    request: Request, service: Service, viewer: Viewer, files: list[tuple[str, bytes]]
) -> Response:
    """Look at several files, one after the other; one that cannot be looked at stops none."""
    results: list[Looked] = []
    for number, (name, data) in enumerate(files, 1):
        shown = plain_text(name)[-100:] or f"File {number}"
        try:
            looked, _ = await _look(request, service, viewer, data, number=number, name=shown)
        except ChopmarkError as error:
            if error.status >= 500 or error.status == 429:
                raise
            looked = Looked(number=number, name=shown, error=error)
        results.append(looked)
    return _page(request, service, results)


async def _look(
    request: Request,
    service: Service,
    viewer: Viewer,
    data: bytes,
    *,
    number: int,
    name: str,
    linked: str | None = None,
) -> tuple[Looked, str]:
    pipeline = service.pipeline
    files = pipeline.parts.files

    def shown(report: Report) -> tuple[str | None, str | None]:
        stated = None
        with contextlib.suppress(ChopmarkError):  # a page without a download is still a page
            stated = _as_url(sign_report(pipeline.parts, data, report).encode())
        return files.small_copy(data, side=SIDE), stated

    async def look() -> tuple[Looked, str]:
        verification = await pipeline.verify(data, tenant=viewer.caller.tenant.name, linked=linked)
        report = verification.report
        # One after the other, in the same turn: each holds the picture's pixels.
        copy, stated = await in_thread(lambda: shown(report))
        looked = Looked(
            number=number, name=name, report=report, words=in_words(report),
            copy=copy, signed_report=stated, sha256=hashlib.sha256(data).hexdigest(),
            looked_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        return looked, verification.record_id

    return await service.attended(request, service.looking.run(viewer.caller, [data], look))


def _page(
    request: Request, service: Service, results: list[Looked], *, proof: ProofInWords | None = None
) -> Response:
    return page(
        request,
        "_reports.html" if is_part(request) else "verify.html",
        results=results,
        proof=proof,
        urls=service.pipeline.settings.verify_urls,
        most=MAX_FILES,
    )


def _as_url(data: bytes) -> str:
    return "data:application/json;base64," + base64.b64encode(data).decode()


async def _fetched(service: Service, url: str) -> Fetched:
    """Return the file at an address, where the operator allows that addresses are visited."""
    from chopmark.provenance._fetch import fetch_file

    settings = service.pipeline.settings
    if not settings.verify_urls:
        raise InvalidRequest(
            "addresses are not visited here", hint="save the picture and choose the file"
        )
    return await in_thread(
        lambda: fetch_file(url, max_bytes=settings.max_image_bytes, timeout_s=_FETCH_S)
    )
