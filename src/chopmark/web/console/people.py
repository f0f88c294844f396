"""People: who was heard of, what became of what they asked for, and what is done about them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import PURPOSE, RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.people import PeopleDesk
from chopmark.service.standing import utc
from chopmark.web.console.day_bars import day_bars
from chopmark.web.console.desk import DeskViewer, console_page, reason_of
from chopmark.web.console.results import results_of

__all__ = ["router"]

router = APIRouter()
_PURPOSE: Final = "look at a person"
_EACH: Final = 50
_ACTIONS: Final[tuple[Literal["warn", "suspend", "reinstate"], ...]] = (
    "warn",
    "suspend",
    "reinstate",
)
_DAYS: Final = {"": None, "1": 1, "7": 7, "30": 30}


@router.get("/people")
async def people(
    request: Request, service: TheService, viewer: DeskViewer, q: str = "", before: str = ""
) -> Response:
    """Show whom requests named."""
    desk = PeopleDesk(service, viewer.caller, purpose=_PURPOSE)
    older = int(before) if before.isdigit() else None
    found = await in_thread(lambda: desk.listed(q[:200].strip(), limit=_EACH, before=older))
    return console_page(
        request,
        viewer,
        "console/people.html",
        q=q[:200],
        why=reason_of(request, viewer),
        **found,
    )


@router.post("/people/{person:path}/act")
async def act(
    person: str,
    service: TheService,
    viewer: DeskViewer,
    action: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=RATIONALE.most)] = "",
    days: Annotated[str, Form()] = "",
    why: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Warn a person, suspend them, or let them in again."""
    chosen = next((one for one in _ACTIONS if one == action), None)
    if chosen is None or days not in _DAYS:
        raise InvalidRequest("nothing was chosen", hint="warn, suspend or reinstate")
    until = None
    lasts = _DAYS[days]
    if chosen == "suspend" and lasts is not None:
        until = utc(lasts * 86_400)
    desk = PeopleDesk(service, viewer.caller, purpose=_PURPOSE)
    await in_thread(lambda: desk.act(person, chosen, rationale=rationale, until=until))
    kept = f"?{urlencode({'why': why})}" if why else ""
    return RedirectResponse(f"/console/people/{quote(person)}{kept}", status_code=303)


@router.get("/people/{person:path}")
async def person(
    person: str, request: Request, service: TheService, viewer: DeskViewer, before: str = ""
) -> Response:
    """Show a person; to an investigator who says why, with what they wrote."""
    why = reason_of(request, viewer)
    older = int(before) if before.isdigit() else None
    desk = PeopleDesk(service, viewer.caller, purpose=why or _PURPOSE)
    view, known = await in_thread(lambda: desk.seen(person, limit=_EACH, before=older))
    return console_page(
        request,
        viewer,
        "console/person.html",
        one=known,
        bars=day_bars(view.days, today=dt.datetime.now(dt.UTC).date()),
        results=await results_of(request, viewer, view.hits, why),
        why=why,
    )
