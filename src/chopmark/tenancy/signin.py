"""What a provider's claims make of somebody, and the sign-in by authorization code with PKCE."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from chopmark.errors import (
    AccessError,
    ConfigurationError,
    IdentityUnavailable,
    InvalidToken,
    SignInFailed,
)
from chopmark.tenancy.oidc import Provider
from chopmark.tenancy.people import ROLES, VOUCHED, Person, roles_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.settings import Settings

__all__ = ["Attempt", "SignIn"]

_MAX_NAME: Final = 200
_TIMEOUT_S: Final = 5.0
EVERY_TENANT: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A sign-in that was sent to the provider and has not come back.

    Attributes:
        state: Comes back with the answer (RFC 6749 section 10.12).
        nonce: Stands in the ID token.
        verifier: PKCE's secret (RFC 7636).
        then: Path of ours to go to afterwards.
    """

    state: str
    nonce: str
    verifier: str
    then: str

    @classmethod
    def new(cls, then: str) -> Self:
        """Return a fresh one."""
        return cls(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            then=then,
        )

    def __repr__(self) -> str:
        """Return a form without the secrets."""
        return f"Attempt(then={self.then!r})"


class SignIn:
    """One configured provider and what its claims mean here.

    Args:
        settings: The ``oidc_*`` ones; ``oidc_issuer`` must be set.
        provider: Another one, for tests.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(self, settings: Settings, *, provider: Provider | None = None) -> None:
        names = (name.strip() for name in settings.oidc_algorithms.split(","))
        self.provider = provider or Provider(
            settings.oidc_issuer, algorithms=frozenset(filter(None, names))
        )
        self._settings = settings
        self._roles = _role_map(settings.oidc_roles)
        if not settings.oidc_audience and not settings.oidc_client_id:
            raise ConfigurationError(
                "an OIDC issuer is set, and neither an audience nor a client id",
                hint="set CHOPMARK_OIDC_AUDIENCE for bearer tokens, CHOPMARK_OIDC_CLIENT_ID for"
                " the pages",
            )

    # Bearer tokens

    def person(self, token: str) -> Person:
        """Return whom a bearer token stands for.

        Raises:
            InvalidToken: It does not hold, or no bearer tokens are taken here.
            AccessError: It holds, and gives no role or no tenant here.
            IdentityUnavailable: The provider's keys cannot be had.
        """
        if not self._settings.oidc_audience:
            raise InvalidToken("no bearer tokens are taken here", hint="sign in at the pages")
        return self._person(self.provider.claims(token, audience=self._settings.oidc_audience))

    def _person(self, claims: Mapping[str, Any]) -> Person:
        settings = self._settings
        name = _claim(claims, settings.oidc_name_claim)
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
            raise InvalidToken(f"the token's {settings.oidc_name_claim} is not a name")
        given = _claim(claims, settings.oidc_roles_claim)
        groups = given.split() if isinstance(given, str) else given
        groups = (
            [each for each in groups if isinstance(each, str)] if isinstance(groups, list) else []
        )
        roles = {role for group in groups for role in self._roles.get(group, ())}
        if not roles:
            raise AccessError(
                "this sign-in gives no role here",
                hint=f"the deployer maps the claim {settings.oidc_roles_claim} to roles with"
                " CHOPMARK_OIDC_ROLES",
            )
        tenant = _claim(claims, settings.oidc_tenant_claim) or settings.oidc_tenant
        if not isinstance(tenant, str) or not tenant:
            raise AccessError(
                "this sign-in names no tenant",
                hint=f"the claim {settings.oidc_tenant_claim} or CHOPMARK_OIDC_TENANT must",
            )
        return Person(
            name=f"{VOUCHED}{name}",
            tenant=None if tenant == EVERY_TENANT else tenant,
            roles=roles_of(roles),
        )

    # The pages

    def start(self, attempt: Attempt, *, redirect_uri: str) -> str:
        """Return the provider's address to send a browser to.

        Raises:
            ConfigurationError: There is no client id.
            IdentityUnavailable: The provider does not answer.
        """
        with self._client(redirect_uri) as client:
            address, _ = client.create_authorization_url(
                self.provider.endpoint("authorization_endpoint"),
                state=attempt.state,
                code_verifier=attempt.verifier,
                nonce=attempt.nonce,
            )
        return str(address)

    def finish(self, attempt: Attempt, answer: Mapping[str, str], *, redirect_uri: str) -> Person:
        """Return who came back.

        Args:
            attempt: What this very browser was sent away with.
            answer: The query of the redirect.
            redirect_uri: As in :meth:`start`.

        Raises:
            SignInFailed: The answer belongs to another attempt, or the provider said no.
            InvalidToken: The ID token does not hold.
            IdentityUnavailable: The provider does not answer.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise SignInFailed("the answer belongs to another sign-in", hint="begin again")
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise SignInFailed("the answer comes from another provider", hint="begin again")
        if "code" not in answer:
            raise SignInFailed("the provider did not sign you in", hint="begin again")
        claims = self.provider.claims(
            self._id_token(answer["code"], attempt, redirect_uri),
            audience=self._settings.oidc_client_id,
        )
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise InvalidToken("the ID token answers another sign-in")
        if claims.get("azp", self._settings.oidc_client_id) != self._settings.oidc_client_id:
            raise InvalidToken("the ID token was made for another client")
        return self._person(claims)

    def _id_token(self, code: str, attempt: Attempt, redirect_uri: str) -> str:
        import httpx
        from authlib.common.errors import AuthlibBaseError

        endpoint = self.provider.endpoint("token_endpoint")
        try:
            with self._client(redirect_uri) as client:
                tokens = client.fetch_token(
                    endpoint,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=attempt.verifier,
                )
        except AuthlibBaseError:
            raise SignInFailed(
                "the provider does not know this sign-in", hint="begin again"
            ) from None
        except (httpx.HTTPError, ValueError) as error:
            raise IdentityUnavailable(
                f"the OIDC provider cannot be asked: {type(error).__name__}"
            ) from error
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise IdentityUnavailable("the OIDC provider gave no ID token")
        return token

    def _client(self, redirect_uri: str) -> Any:
        from authlib.integrations.httpx_client import OAuth2Client

        settings = self._settings
        if not settings.oidc_client_id:
            raise ConfigurationError(
                "people cannot sign in by OIDC here: there is no client id",
                hint="set CHOPMARK_OIDC_CLIENT_ID",
            )
        secret = settings.oidc_client_secret.get_secret_value()
        return OAuth2Client(
            settings.oidc_client_id,
            secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=settings.oidc_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            follow_redirects=False,
        )


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim; ``realm_access.roles`` is looked for inside, where no claim is called so."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _role_map(text: str) -> dict[str, frozenset[str]]:
    """Read ``group=role,group=role``; without any, a group called as a role is that role."""
    if not text.strip():
        return {role: frozenset({role}) for role in ROLES}
    mapped: dict[str, set[str]] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        group, separator, role = pair.rpartition("=")
        if not separator or role.strip() not in ROLES:
            raise ConfigurationError(
                f"CHOPMARK_OIDC_ROLES: {pair!r} is not GROUP=ROLE",
                hint=f"roles are {', '.join(ROLES)}",
            )
        mapped.setdefault(group.strip(), set()).add(role.strip())
    return {group: frozenset(roles) for group, roles in mapped.items()}
