"""From a cookie or a bearer token to a person; used by the API's routes and by the pages alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from chopmark.errors import AccessError, NotSignedIn, TenantNotFound

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.responses import Response

    from chopmark.settings import Settings
    from chopmark.tenancy import AccessStore, NewSession, People, Person, Scope, Session, Tenant
    from chopmark.tenancy.signin import SignIn

__all__ = ["COOKIE", "Identity"]

COOKIE: Final = "chopmark_session"


class Identity:
    """Everybody who may be let in.

    Attributes:
        store: API keys and tenants.
        people: Local people and every session.
        sign_in: The OIDC provider; ``None`` when there is none.
        secure: People reach the server by https, so cookies are for https only.
    """

    def __init__(self, settings: Settings, store: AccessStore, people: People) -> None:
        self.store = store
        self.people = people
        self.secure = settings.public_url.startswith("https://")
        self.sign_in: SignIn | None = None
        if settings.oidc_issuer:
            from chopmark.tenancy.signin import SignIn

            self.sign_in = SignIn(settings)

    def guarded(self) -> bool:
        """Tell whether anybody was ever given access: from then on everybody must show it."""
        return self.sign_in is not None or self.store.has_keys() or self.people.any()

    def key_allows(self, key_id: str, scope: Scope) -> bool:
        """Tell whether a key is good now and has a scope."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        good = [key for key in self.store.keys() if key.key_id == key_id and not key.revoked_at]  # noqa: SIM118 - no dict
        return any(
            scope in key.scopes and (key.expires_at is None or key.expires_at > now) for key in good
        )

    def cookie_of(self, headers: Headers) -> str | None:
        """Return the session's token that a request brings; two of them are none."""
        found = [
            value.strip()
            for line in headers.getlist("cookie")
            for name, _, value in (part.partition("=") for part in line.split(";"))
            if name.strip() == COOKIE
        ]
        return found[0] if len(found) == 1 else None

    def tenant_of(self, person: Person) -> Tenant:
        """Return the tenant that a person's own requests count for.

        Raises:
            AccessError: The provider names a tenant that does not exist here.
        """
        try:
            return self.store.tenant(person.tenant or "default")
        except TenantNotFound as error:
            raise AccessError(
                "this sign-in names a tenant that does not exist here", hint=error.hint
            ) from None

    def session_of(self, request: Request) -> Session | None:
        """Return the session of a page's request, or ``None`` when nobody is signed in.

        The caller checks ``session.check_csrf(...)`` before anything is changed.
        """
        cookie = self.cookie_of(request.headers)
        if cookie is None:
            return None
        try:
            return self.people.session(cookie)
        except NotSignedIn:
            return None

    def let_in(self, response: Response, begun: NewSession) -> None:
        """Give a browser the session's cookie: not for scripts, not sent by other sites' forms."""
        response.set_cookie(
            COOKIE,
            begun.token,
            max_age=int(self.people.longest_s),
            httponly=True,
            secure=self.secure,
            samesite="lax",
        )
        response.headers["cache-control"] = "no-store"

    def let_out(self, response: Response, request: Request) -> None:
        """End the session that a browser brings, and take its cookie."""
        cookie = self.cookie_of(request.headers)
        if cookie is not None:
            self.people.end(cookie)
        response.delete_cookie(COOKIE, httponly=True, secure=self.secure, samesite="lax")
