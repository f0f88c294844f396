"""Who may ask: keys, people, tenants, rates and quotas."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = [
    "AccessError",
    "AccessKeyNotFound",
    "CoolingDown",
    "CsrfMismatch",
    "DatabaseUnavailable",
    "IdentityUnavailable",
    "InvalidKey",
    "InvalidToken",
    "MissingScope",
    "NotSignedIn",
    "PersonNotFound",
    "PersonSuspended",
    "QuotaExhausted",
    "RateLimited",
    "SignInFailed",
    "TenantNotFound",
]


class AccessError(ChopmarkError):
    """Whoever asks may not do this, or not now.

    Attributes:
        record_id: Where it is logged that a person asked and was turned away; else empty.
    """

    record_id: str = ""
    code = "access_denied"
    status = 403


class AccessKeyNotFound(AccessError):
    """No API key of this id."""

    code = "key_not_found"
    status = 404


class InvalidKey(AccessError):
    """The API key is missing, unknown, expired or revoked."""

    code = "invalid_api_key"
    status = 401


class MissingScope(AccessError):
    """The API key does not allow this operation."""

    code = "missing_scope"


class NotSignedIn(AccessError):
    """Nobody is signed in, or the session has ended."""

    code = "not_signed_in"
    status = 401


class SignInFailed(NotSignedIn):
    """Name and password do not belong together, or a link is not good."""

    code = "sign_in_failed"


class InvalidToken(NotSignedIn):
    """A bearer token of the OIDC provider that is not good here."""

    code = "invalid_token"


class CsrfMismatch(AccessError):
    """A request with a session's cookie came without the session's CSRF token."""

    code = "csrf_mismatch"


class PersonNotFound(AccessError):
    """No person of this name."""

    code = "person_not_found"
    status = 404


class PersonSuspended(AccessError):
    """The desk suspended the person: nothing is made for them."""

    code = "person_suspended"


class IdentityUnavailable(AccessError):
    """The OIDC provider does not answer, or answers nonsense."""

    code = "identity_unavailable"
    status = 503


class TenantNotFound(AccessError):
    """No tenant of this name."""

    code = "tenant_not_found"
    status = 404


class DatabaseUnavailable(ChopmarkError):
    """The database of keys, people and quotas does not answer, so nobody can be let in."""

    code = "database_unavailable"
    status = 503


class RateLimited(AccessError):
    """The tenant's rate of requests, or its share of the queue, is used up.

    Args:
        message: As in the base.
        hint: As in the base.
        retry_after_s: Seconds after which asking again makes sense.
    """

    code = "rate_limit_exceeded"
    status = 429

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class QuotaExhausted(RateLimited):
    """The tenant's pictures of the day are used up."""

    code = "insufficient_quota"


class CoolingDown(RateLimited):
    """Too many refusals in a short time: the same person must wait."""

    code = "cooling_down"
