"""``/sign-in`` and ``/sign-out``: a one-time link or a password begins a session, in a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheDeployment, TheIdentity
from chopmark.web.held_pictures import owner
from chopmark.web.page_state import ThePageState
from chopmark.web.render import page
from chopmark.web.viewers import AnyViewer

if TYPE_CHECKING:
    from chopmark.tenancy import NewSession

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_TO: Final = {"studio": "/studio", "console": "/console"}


@router.get("/sign-in")
async def sign_in_page(
    request: Request, identity: TheIdentity, link: str = "", to: str = ""
) -> Response:
    """Show the form; a link signs in by a button, since some mail programs open every link."""
    return page(
        request,
        "sign_in.html",
        link=link[:100],
        to=to if to in _TO else "",
        provider=identity.sign_in is not None,
    )


@router.post("/sign-in")
async def sign_in(
    request: Request,
    deployment: TheDeployment,
    link: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    to: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session."""
    identity = deployment.identity

    def begin() -> NewSession:
        if link:
            return identity.people.redeem(link)
        return identity.sign_in_here(request, name.strip(), password)

    address = request.client.host if request.client else ""
    async with deployment.sign_in_turns.turn(address):
        begun = await in_thread(begin)
    roles = begun.session.person.roles
    first = "/studio" if "creator" in roles else "/console"
    answer = RedirectResponse(_TO.get(to, first), status_code=303)
    deployment.identity.let_in(answer, begun)
    return answer


@router.post("/sign-out")
async def sign_out(
    request: Request, viewer: AnyViewer, deployment: TheDeployment, state: ThePageState
) -> Response:
    """End the session; also what the studio still held for its person."""
    state.pictures.forget(owner(viewer))
    answer = RedirectResponse("/verify", status_code=303)
    identity = deployment.identity
    await deployment.callers.stores.ask(lambda: identity.let_out(answer, request))
    return answer
