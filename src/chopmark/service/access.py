"""Who asks: every route but the public ones needs a key or a sign-in, once there are any.

Until then the server answers its own machine only, and loopback alone is not enough for that: the
``Host`` header must be this machine's own name, since a web page that the user happens to look at
may have its own name resolve to 127.0.0.1 (DNS rebinding); no other site's page may have sent the
request; and nothing may say that it came through a proxy.
"""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from chopmark.errors import AccessError, ChopmarkError, InvalidKey, RateLimited
from chopmark.service.caller import Caller, anybody, anybody_here, of_key, of_person
from chopmark.service.origin import check_origin, is_forwarded, own_host
from chopmark.service.problems import problem_response
from chopmark.service.store_calls import StoreCalls
from chopmark.tenancy.rates import WINDOW_S, Rate, Rates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from chopmark.service.identity import Identity
    from chopmark.settings import Settings
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["PUBLIC", "Access", "Callers", "is_loopback", "is_public", "slow_down"]

# What the C2PA Soft Binding Resolution API says of itself needs no key (spec 2.4), nor what says
# where the detector is.
_DISCOVERY = {
    "/.well-known/ai-content-detector.json",
    "/.well-known/c2pa-soft-binding-resolution",
    "/api/v1/c2pa/services/capabilities",
    "/api/v1/c2pa/services/status",
    "/api/v1/c2pa/services/supportedAlgorithms",
}
PUBLIC: Final = frozenset({"/healthz", "/readyz", "/openapi.json", *_DISCOVERY})
# What `CHOPMARK_PUBLIC_VERIFY` opens to everybody who brings neither key nor session.
_DETECTOR: Final = ("/api/v1/verify", "/api/v1/c2pa/")
# Each of these looks for itself at who is signed in.
PUBLIC_UNDER: Final = (
    "/api/v1/session",
    "/api/v1/appeals",  # who was refused has no account, and is counted by their address
    "/api/v1/keys",
    "/api/v1/released",  # a link that was signed, and ends
    "/log",
    "/v1/images/content",  # whoever has an address has its signature
)
_KEY_HEADERS = ("authorization", "x-goog-api-key", "api-key")  # OpenAI, Google, Azure
_KEY_PREFIX = "cm_"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What of the public routes is counted, by where it comes from and over everybody, in a minute. Of
# appeals only wrong guesses are counted strictly, where they are known for what they are: whoever
# has a decision's id is not kept out by somebody who has none.
_APPEALS: Final = ("/api/v1/appeals", "about appeals", 600, 3000)
_OTHERS: Final = ("/", "without a key", 60, 600)


