"""Who looks at a page: a person who signed in, whoever sits at this machine, or anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import Headers

from chopmark.errors import AccessError, MissingScope, NotSignedIn, RateLimited
from chopmark.service.caller import Caller, anybody, of_person
from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.tenancy.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

    from chopmark.service.access import Callers
    from chopmark.tenancy import PersonRole, Session

__all__ = [
    "AnyViewer",
    "StudioViewer",
    "VerifyViewer",
    "Viewer",
    "Viewers",
    "needs",
    "viewer_of",
]

_DETECTOR: Final = "/verify"
_DESK: Final = frozenset(
    {"auditor", "eraser", "exporter", "investigator", "operator", "reader", "reviewer"}
)


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who looks at a page.

    Attributes:
        caller: Who they are to the service and to the desk.
        session: Theirs, where they signed in.
    """

    caller: Caller
    session: Session | None = None

    @property
    def name(self) -> str:
        """What the log calls them; empty for the public."""
        return self.caller.name

    @property
    def roles(self) -> frozenset[PersonRole]:
        """What they may do."""
        return self.caller.roles

    @property
    def tenant(self) -> str | None:
        """Whose records they see at the desk; ``None`` is all tenants."""
        return None if self.caller.every_tenant else self.caller.tenant.name

    @property
    def csrf(self) -> str:
        """What every form of theirs carries; empty where there is no session to be misused."""
        return self.session.csrf if self.session else ""

    @property
    def at_desk(self) -> bool:
        """Whether the console has anything for them."""
        return bool(self.roles & _DESK)


class Viewers:
    """Finds out who looks, and counts what each of them asks for."""

    def __init__(self, callers: Callers) -> None:
        self.callers = callers
        self.identity = callers.identity
        self.rates = Rates(callers.state, "pages")

    async def of(self, scope: Scope) -> Viewer:
        """Return who sent a request.

        Raises:
            AccessError: A session of somebody whose tenant is gone.
            RateLimited: They ask too often.
            DatabaseUnavailable: It cannot be told.
        """
        return await self.callers.stores.ask(lambda: self._of_now(scope))

    def _of_now(self, scope: Scope) -> Viewer:
        client = scope.get("client")
        address = client[0] if client else None
        headers = Headers(scope=scope)
        viewer = self._signed_in(headers, address)
        # Programs may use the detector's pages too; the others are for people alone.
        by_key = "authorization" in headers or "x-goog-api-key" in headers
        if viewer is None and by_key and scope["path"].startswith(_DETECTOR):
            viewer = Viewer(caller=self.callers.of_now(scope))
        if viewer is None and not self.identity.guarded():
            # Nobody was given access yet: whoever sits at this machine is let in, as by the API.
            try:
                viewer = Viewer(caller=self.callers.of_now(scope))
            except AccessError:
                viewer = None
        if viewer is None:
            viewer = Viewer(caller=anybody(address))
        limit = self.callers.settings.requests_per_minute
        rate = self.rates.take(f"{viewer.name} {address}", limit) if limit else None
        if rate is not None and not rate.allowed:
            raise RateLimited(f"{limit} requests a minute are allowed", retry_after_s=rate.reset_s)
        return viewer

    def _signed_in(self, headers: Headers, address: str | None) -> Viewer | None:
        token = self.identity.cookie_of(headers)
        if token is None:
            return None
        try:
            session = self.identity.people.session(token)
        except NotSignedIn:
            return None
        person = session.person
        caller = of_person(person, self.identity.tenant_of(person), address)
        return Viewer(caller=caller, session=session)


def viewer_of(request: Request) -> Viewer:
    """Return who looks."""
    viewer: Viewer = request.state.viewer
    return viewer


def needs(*roles: PersonRole) -> Callable[[Request], Viewer]:
    """Return a dependency that gives the viewer, if they have one of the roles.

    Raises:
        NotSignedIn: It is nobody.
        MissingScope: They have none of the roles.
    """

    def checked(request: Request) -> Viewer:
        viewer = viewer_of(request)
        if not viewer.name:
            raise NotSignedIn("this page is for people who signed in", hint="sign in first")
        if not viewer.roles.intersection(roles):
            raise MissingScope(
                f"this takes one of the roles {', '.join(roles)}",
                hint="ask the operator for the role",
            )
        return viewer

    return checked


async def looks_at_pictures(request: Request) -> Viewer:
    """Return the viewer of the detector's pages, which are open to all only where that is set.

    Raises:
        NotSignedIn: It is nobody, and the deployer did not open the pages to everybody.
        MissingScope: A key without the scope ``verify``.
        RateLimited: Somebody unknown looks too often from one address, here and over the API.
    """
    viewer = viewer_of(request)
    deployment = state_of(request.app, Deployment)
    public = deployment.settings.public_verify
    if viewer.caller.unknown and not public:
        raise NotSignedIn(
            "pictures are looked at here for people who signed in, or with an API key",
            hint="sign in first; the deployer opens the page to everybody with "
            "CHOPMARK_PUBLIC_VERIFY",
        )
    if "verify" not in viewer.caller.scopes:
        raise MissingScope(
            "this API key does not have the scope verify",
            hint="ask the operator for one that has it",
        )
    if viewer.caller.unknown and request.method == "POST":
        callers = deployment.callers
        rate = await callers.stores.ask(lambda: callers.looked(viewer.caller))
        if rate is not None and not rate.allowed:
            raise RateLimited(
                f"{rate.limit} looks a minute are allowed without an account",
                hint="try again in a minute",
                retry_after_s=rate.reset_s,
            )
    return viewer


AnyViewer = Annotated[Viewer, Depends(viewer_of)]
StudioViewer = Annotated[Viewer, Depends(needs("creator"))]
VerifyViewer = Annotated[Viewer, Depends(looks_at_pictures)]
