"""Every error that Chopmark raises on purpose, in one tree.

Each class has a stable ``code`` (machines match on it, it never changes its meaning), an HTTP
``status``, a message that says what is wrong with which value, and a ``hint`` that says what to do.

::

    ChopmarkError
    ├── InvalidRequest            invalid_request        400
    │   ├── IdempotencyInFlight   idempotency_in_flight  409
    │   ├── IdempotencyMismatch   idempotency_mismatch   422
    │   ├── UnreadableImage       unreadable_image       400
    │   ├── UnsupportedImage      unsupported_image      415
    │   ├── ImageTooSmall         image_too_small        400
    │   ├── ImageTooLarge         image_too_large        413
    │   ├── TooManyImages         too_many_images        400
    │   └── ValueTooLong          value_too_long         414
    ├── AccessError               access_denied          403
    │   ├── AccessKeyNotFound     key_not_found          404
    │   ├── InvalidKey            invalid_api_key        401
    │   ├── MissingScope          missing_scope          403
    │   ├── NotSignedIn           not_signed_in          401
    │   │   ├── SignInFailed      sign_in_failed         401
    │   │   └── InvalidToken      invalid_token          401
    │   ├── CsrfMismatch          csrf_mismatch          403
    │   ├── PersonNotFound        person_not_found       404
    │   ├── IdentityUnavailable   identity_unavailable   503
    │   ├── RateLimited           rate_limit_exceeded    429
    │   │   ├── CoolingDown       cooling_down           429
    │   │   └── QuotaExhausted    insufficient_quota     429
    │   └── TenantNotFound        tenant_not_found       404
    ├── ConfigurationError        configuration_error    500
    │   ├── InvalidPolicy         invalid_policy         400
    │   └── CredentialRefused     credential_refused     500
    ├── ModelError                model_error            500
    │   ├── ModelNotFound         model_not_found        404
    │   ├── ModelLoadError        model_load_error       503
    │   └── GenerationFailed      generation_failed      500
    ├── GuardFailed               guard_failed           503
    │   └── HashListError         hash_list_error        400
    ├── MarkError                 mark_error             500
    │   ├── MarkNotReadable       mark_not_readable      500
    │   │   └── MarkTooWeak       mark_too_weak          400
    │   └── UnknownMethod         unknown_mark_method    400
    ├── SigningFailed             signing_failed         500
    │   └── ManifestUnreadable    manifest_unreadable    500
    ├── ResolverError             resolver_error         500
    │   ├── ManifestConflict      manifest_conflict      409
    │   ├── ManifestKept          manifest_kept          403
    │   ├── ManifestNotFound      manifest_not_found     404
    │   └── NotOffered            not_offered            403
    ├── AuditError                audit_error            500
    │   ├── LogUnavailable        log_unavailable        503
    │   ├── LogCorrupt            log_corrupt            500
    │   ├── DuplicateRecord       duplicate_record       409
    │   ├── ErasureRefused        erasure_refused        409
    │   ├── NotPermitted          not_permitted          403
    │   └── RecordNotFound        record_not_found       404
    ├── StageTimeout              stage_timeout          504
    ├── Busy                      busy                   503
    ├── Cancelled                 cancelled              499
    └── Refused                   moderation_blocked     400   (in ``chopmark.pipeline``)

Code that reads foreign bytes (pictures, manifests, policies, receipts) turns every ``ValueError``,
``KeyError`` or native failure into one of these.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccessError",
    "AccessKeyNotFound",
    "AuditError",
    "Busy",
    "Cancelled",
    "ChopmarkError",
    "ConfigurationError",
    "CoolingDown",
    "CredentialRefused",
    "CsrfMismatch",
    "DuplicateRecord",
    "ErasureRefused",
    "GenerationFailed",
    "GuardFailed",
    "HashListError",
    "IdempotencyInFlight",
    "IdempotencyMismatch",
    "IdentityUnavailable",
    "ImageTooLarge",
    "ImageTooSmall",
    "InvalidKey",
    "InvalidPolicy",
    "InvalidRequest",
    "InvalidToken",
    "LogCorrupt",
    "LogUnavailable",
    "ManifestConflict",
    "ManifestKept",
    "ManifestNotFound",
    "ManifestUnreadable",
    "MarkError",
    "MarkNotReadable",
    "MarkTooWeak",
    "MissingScope",
    "ModelError",
    "ModelLoadError",
    "ModelNotFound",
    "NotOffered",
    "NotPermitted",
    "NotSignedIn",
    "PersonNotFound",
    "QuotaExhausted",
    "RateLimited",
    "RecordNotFound",
    "ResolverError",
    "SignInFailed",
    "SigningFailed",
    "StageTimeout",
    "TenantNotFound",
    "TooManyImages",
    "UnknownMethod",
    "UnreadableImage",
    "UnsupportedImage",
    "ValueTooLong",
]


class ChopmarkError(Exception):
    """Base of every error of ours.

    Args:
        message: What is wrong, with which value. One sentence; never a prompt or a key.
        hint: What the caller can do about it; empty when there is nothing to do.
    """

    code: ClassVar[str] = "chopmark_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def explain(self) -> str:
        """Return the message and the hint as a person would read them."""
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InvalidRequest(ChopmarkError):
    """A value that the caller gave cannot be used.

    Args:
        message: As in the base.
        hint: As in the base.
        param: The field of the request that holds the value, where there is one.
    """

    code = "invalid_request"
    status = 400

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class IdempotencyInFlight(InvalidRequest):
    """The first request with this Idempotency-Key still runs."""

    code = "idempotency_in_flight"
    status = 409


class IdempotencyMismatch(InvalidRequest):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_mismatch"
    status = 422


class UnreadableImage(InvalidRequest):
    """The bytes are not a picture that we can decode."""

    code = "unreadable_image"


class UnsupportedImage(InvalidRequest):
    """A picture, but of a kind that we do not handle (animated, unknown format)."""

    code = "unsupported_image"
    status = 415


class TooManyImages(InvalidRequest):
    """More pictures for one edit than the model takes, or than the settings allow."""

    code = "too_many_images"


class ImageTooSmall(InvalidRequest):
    """The picture has fewer pixels than the operation needs."""

    code = "image_too_small"


class ImageTooLarge(InvalidRequest):
    """The picture or its file is over a limit (bytes or pixels)."""

    code = "image_too_large"
    status = 413


class ValueTooLong(InvalidRequest):
    """A value in an address is too long; in a body it would not be."""

    code = "value_too_long"
    status = 414


class AccessError(ChopmarkError):
    """Whoever asks may not do this, or not now."""

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


class IdentityUnavailable(AccessError):
    """The OIDC provider does not answer, or answers nonsense."""

    code = "identity_unavailable"
    status = 503


class TenantNotFound(AccessError):
    """No tenant of this name."""

    code = "tenant_not_found"
    status = 404


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


class ConfigurationError(ChopmarkError):
    """A setting or a file of the deployer is wrong."""

    code = "configuration_error"


class InvalidPolicy(ConfigurationError):
    """A policy file cannot be used."""

    code = "invalid_policy"
    status = 400


class CredentialRefused(ConfigurationError):
    """A signing certificate that no verifier would accept."""

    code = "credential_refused"


class ModelError(ChopmarkError):
    """Something about the generator."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No model of this id is to be had here."""

    code = "model_not_found"
    status = 404