class Access:
    """ASGI middleware: finds out who asks, counts the request, or answers 401, 403 or 429."""

    def __init__(self, app: ASGIApp, *, callers: Callers) -> None:
        self.app = app
        self.callers = callers
        self.rates = Rates(callers.state, "api")

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass the request on with ``state.caller``, or answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        if "caller" in state:
            # A request of our own, whose sender was let in when they handed it over: nothing that
            # comes by a connection can put one here.
            await self.app(scope, receive, send)
            return
        if is_public(scope["path"]):
            try:
                await self._slow_down(scope)
                if scope["method"] not in _SAFE:
                    check_origin(Headers(scope=scope), own=self.callers.settings.public_url)
            except ChopmarkError as error:
                state["error"] = error
                await problem_response(error, path=scope["path"])(scope, receive, send)
                return
            await self.app(scope, receive, send)
            return
        try:
            caller, rate = await self.callers.stores.ask(lambda: self._let_in(scope))
        except ChopmarkError as error:
            state["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        state["caller"] = caller
        if rate is None:
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(rate_headers(rate))
            await send(message)

        if rate.allowed:
            await self.app(scope, receive, counted)
            return
        late = RateLimited(
            f"{rate.limit} requests a minute are allowed",
            hint=f"the window ends in {math.ceil(rate.reset_s)} s",
            retry_after_s=rate.reset_s,
        )
        state["error"] = late
        await problem_response(late, path=scope["path"])(scope, receive, counted)

    def _let_in(self, scope: AsgiScope) -> tuple[Caller, Rate | None]:
        """Return who asks, and where they stand after this request; no rate where none is set."""
        caller = self.callers.of_now(scope)
        if caller.unknown:
            return caller, self.callers.looked(caller)
        limit = caller.tenant.requests_per_minute
        if limit is None:
            limit = self.callers.settings.requests_per_minute
        return caller, self.rates.take(caller.counted_as, limit) if limit else None

    async def _slow_down(self, scope: AsgiScope) -> None:
        """Count what somebody without an account asks for, before anything of it is read.

        Raises:
            RateLimited: Their address, or all of them together, asked too often.
        """
        appeal = scope["path"].startswith(_APPEALS[0])
        if scope["method"] in _SAFE and not appeal:
            return
        _, what, one, everybody = _APPEALS if appeal else _OTHERS
        client = scope.get("client")
        address = client[0] if client else ""
        await self.callers.stores.ask(
            lambda: slow_down(self.rates, what, address, of_one=one, of_everybody=everybody)
        )


def slow_down(rates: Rates, what: str, address: str, *, of_one: int, of_everybody: int) -> None:
    """Count something that anybody may do, by where it comes from and over everybody.

    Raises:
        RateLimited: Their address, or all of them together, did it too often this minute.
    """
    for name, limit in ((f"{what} from {address}", of_one), (f"{what} of all", of_everybody)):
        rate = rates.take(name, limit)
        if not rate.allowed:
            raise RateLimited(
                f"{limit} requests a minute {what} are allowed",
                hint="try again in a minute",
                retry_after_s=rate.reset_s,
            )


class Callers:
    """Finds out who sent a request: by an API key, a session, a token, or the connection.

    Attributes:
        identity: Whom there is.
        settings: Whether strangers may look, and how often anybody may ask.
        state: Where requests are counted.
        stores: Asks for keys, people and counts off the event loop.
    """

    def __init__(self, *, identity: Identity, settings: Settings, state: SharedState) -> None:
        self.identity = identity
        self.settings = settings
        self.state = state
        self.stores = StoreCalls()
        self._looks = Rates(state, "detector")

    async def of(self, scope: AsgiScope) -> Caller:
        """Return who sent a request; raises as :meth:`of_now`."""
        return await self.stores.ask(lambda: self.of_now(scope))

    def looked(self, caller: Caller) -> Rate | None:
        """Count one look of somebody unknown, by their address; None where no rate is set."""
        limit = self.settings.public_verify_per_minute or self.settings.requests_per_minute
        return self._looks.take(caller.counted_as, limit) if limit else None

    def of_now(self, scope: AsgiScope) -> Caller:
        """Return who sent a request; it may wait for a database.

        Raises:
            AccessError: Nobody who is let in.
        """
        headers, client = Headers(scope=scope), scope.get("client")
        address, identity = client[0] if client else None, self.identity
        if not identity.guarded():
            _own_machine(scope, headers, address, self.settings.public_url)
            return anybody_here(identity.store.tenant("default"), address)
        sent = [value for name in _KEY_HEADERS for value in headers.getlist(name)]
        if not sent and (cookie := identity.cookie_of(headers)):
            session = identity.people.session(cookie)
            if scope["method"] not in _SAFE:
                session.check_csrf(headers.get("x-csrf-token"))
            return of_person(session.person, identity.tenant_of(session.person), address)
        if self.settings.public_verify and not sent and scope["path"].startswith(_DETECTOR):
            return anybody(address)
        text = _key_text(headers, sent)
        if identity.sign_in is not None and not text.startswith(_KEY_PREFIX):
            person = identity.sign_in.person(text)
            return of_person(person, identity.tenant_of(person), address)
        key, tenant = identity.store.authenticate(text)
        return of_key(key, tenant, address)


def is_public(path: str) -> bool:
    """Tell whether a route answers without asking who asks."""
    return path in PUBLIC or any(
        path == root or path.startswith(f"{root}/") for root in PUBLIC_UNDER
    )


def _own_machine(scope: AsgiScope, headers: Headers, address: str | None, own: str) -> None:
    """Let this machine's own programs and pages pass while nobody needs a key.

    A proxy makes every stranger a caller from this machine. What it adds to a request gives it
    away, and so does HTTP/1.0, which nginx speaks by itself and no client of today.
    """
    if (
        address is None
        or not is_loopback(address)
        or not own_host(headers)
        or is_forwarded(headers)
        or scope.get("http_version") == "1.0"
    ):
        raise AccessError(
            "this server has no API keys and no people yet, so it answers its own machine only",
            hint="make a key on the server: chopmark access create",
        )
    if scope["method"] not in _SAFE:
        # There is no key that another site's page would lack.
        check_origin(headers, own=own)


def is_loopback(name: str) -> bool:
    """Tell whether an address, or the name ``localhost``, is this machine's own."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _key_text(headers: Headers, sent: list[str]) -> str:
    if len(sent) != 1:
        # Two keys: whichever we took, something in front of us may have looked at the other.
        raise InvalidKey(
            "no API key was sent" if not sent else "more than one API key was sent",
            hint="send one: Authorization: Bearer cm_...",
        )
    scheme, _, text = sent[0].partition(" ")
    if "authorization" not in headers:
        return sent[0]
    if scheme.lower() != "bearer":
        raise InvalidKey("the Authorization header is not of the kind Bearer")
    return text.strip()


def rate_headers(rate: Rate) -> Mapping[str, str]:
    """Return both styles: OpenAI's, and draft-ietf-httpapi-ratelimit-headers-11's."""
    reset = math.ceil(rate.reset_s)
    return {
        "x-ratelimit-limit-requests": str(rate.limit),
        "x-ratelimit-remaining-requests": str(rate.remaining),
        "x-ratelimit-reset-requests": f"{reset}s",
        "ratelimit-policy": f'"default";q={rate.limit};w={WINDOW_S}',
        "ratelimit": f'"default";r={rate.remaining};t={reset}',
    }
