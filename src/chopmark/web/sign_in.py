"""``/sign-in`` and ``/sign-out``: a one-time link or a password begins a session, in a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.pipeline.steps import in_thread
from chopmark.service.identity import let_in, let_out
from chopmark.web.held_pictures import owner
from chopmark.web.render import page
from chopmark.web.viewers import Viewer, Viewing

if TYPE_CHECKING:
    from chopmark.tenancy import NewSession

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_TO: Final = {"studio": "/studio", "console": "/console"}


@router.get("/sign-in")
async def sign_in_page(request: Request, link: str = "", to: str = "") -> Response:
    """Show the form; a link signs in by a button, since some mail programs open every link."""
    return page(
        request,
        "sign_in.html",
        link=link[:100],
        to=to if to in _TO else "",
        provider=request.app.state.identity.sign_in is not None,
    )


@router.post("/sign-in")
async def sign_in(
    request: Request,
    link: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    to: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session."""
    people = request.app.state.identity.people

    def begin() -> NewSession:
        began: NewSession = people.redeem(link) if link else people.sign_in(name.strip(), password)
        return began

    address = request.client.host if request.client else ""
    # As over the API: a password takes time and memory to check, so one at a time.
    async with request.app.state.signing.turn(address):
        begun = await in_thread(begin)
    roles = begun.session.person.roles
    first = "/studio" if "creator" in roles else "/console"
    answer = RedirectResponse(_TO.get(to, first), status_code=303)
    let_in(answer, request, begun)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, viewer: Viewing) -> Response:
    """End the session; also what the studio still held for its person."""
    seen: Viewer = viewer
    request.app.state.shelf.forget(owner(seen))
    answer = RedirectResponse("/verify", status_code=303)
    let_out(answer, request)
    return answer
