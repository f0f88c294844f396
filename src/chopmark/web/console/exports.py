"""Exports: one exporter asks, another one agrees, and only then is anything written.

The same exports as over the API, by the same functions.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from chopmark.api.desk import exports as api
from chopmark.api.desk.records import Asked
from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.service import Serving
from chopmark.web.console.search import FIELDS, query_of
from chopmark.web.console.shift import seated
from chopmark.web.viewers import needs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["router"]

router = APIRouter()
_FORMS: Final = ("jsonl", "csv", "parquet")
Exporting = Annotated[Any, Depends(needs("exporter"))]


@router.get("/exports")
async def exports(request: Request, service: Serving, viewer: Exporting) -> Response:
    """Show what was asked for, and the form that asks."""
    found = await api.exports(service, viewer.caller)
    asked = {name: request.query_params.get(name, "")[:300] for name in FIELDS}
    return seated(
        request,
        viewer,
        "console/exports.html",
        exports=list(reversed(found["exports"])),
        forms=_FORMS,
        asked=asked,
    )


@router.post("/exports")
async def ask(request: Request, service: Serving, viewer: Exporting) -> Response:
    """Ask for an export."""
    sent = await request.form(max_fields=32, max_files=0)
    query = query_of({name: str(sent.get(name, "")).strip()[:300] for name in FIELDS})
    purpose = str(sent.get("purpose", "")).strip()[:500]
    if not purpose:
        raise InvalidRequest("an export needs a purpose", hint="say what it is for")
    form: Any = str(sent.get("form", "jsonl"))
    try:
        wanted = api.Wanted(
            query=Asked(**query.to_dict()),  # type: ignore[arg-type]
            form=form,
            content=bool(sent.get("content")),
            purpose=purpose,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(f"{first['loc'][-1]}: {first['msg']}") from None
    await api.ask(wanted, service, viewer.caller)
    return RedirectResponse("/console/exports", status_code=303)


@router.post("/exports/{export_id}/agree")
async def agree(export_id: str, service: Serving, viewer: Exporting) -> Response:
    """Agree to what somebody else asked for; it is written now."""
    await api.agree(export_id, service, viewer.caller)
    return RedirectResponse("/console/exports", status_code=303)


@router.get("/exports/{export_id}")
async def download(export_id: str, service: Serving, viewer: Exporting) -> Response:
    """Return an export's files as one archive."""
    found = await api.exports(service, viewer.caller)
    named = [one for one in found["exports"] if one["export_id"] == export_id]
    names = named[0]["files"] if named else ["manifest.json"]
    if not names:
        raise InvalidRequest("this export is not written yet", hint="another exporter must agree")
    # Where it is not theirs, the API's own function says that there is none.
    files: list[Path] = []
    for name in names:
        answer: Any = await api.fetch(export_id, name, service, viewer.caller)
        files.append(answer.path)
    return Response(
        await in_thread(lambda: _packed(files)),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="export-{export_id[:8]}.zip"'},
    )


def _packed(files: list[Path]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, str(path).rpartition("/")[2])
    return out.getvalue()
