"""Exports: one exporter asks, another one agrees, and only then is anything written."""

from __future__ import annotations

import asyncio
import io
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.export_requests import ExportForm
from chopmark.web.console.desk import console_page
from chopmark.web.console.search import FIELDS, query_of
from chopmark.web.render import event_stream, is_part, render
from chopmark.web.viewers import Viewer, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter()
_FORMS: Final[tuple[ExportForm, ...]] = get_args(ExportForm)
_EVERY_S: Final = 0.2
ExportViewer = Annotated[Viewer, Depends(needs("exporter"))]


@router.get("/exports")
async def exports(request: Request, service: TheService, viewer: ExportViewer) -> Response:
    """Show what was asked for, and the form that asks."""
    found = await in_thread(lambda: service.exports.all(viewer.caller))
    fields = {name: request.query_params.get(name, "")[:300] for name in FIELDS}
    return console_page(
        request,
        viewer,
        "console/exports.html",
        exports=list(reversed(found)),
        writing={one.export_id: service.exports.writing(one.export_id) for one in found},
        forms=_FORMS,
        asked=fields,
    )


@router.post("/exports")
async def ask(request: Request, service: TheService, viewer: ExportViewer) -> Response:
    """Ask for an export."""
    sent = await request.form(max_fields=32, max_files=0)
    query = query_of({name: str(sent.get(name, "")).strip()[:300] for name in FIELDS})
    purpose = str(sent.get("purpose", "")).strip()[:500]
    if not purpose:
        raise InvalidRequest("an export needs a purpose", hint="say what it is for")
    form = next((one for one in _FORMS if one == sent.get("form", "jsonl")), None)
    if form is None:
        raise InvalidRequest("no such form of export", hint=f"one of {', '.join(_FORMS)}")
    content = bool(sent.get("content"))
    await in_thread(
        lambda: service.exports.ask(
            viewer.caller, query, purpose=purpose, form=form, content=content
        )
    )
    return RedirectResponse("/console/exports", status_code=303)


@router.post("/exports/{export_id}/agree")
async def agree(
    export_id: str, request: Request, service: TheService, viewer: ExportViewer
) -> Response:
    """Agree to what somebody else asked for; it is written now, and a script shows how far."""
    if is_part(request):
        return event_stream(_written(service, viewer, export_id))
    await in_thread(lambda: service.exports.agree(viewer.caller, export_id))
    return RedirectResponse("/console/exports", status_code=303)


async def _written(service: Service, viewer: Viewer, export_id: str) -> AsyncIterator[str]:
    """Write an export; yield what its row shows meanwhile.

    Whoever closes the page stops nothing: they have agreed, and it is written to its end. Whoever
    comes while it is written is shown how far it is.
    """
    exports, caller, at = service.exports, viewer.caller, (0, 0)
    begun = exports.writing(export_id) is not None
    work = asyncio.ensure_future(
        in_thread(partial(exports.follow if begun else exports.agree, caller, export_id))
    )
    work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    row: dict[str, object] = {"export_id": export_id, "problem": None, "ready": False}
    while not work.done():
        at = exports.writing(export_id) or at
        yield render("console/_export_state.html", **row, done=at[0], total=at[1])
        await asyncio.wait({work}, timeout=_EVERY_S)
    error = work.exception()
    if isinstance(error, ChopmarkError):
        row["problem"] = error.explain()
    elif error is not None:
        raise error
    else:
        row["ready"] = True
    yield render("console/_export_state.html", **row, done=at[0], total=at[1])


@router.get("/exports/{export_id}")
async def download(export_id: str, service: TheService, viewer: ExportViewer) -> Response:
    """Return an export's files as one archive."""

    def archive() -> bytes:
        asked = service.exports.one(viewer.caller, export_id)
        if not asked.files:
            raise InvalidRequest(
                "this export is not written yet", hint="another exporter must agree"
            )
        return _packed([service.exports.file(viewer.caller, export_id, n) for n in asked.files])

    return Response(
        await in_thread(archive),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="export-{export_id[:8]}.zip"'},
    )


def _packed(files: list[Path]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, str(path).rpartition("/")[2])
    return out.getvalue()
