"""Signing in and out, over JSON and by way of an OIDC provider; the pages have their own forms."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from chopmark.errors import ConfigurationError, InvalidRequest, NotSignedIn, SignInFailed
from chopmark.kit.limits import PASSWORD
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.tenancy.signin import Attempt

if TYPE_CHECKING:
    from chopmark.service.identity import Identity
    from chopmark.settings import Settings
    from chopmark.tenancy import NewSession, Session
    from chopmark.tenancy.signin import SignIn

__all__ = ["router", "safe_path"]

router = APIRouter(responses=RESPONSES, tags=["sign-in"])
_ATTEMPT: Final = "chopmark_sign_in"
_ATTEMPT_S: Final = 600
_CALLBACK: Final = "/api/v1/session/oidc/callback"
# A path of ours: one slash, then nothing that a browser takes for a host or a scheme.
_PATH = re.compile(r"/(?:[A-Za-z0-9_~.-][A-Za-z0-9_~./=&?%-]{0,500})?")


class ByPassword(BaseModel):
    """A local person's name and password."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(max_length=100)
    password: str = Field(max_length=PASSWORD.most)


class ByLink(BaseModel):
    """The token of a one-time link."""

    model_config = ConfigDict(extra="forbid", strict=True)

    link: str = Field(max_length=100)


@router.post("/api/v1/session")
async def sign_in(
    body: ByPassword | ByLink, request: Request, deployment: TheDeployment
) -> Response:
    """Sign in by name and password or by a one-time link; sets the session's cookie."""

    def begin() -> NewSession:
        if isinstance(body, ByLink):
            return deployment.identity.people.redeem(body.link)
        return deployment.identity.sign_in_here(request, body.name, body.password)

    address = request.client.host if request.client else ""
    async with deployment.sign_in_turns.turn(address):
        begun = await in_thread(begin)
    response = JSONResponse(_session_fields(begun.session))
    deployment.identity.let_in(response, begun)
    return response


@router.get("/api/v1/session")
async def who(request: Request, deployment: TheDeployment) -> dict[str, Any]:
    """Say who is signed in, and the CSRF token that goes with their requests."""
    stores, identity = deployment.callers.stores, deployment.identity
    session = await stores.ask(lambda: identity.session_of(request))
    if session is None:
        raise NotSignedIn("nobody is signed in", hint="POST /api/v1/session signs in")
    return _session_fields(session)


@router.delete("/api/v1/session")
async def sign_out(request: Request, deployment: TheDeployment) -> Response:
    """Sign out."""
    stores, identity = deployment.callers.stores, deployment.identity
    session = await stores.ask(lambda: identity.session_of(request))
    if session is not None:
        session.check_csrf(request.headers.get("x-csrf-token"))
    response = JSONResponse({"signed_in": False})
    await stores.ask(lambda: identity.let_out(response, request))
    return response


@router.get("/api/v1/session/oidc", status_code=303)
async def to_the_provider(
    deployment: TheDeployment,
    then: Annotated[str, Query(max_length=512, description="Path to go to afterwards")] = "/",
) -> Response:
    """Send the browser to the OIDC provider."""
    provider, attempt = _provider(deployment.identity), Attempt.new(safe_path(then))
    back = _callback_url(deployment.settings)
    where = await in_thread(lambda: provider.start(attempt, redirect_uri=back))
    response = RedirectResponse(where, 303)
    response.set_cookie(
        _ATTEMPT,
        _packed(attempt),
        max_age=_ATTEMPT_S,
        path="/api/v1/session",
        httponly=True,
        secure=deployment.identity.secure,
        samesite="lax",  # it must come back from the provider's site
    )
    response.headers["cache-control"] = "no-store"
    return response


@router.get(_CALLBACK, status_code=303)
async def from_the_provider(request: Request, deployment: TheDeployment) -> Response:
    """Let in whoever comes back from the provider with the right answer."""
    identity = deployment.identity
    provider, attempt = _provider(identity), _unpacked(request.cookies.get(_ATTEMPT, ""))
    answer, back = dict(request.query_params), _callback_url(deployment.settings)
    person = await in_thread(lambda: provider.finish(attempt, answer, redirect_uri=back))
    # A tenant that does not exist is an error here, not at each request.
    await in_thread(lambda: identity.tenant_of(person))
    begun = await in_thread(lambda: identity.people.begin(person, vouched=True))
    response = RedirectResponse(attempt.then, 303)
    identity.let_in(response, begun)
    response.delete_cookie(_ATTEMPT, path="/api/v1/session", httponly=True, secure=identity.secure)
    return response


def safe_path(text: str) -> str:
    """Return the path if it is one of ours, else ``/``: nobody is sent to another site."""
    return text if _PATH.fullmatch(text) else "/"


def _provider(identity: Identity) -> SignIn:
    if identity.sign_in is None:
        raise InvalidRequest(
            "there is no OIDC provider here", hint="the deployer sets CHOPMARK_OIDC_ISSUER"
        )
    return identity.sign_in


def _callback_url(settings: Settings) -> str:
    base = settings.public_url.rstrip("/")
    if not base:
        # From the Host header it would be the caller who says where the code is sent to.
        raise ConfigurationError(
            "people cannot sign in by OIDC: the server's address is not set",
            hint="set CHOPMARK_PUBLIC_URL",
        )
    return f"{base}{_CALLBACK}"


def _session_fields(session: Session) -> dict[str, Any]:
    person = session.person
    return {
        "name": person.name,
        "tenant": person.tenant,
        "roles": sorted(person.roles),
        "csrf_token": session.csrf,
        "expires_at": int(session.expires_at),
    }


def _packed(attempt: Attempt) -> str:
    text = json.dumps([attempt.state, attempt.nonce, attempt.verifier, attempt.then])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _unpacked(cookie: str) -> Attempt:
    try:
        state, nonce, verifier, then = json.loads(base64.urlsafe_b64decode(cookie))
        if not all(isinstance(each, str) and each for each in (state, nonce, verifier, then)):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise SignInFailed(
            "this browser did not begin a sign-in here, or too long ago", hint="begin again"
        ) from None
    return Attempt(state=state, nonce=nonce, verifier=verifier, then=safe_path(then))
