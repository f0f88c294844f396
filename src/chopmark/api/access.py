"""Who asks: every route but the public ones needs a key, once there are keys.

Without any key the server answers its own machine only. Two things are checked then, because
loopback alone is not enough: the connection's address, and the ``Host`` header, since a web page
that the user happens to look at may have its own name resolve to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders

from chopmark.api.problems import problem_response
from chopmark.errors import AccessError, ChopmarkError, InvalidKey, MissingScope, RateLimited
from chopmark.tenancy import SCOPES, Scope, Tenant
from chopmark.tenancy.rates import WINDOW_S, Rate, Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from chopmark.settings import Settings
    from chopmark.tenancy import AccessStore

__all__ = [
    "PUBLIC",
    "Access",
    "Binding",
    "Caller",
    "Fetching",
    "Generating",
    "Known",
    "Measuring",
    "Moderating",
    "Reading",
    "Storing",
    "Verifying",
    "is_loopback",
]

# What the C2PA Soft Binding Resolution API says of itself needs no key (spec 2.4).
_DISCOVERY = {
    "/.well-known/c2pa-soft-binding-resolution",
    "/api/v1/c2pa/services/capabilities",
    "/api/v1/c2pa/services/status",
    "/api/v1/c2pa/services/supportedAlgorithms",
}
PUBLIC: Final = frozenset({"/healthz", "/readyz", "/openapi.json", *_DISCOVERY})
# What `CHOPMARK_PUBLIC_VERIFY` opens to everybody: looking, never writing, keeping or making.
_LOOKING: Final = frozenset[Scope]({"fetch:manifests", "verify"})
_LOOKED_AT: Final = ("/api/v1/verify", "/api/v1/c2pa/")
_KEY_HEADERS = ("authorization", "x-goog-api-key")
_ANYBODY = "anybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        tenant: Whose policy, quota, rate and log namespace apply.
        scopes: What the key allows.
        key_id: The key's public part; ``None`` on a server without keys.
        address: Where the connection comes from.
    """

    tenant: Tenant
    scopes: frozenset[Scope]
    key_id: str | None
    address: str | None

    @property
    def counted_as(self) -> str:
        """Whose requests are counted together: a tenant's, or those of one unknown address."""
        unknown = self.key_id is None and self.tenant.name == _ANYBODY
        return f"{_ANYBODY}:{self.address}" if unknown else self.tenant.name

    def subject(self, identifier: str | None) -> str | None:
        """Return the log's name for a person of this tenant.

        The log keeps one key per subject, whichever the tenant: two tenants may both have a user
        ``42``, and erasing one must not erase the other.
        """
        return None if identifier is None else f"{self.tenant.name}:{identifier}"


class Access:
    """ASGI middleware: finds out who asks, counts the request, or answers 401, 403 or 429."""

    def __init__(self, app: ASGIApp, *, store: AccessStore, settings: Settings) -> None:
        self.app = app
        self.store = store
        self.settings = settings
        self.rates = Rates()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass the request on with ``state.caller``, or answer."""
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        try:
            caller = self._caller(Headers(scope=scope), scope.get("client"), scope["path"])
        except ChopmarkError as error:
            state["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        state["caller"] = caller
        limit = caller.tenant.requests_per_minute
        if limit is None:
            limit = self.settings.requests_per_minute
        if limit == 0:
            await self.app(scope, receive, send)
            return
        rate = self.rates.take(caller.counted_as, limit)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(rate_headers(rate))
            await send(message)

        if rate.allowed:
            await self.app(scope, receive, told)
            return
        late = RateLimited(
            f"{limit} requests a minute are allowed",
            hint=f"the window ends in {math.ceil(rate.reset_s)} s",
            retry_after_s=rate.reset_s,
        )
        state["error"] = late
        await problem_response(late, path=scope["path"])(scope, receive, told)

    def _caller(self, headers: Headers, client: tuple[str, int] | None, path: str) -> Caller:
        address = client[0] if client else None
        if not self.store.has_keys():
            _own_machine(headers, address)
            return Caller(
                tenant=self.store.tenant("default"),
                scopes=frozenset(SCOPES),
                key_id=None,
                address=address,
            )
        keyless = not any(name in headers for name in _KEY_HEADERS)
        if self.settings.public_verify and keyless and path.startswith(_LOOKED_AT):
            anybody = Tenant(name=_ANYBODY)
            return Caller(tenant=anybody, scopes=_LOOKING, key_id=None, address=address)
        key, tenant = self.store.authenticate(_key_text(headers))
        return Caller(tenant=tenant, scopes=key.scopes, key_id=key.key_id, address=address)


def _own_machine(headers: Headers, address: str | None) -> None:
    host = headers.get("host", "").rsplit("@", 1)[-1]
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.split(":")[0]
    if address is None or not is_loopback(address) or not is_loopback(name):
        raise AccessError(
            "this server has no API keys yet, so it answers its own machine only",
            hint="make a key on the server: chopmark access create",
        )


def is_loopback(name: str) -> bool:
    """Tell whether an address, or the name ``localhost``, is this machine's own."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _key_text(headers: Headers) -> str:
    sent = [value for name in _KEY_HEADERS for value in headers.getlist(name)]
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


def needs(scope: Scope | None) -> Callable[[Request], Caller]:
    """Return a dependency that gives the caller, or refuses one whose key lacks the scope."""

    def caller(request: Request) -> Caller:
        found: Caller = request.state.caller
        if scope is not None and scope not in found.scopes:
            raise MissingScope(
                f"this API key does not have the scope {scope}",
                hint="ask the operator for a key that has it",
            )
        return found

    return caller


Known = Annotated[Any, Depends(needs(None))]
Binding = Annotated[Any, Depends(needs("store:bindings"))]
Fetching = Annotated[Any, Depends(needs("fetch:manifests"))]
Generating = Annotated[Any, Depends(needs("generate"))]
Measuring = Annotated[Any, Depends(needs("metrics"))]
Moderating = Annotated[Any, Depends(needs("moderate"))]
Reading = Annotated[Any, Depends(needs("read"))]
Storing = Annotated[Any, Depends(needs("store:manifests"))]
Verifying = Annotated[Any, Depends(needs("verify"))]
