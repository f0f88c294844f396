"""People: who was heard of, what became of what they asked for, and what is done about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import PURPOSE, RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.people import PeopleDesk
from chopmark.service.standing import utc
from chopmark.web.console.desk import DeskViewer, console_page

if TYPE_CHECKING:
    from chopmark.service.service import Service
    from chopmark.web.viewers import Viewer

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
    return console_page(request, viewer, "console/people.html", q=q[:200], **found)


@router.post("/people/{person:path}/open")
async def with_prompts(
    person: str,
    request: Request,
    service: TheService,
    viewer: DeskViewer,
    purpose: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Show a person with what they wrote, to an investigator who says why."""
    if not purpose.strip():
        raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
    return await _page(request, service, viewer, person, purpose=purpose.strip())


@router.post("/people/{person:path}/act")
async def act(
    person: str,
    service: TheService,
    viewer: DeskViewer,
    action: Annotated[str, Form()] = "",
    rationale: Annotated[str, Form(max_length=RATIONALE.most)] = "",
    days: Annotated[str, Form()] = "",
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
    return RedirectResponse(f"/console/people/{quote(person)}", status_code=303)


@router.get("/people/{person:path}")
async def person(
    person: str, request: Request, service: TheService, viewer: DeskViewer
) -> Response:
    """Show a person."""
    return await _page(request, service, viewer, person, purpose="")


async def _page(
    request: Request, service: Service, viewer: Viewer, person: str, *, purpose: str
) -> Response:
    desk = PeopleDesk(service, viewer.caller, purpose=purpose or _PURPOSE)

    def found() -> dict[str, Any]:
        return desk.one(person, evidence=bool(purpose), limit=_EACH)

    one = await in_thread(found)
    return console_page(request, viewer, "console/person.html", one=one, purpose=purpose)
