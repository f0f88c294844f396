"""``/sign-in`` and ``/sign-out``: a one-time link or a password begins a session, in a cookie."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.stages import in_thread
from chopmark.web.rendering import page
from chopmark.web.viewers import COOKIE, Viewer, Viewing

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_TO: Final = {"studio": "/studio", "console": "/console"}


@router.get("/sign-in")
async def sign_in_page(request: Request, link: str = "", to: str = "") -> Response:
    """Show the form; a link signs in by a button, since some mail programs open every link."""
    return page(request, "sign_in.html", link=link[:100], to=to if to in _TO else "")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    link: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    to: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session."""
    people = request.app.state.people
    if link:
        begun = await in_thread(lambda: people.redeem(link))
    else:
        begun = await in_thread(lambda: people.sign_in(name.strip(), password))
    roles = begun.session.person.roles
    first = "/studio" if "creator" in roles else "/console"
    answer = RedirectResponse(_TO.get(to, first), status_code=303)
    answer.set_cookie(
        COOKIE,
        begun.token,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, viewer: Viewing) -> Response:
    """End the session; also what the studio still held for its person."""
    seen: Viewer = viewer
    token = request.cookies.get(COOKIE)
    if token:
        await in_thread(lambda: request.app.state.people.end(token))
    request.app.state.shelf.forget(seen.name)
    answer = RedirectResponse("/verify", status_code=303)
    answer.delete_cookie(COOKIE, path="/")
    return answer
