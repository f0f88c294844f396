"""Search: by words, time, decision, category, score, person or likeness; queries can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.safety.categories import in_order
from chopmark.service.by_image import find_by_image
from chopmark.service.deployment import TheService
from chopmark.service.search_form import SearchForm
from chopmark.web.console.desk import DeskViewer, console_page, desk_of, reason_of
from chopmark.web.console.results import results_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit import Hit, Query, SavedQuery

__all__ = ["FIELDS", "query_of", "router"]

router = APIRouter()
_PURPOSE: Final = "search"
_EACH: Final = 50
_TEXTS: Final = ("text", "decision", "category", "model", "policy", "subject", "similar_to")
_NUMBERS: Final = ("min_score", "max_score")
_DAYS: Final = ("since", "until")
FIELDS: Final = (*_TEXTS, *_NUMBERS, *_DAYS, "distance")


@router.get("/search")
async def search(request: Request, viewer: DeskViewer, service: TheService) -> Response:
    """Show the form, and what it finds."""
    fields = {name: request.query_params.get(name, "").strip()[:300] for name in FIELDS}
    before = request.query_params.get("before", "")
    desk = await desk_of(request, viewer, _PURPOSE)
    run = any(fields.values()) or "all" in request.query_params
    query = query_of(fields)

    def found() -> tuple[list[Hit], list[SavedQuery], tuple[str, ...]]:
        saved = desk.queries.newest()
        categories = in_order(service.pipeline.parts.policies.active().categories)
        if not run:
            return [], saved, categories
        hits = desk.search(query, limit=_EACH, before=int(before) if before.isdigit() else None)
        return hits, saved, categories

    why = reason_of(request, viewer)
    hits, saved, categories = await in_thread(found)
    results = await results_of(request, viewer, hits, why)
    asked = {k: v for k, v in {**fields, "why": why}.items() if v}
    more = urlencode({**asked, "all": "1", "before": hits[-1].index}) if len(hits) == _EACH else ""
    return console_page(
        request,
        viewer,
        "console/search.html",
        asked=fields,
        results=results,
        run=run,
        more=more,
        saved=[(one, urlencode(_fields(one.query.to_dict()) | {"all": "1"})) for one in saved],
        categories=categories,
        why=why,
    )


@router.post("/search/by-image")
async def by_image(
    request: Request,
    viewer: DeskViewer,
    service: TheService,
    image: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Show the records that a picture may come from; it is not kept."""
    data = await image.read() if image is not None else b""
    if not data:
        raise InvalidRequest("there is no picture", hint="choose a file", param="image")
    desk, parts = await desk_of(request, viewer, _PURPOSE), service.pipeline.parts
    found, mark = await service.look(
        request, viewer.caller, [data], lambda: find_by_image(parts, desk, data)
    )
    why = reason_of(request, viewer)
    rows = await results_of(request, viewer, [one.hit for one in found], why)
    return console_page(
        request,
        viewer,
        "console/by_image.html",
        found=list(zip(found, rows, strict=True)),
        watermark=mark,
        why=why,
    )


@router.post("/search/save")
async def save(request: Request, viewer: DeskViewer) -> Response:
    """Keep a query under a name."""
    form = await request.form(max_fields=32, max_files=0)
    fields = {name: str(form.get(name, "")).strip()[:300] for name in FIELDS}
    query = query_of(fields)
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.queries.save(str(form.get("name", ""))[:100], query))
    return RedirectResponse(
        "/console/search?" + urlencode({k: v for k, v in fields.items() if v}), 303
    )


def query_of(fields: Mapping[str, str]) -> Query:
    """Return the query that a form asks for.

    Raises:
        InvalidRequest: A field cannot be used: a score that is no number, a day that is none.
    """
    members: dict[str, object] = {name: fields[name] for name in _TEXTS if fields.get(name)}
    try:
        members |= {name: float(fields[name]) for name in _NUMBERS if fields.get(name)}
        if fields.get("distance"):
            members["distance"] = int(fields["distance"])
    except ValueError:
        raise InvalidRequest("a score or a distance is not a number") from None
    for name in _DAYS:
        day = fields.get(name)
        if day:
            members[name] = day if "T" in day else f"{day}T00:00:00.000000Z"
    try:
        return SearchForm.model_validate(members).query()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        raise InvalidRequest(f"{field}: {first['msg']}", param=field) from None


def _fields(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name in FIELDS}
