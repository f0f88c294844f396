"""Search: by words, time, decision, category, score, person or likeness; queries can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.safety.categories import CATEGORIES
from chopmark.web.console.shift import AtDesk, desk_of, seated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit import Query

__all__ = ["FIELDS", "query_of", "router"]

router = APIRouter()
_PURPOSE: Final = "search"
_EACH: Final = 50
_TEXTS: Final = ("text", "decision", "category", "model", "policy", "subject", "similar_to")
_NUMBERS: Final = ("min_score", "max_score")
_DAYS: Final = ("since", "until")
FIELDS: Final = (*_TEXTS, *_NUMBERS, *_DAYS, "distance")


@router.get("/search")
async def search(request: Request, viewer: AtDesk) -> Response:
    """Show the form, and what it finds."""
    asked = {name: request.query_params.get(name, "").strip()[:300] for name in FIELDS}
    before = request.query_params.get("before", "")
    desk = await desk_of(request, viewer, _PURPOSE)
    run = any(asked.values()) or "all" in request.query_params
    query = query_of(asked)

    def found() -> tuple[list[Any], list[Any]]:
        saved = desk.queries.newest()
        if not run:
            return [], saved
        return desk.search(
            query, limit=_EACH, before=int(before) if before.isdigit() else None
        ), saved

    hits, saved = await in_thread(found)
    more = urlencode({**{k: v for k, v in asked.items() if v}, "all": "1",
                      "before": hits[-1].index}) if len(hits) == _EACH else ""  # fmt: skip
    return seated(
        request,
        viewer,
        "console/search.html",
        asked=asked,
        hits=hits,
        run=run,
        more=more,
        saved=[(one, urlencode(_fields(one.query.to_dict()) | {"all": "1"})) for one in saved],
        categories=CATEGORIES,
    )


@router.post("/search/save")
async def save(request: Request, viewer: AtDesk) -> Response:
    """Keep a query under a name."""
    form = await request.form(max_fields=32, max_files=0)
    asked = {name: str(form.get(name, "")).strip()[:300] for name in FIELDS}
    query = query_of(asked)
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.queries.save(str(form.get("name", ""))[:100], query))
    return RedirectResponse(
        "/console/search?" + urlencode({k: v for k, v in asked.items() if v}), 303
    )


def query_of(asked: Mapping[str, str]) -> Query:
    """Return the query that a form asks for.

    Raises:
        InvalidRequest: A score or a distance is not a number, or a day is not one.
    """
    from chopmark.audit import Query

    members: dict[str, Any] = {name: asked[name] for name in _TEXTS if asked.get(name)}
    try:
        members |= {name: float(asked[name]) for name in _NUMBERS if asked.get(name)}
        if asked.get("distance"):
            members["distance"] = int(asked["distance"])
    except ValueError:
        raise InvalidRequest("a score or a distance is not a number") from None
    for name in _DAYS:
        day = asked.get(name)
        if day:
            members[name] = day if "T" in day else f"{day}T00:00:00.000000Z"
    if members.get("decision") not in {None, "allow", "review", "block", "failed", "open"}:
        raise InvalidRequest("no such decision", param="decision")
    return Query.from_dict(members)


def _fields(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name in FIELDS}