class ModelLoadError(ModelError):
    """The model is there and does not load."""

    code = "model_load_error"
    status = 503


class GenerationFailed(ModelError):
    """The generator ran and gave no usable picture."""

    code = "generation_failed"


class GuardFailed(ChopmarkError):
    """A prompt or picture could not be judged; nothing unjudged is let through."""

    code = "guard_failed"
    status = 503


class HashListError(GuardFailed):
    """A hash list cannot be read."""

    code = "hash_list_error"
    status = 400


class MarkError(ChopmarkError):
    """Something about the watermark."""

    code = "mark_error"


class MarkNotReadable(MarkError):
    """A mark was struck and could not be read back."""

    code = "mark_not_readable"


class MarkTooWeak(MarkNotReadable):
    """The size or quality that the caller chose leaves no room for a watermark."""

    code = "mark_too_weak"
    status = 400


class UnknownMethod(MarkError):
    """No watermark method of this name is registered."""

    code = "unknown_mark_method"
    status = 400


class SigningFailed(ChopmarkError):
    """The manifest could not be made or signed."""

    code = "signing_failed"


class ManifestUnreadable(SigningFailed):
    """A manifest that we just signed does not read back as intact."""

    code = "manifest_unreadable"


class ResolverError(ChopmarkError):
    """Something about the Soft Binding Resolution API."""

    code = "resolver_error"


class ManifestConflict(ResolverError):
    """Another manifest of the same id is kept already."""

    code = "manifest_conflict"
    status = 409


class ManifestKept(ResolverError):
    """The manifest is of a picture that was made here, or somebody else's, and stays."""

    code = "manifest_kept"
    status = 403


class ManifestNotFound(ResolverError):
    """No manifest, binding or receipt of this name, or none that fits a file."""

    code = "manifest_not_found"
    status = 404


class NotOffered(ResolverError):
    """An optional part of the API that this server has switched off."""

    code = "not_offered"
    status = 403


class AuditError(ChopmarkError):
    """Something about the log."""

    code = "audit_error"


class LogUnavailable(AuditError):
    """The log cannot take a record now, so nothing may be generated."""

    code = "log_unavailable"
    status = 503


class LogCorrupt(AuditError):
    """The log's stored bytes do not agree with each other; nothing more is appended."""

    code = "log_corrupt"


class DuplicateRecord(AuditError):
    """The same event id was booked before with another content."""

    code = "duplicate_record"
    status = 409


class ErasureRefused(AuditError):
    """A hold, or the lack of a second person, stands against forgetting somebody."""

    code = "erasure_refused"
    status = 409


class NotPermitted(AuditError):
    """The person at the desk does not have the role for this, or does not hold the task."""

    code = "not_permitted"
    status = 403


class RecordNotFound(AuditError):
    """No record of this id."""

    code = "record_not_found"
    status = 404


class StageTimeout(ChopmarkError):
    """A stage took longer than it may."""

    code = "stage_timeout"
    status = 504


class Busy(ChopmarkError):
    """The queue is full."""

    code = "busy"
    status = 503


class Cancelled(ChopmarkError):
    """The caller went away or cancelled."""

    code = "cancelled"
    status = 499
