"""Bearer and ID tokens of one OIDC provider, checked (OpenID Connect Core 1.0, RFC 7519, RFC 8725).

Only what the deployer configured is believed: the issuer's own discovery document says where its
keys are, and no header of a token (``jku``, ``x5u``, ``jwk``) is ever followed. Algorithms are
pinned and asymmetric, so that a public key can never be taken for a shared secret.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from chopmark.errors import ConfigurationError, IdentityUnavailable, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx
    from joserfc.jwk import KeySet

__all__ = ["ALGORITHMS", "Provider"]

_LOG = logging.getLogger(__name__)
ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 2**20
_MAX_TOKEN: Final = 16_384
_KEPT_S: Final = 3600
# While the provider does not answer, what was fetched is good for so long.
_STALE_S: Final = 24 * 3600
# A key id that is new may be a rotation or somebody's invention: ask, but not for each.
_ASK_AGAIN_S: Final = 30
_LEEWAY_S: Final = 60
_TYPES: Final = frozenset({None, "JWT", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class _Fetched:
    document: Mapping[str, Any]
    keys: KeySet
    key_ids: frozenset[str | None]
    at: float


class Provider:
    """One issuer, its document and its keys; fetched when first needed, kept for an hour.

    Args:
        issuer: Its address, as it stands in ``iss``; https, or http on this machine for tests.
        algorithms: Signature algorithms that are taken.
        clock: Seconds since 1970.

    Raises:
        ConfigurationError: The issuer's address or an algorithm cannot be used.
    """

    def __init__(
        self,
        issuer: str,
        *,
        algorithms: frozenset[str] = frozenset({"RS256", "ES256"}),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not algorithms or not algorithms <= ALGORITHMS:
            other = ", ".join(sorted(algorithms - ALGORITHMS)) or "none"
            raise ConfigurationError(
                f"OIDC algorithms {other}: not taken",
                hint=f"take some of {', '.join(sorted(ALGORITHMS))}",
            )
        self.issuer = issuer
        self._local = _is_local(issuer)
        if not self._may_fetch(issuer):
            raise ConfigurationError(
                f"the OIDC issuer {issuer!r} is not an https address",
                hint="set CHOPMARK_OIDC_ISSUER to what stands in the provider's tokens as iss",
            )
        self._algorithms = sorted(algorithms)
        self._clock = clock
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._asked_at = float("-inf")

    def endpoint(self, name: str) -> str:
        """Return an address of the provider's document, such as ``token_endpoint``.

        Raises:
            IdentityUnavailable: The provider does not answer, or names none.
        """
        address = self._known().document.get(name)
        if not isinstance(address, str) or not self._may_fetch(address):
            raise IdentityUnavailable(f"the OIDC provider names no usable {name}")
        return address

    def claims(self, token: str, *, audience: str) -> dict[str, Any]:
        """Return what a token says, once everything about it was checked.

        Args:
            token: A signed JWT.
            audience: Must be, or be among, its ``aud``.

        Raises:
            InvalidToken: A check failed; the message says which.
            IdentityUnavailable: The provider's keys cannot be had.
        """
        from joserfc import errors as jose
        from joserfc import jwt

        header = _header(token)
        if header.get("alg") not in self._algorithms:
            raise InvalidToken("the token is signed with an algorithm that is not taken here")
        if header.get("typ") not in _TYPES or "crit" in header:
            raise InvalidToken("the token is of another type")
        keys = self._keys_for(header.get("kid"))
        try:
            decoded = jwt.decode(token, keys, algorithms=self._algorithms).claims
            jwt.JWTClaimsRegistry(
                now=lambda: int(self._clock()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": audience},
                sub={"essential": True},
                exp={"essential": True},
            ).validate(decoded)
        except jose.ExpiredTokenError:
            raise InvalidToken("the token has expired", hint="get a new one") from None
        except jose.ClaimError as error:
            raise InvalidToken(f"the token's {error.claim} is not the one asked for") from None
        except (jose.JoseError, ValueError, TypeError):
            raise InvalidToken("the token's signature does not hold") from None
        return dict(decoded)

    def _keys_for(self, key_id: object) -> KeySet:
        known = self._known()
        if key_id is not None and key_id not in known.key_ids:
            known = self._known(at_least=self._clock() - _ASK_AGAIN_S)
            if key_id not in known.key_ids:
                raise InvalidToken("the token names a key that the provider does not have")
        return known.keys

    def _known(self, *, at_least: float | None = None) -> _Fetched:
        """Return what is known of the provider, fetched at ``at_least`` or later if that works."""
        with self._lock:
            now, known = self._clock(), self._fetched
            wanted = now - _KEPT_S if at_least is None else at_least
            if known is not None and known.at >= wanted:
                return known
            if now - self._asked_at >= _ASK_AGAIN_S:
                self._asked_at = now
                try:
                    self._fetched = known = self._fetch(now)
                except IdentityUnavailable:
                    if known is None or now - known.at > _STALE_S:
                        raise
            if known is None or now - known.at > _STALE_S:
                raise IdentityUnavailable(
                    "the OIDC provider did not answer a moment ago", hint="try again soon"
                )
            return known

    def _fetch(self, now: float) -> _Fetched:
        import httpx
        from joserfc.jwk import KeySet

        with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
            document = _get(client, f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != self.issuer:
                raise IdentityUnavailable("the OIDC provider calls itself by another name")
            where = document.get("jwks_uri")
            if not isinstance(where, str) or not self._may_fetch(where):
                raise IdentityUnavailable("the OIDC provider names no usable jwks_uri")
            listed = _get(client, where).get("keys")
        # A shared secret in a public list is no secret; an encryption key signs nothing.
        usable = [
            key
            for key in (listed if isinstance(listed, list) else ())
            if isinstance(key, dict)
            and key.get("kty") in {"RSA", "EC", "OKP"}
            and key.get("use", "sig") == "sig"
        ]
        if not usable:
            raise IdentityUnavailable("the OIDC provider has no signing keys")
        try:
            keys = KeySet.import_key_set({"keys": usable})
        except Exception as error:
            raise IdentityUnavailable("the OIDC provider's keys cannot be read") from error
        _LOG.debug("%d signing keys of the OIDC provider are in use", len(usable))
        return _Fetched(document, keys, frozenset(key.get("kid") for key in usable), now)

    def _may_fetch(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host = parts.hostname
        except ValueError:
            return False
        return bool(host) and (
            parts.scheme == "https"
            or (parts.scheme == "http" and self._local and _is_local(address))
        )


def _is_local(address: str) -> bool:
    try:
        return urlsplit(address).hostname in {"127.0.0.1", "::1", "localhost"}
    except ValueError:
        return False


def _get(client: httpx.Client, address: str) -> dict[str, Any]:
    import httpx

    try:
        with client.stream("GET", address, headers={"accept": "application/json"}) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise IdentityUnavailable("the OIDC provider sent too much")
            if answer.status_code != 200:
                raise IdentityUnavailable(f"the OIDC provider answered {answer.status_code}")
        document = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise IdentityUnavailable(
            f"the OIDC provider cannot be asked: {type(error).__name__}",
            hint="is CHOPMARK_OIDC_ISSUER right and reachable from here?",
        ) from error
    if not isinstance(document, dict):
        raise IdentityUnavailable("the OIDC provider answered something else")
    return document


def _header(token: str) -> dict[str, Any]:
    """Return the header as it stands, before anything is believed of it."""
    from joserfc.errors import JoseError
    from joserfc.jws import extract_compact

    if len(token) > _MAX_TOKEN:
        raise InvalidToken("the token is too long")
    try:
        return dict(extract_compact(token.encode()).headers())
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidToken("the bearer token is neither an API key nor a signed JWT") from None
