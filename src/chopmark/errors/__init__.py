"""Every error that Chopmark raises on purpose, in one tree.

Each class has a stable ``code`` (machines match on it, it never changes its meaning), an HTTP
``status``, a message that says what is wrong with which value, and a ``hint`` that says what to do.

::

    ChopmarkError
    ├── InvalidRequest            invalid_request        400
    │   ├── IdempotencyInFlight   idempotency_in_flight  409
    │   ├── IdempotencyMismatch   idempotency_mismatch   422
    │   ├── AnswerErased          answer_erased          410
    │   ├── UnreadableImage       unreadable_image       400
    │   ├── UnsupportedImage      unsupported_image      415
    │   ├── ImageTooSmall         image_too_small        400
    │   ├── ImageTooLarge         image_too_large        413
    │   ├── AlreadyMarked         already_marked         400
    │   ├── ImageTooComplex       image_too_complex      413
    │   ├── RequestTooLarge       request_too_large      413
    │   ├── HeadersTooLarge       headers_too_large      431
    │   ├── RequestTimeout        request_timeout        408
    │   ├── PictureNotFound       picture_not_found      404
    │   ├── FileNotKept           file_not_found         404
    │   ├── FilesFull             files_full             413
    │   ├── UploadNotFound        upload_not_found       404
    │   ├── BatchNotFound         batch_not_found        404
    │   ├── TooManyImages         too_many_images        400
    │   ├── TextTooLong           text_too_long          400
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
    │   ├── PersonSuspended       person_suspended       403
    │   ├── IdentityUnavailable   identity_unavailable   503
    │   ├── RateLimited           rate_limit_exceeded    429
    │   │   ├── CoolingDown       cooling_down           429
    │   │   └── QuotaExhausted    insufficient_quota     429
    │   └── TenantNotFound        tenant_not_found       404
    ├── DatabaseUnavailable       database_unavailable   503
    ├── ConfigurationError        configuration_error    500
    │   ├── InvalidPolicy         invalid_policy         400
    │   ├── CredentialRefused     credential_refused     500
    │   └── TrustListRefused      trust_list_refused     400
    ├── ModelError                model_error            500
    │   ├── ModelNotFound         model_not_found        404
    │   ├── ModelLoadError        model_load_error       503
    │   └── GenerationFailed      generation_failed      500
    ├── GuardFailed               guard_failed           503
    │   ├── HashListError         hash_list_error        400
    │   └── TextUnread            text_unread            503
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
    │   ├── OutputWithdrawn       output_withdrawn       410
    │   └── RecordNotFound        record_not_found       404
    ├── WorkError                 work_error             500
    │   ├── OverMemory            over_memory            413
    │   └── WorkerLost            worker_lost            500
    ├── StageTimeout              stage_timeout          504
    ├── Busy                      busy                   503
    ├── Cancelled                 cancelled              499
    └── Refused                   moderation_blocked     400   (in ``chopmark.pipeline``)

Code that reads foreign bytes (pictures, manifests, policies, receipts) turns every ``ValueError``,
``KeyError`` or native failure into one of these.
"""

from __future__ import annotations

from chopmark.errors.access import (
    AccessError,
    AccessKeyNotFound,
    CoolingDown,
    CsrfMismatch,
    DatabaseUnavailable,
    IdentityUnavailable,
    InvalidKey,
    InvalidToken,
    MissingScope,
    NotSignedIn,
    PersonNotFound,
    PersonSuspended,
    QuotaExhausted,
    RateLimited,
    SignInFailed,
    TenantNotFound,
)
from chopmark.errors.audit import (
    AuditError,
    DuplicateRecord,
    ErasureRefused,
    LogCorrupt,
    LogUnavailable,
    NotPermitted,
    OutputWithdrawn,
    RecordNotFound,
)
from chopmark.errors.base import Busy, Cancelled, ChopmarkError, StageTimeout
from chopmark.errors.configuration import (
    ConfigurationError,
    CredentialRefused,
    InvalidPolicy,
    TrustListRefused,
)
from chopmark.errors.generation import GenerationFailed, ModelError, ModelLoadError, ModelNotFound
from chopmark.errors.provenance import (
    ManifestConflict,
    ManifestKept,
    ManifestNotFound,
    ManifestUnreadable,
    MarkError,
    MarkNotReadable,
    MarkTooWeak,
    NotOffered,
    ResolverError,
    SigningFailed,
    UnknownMethod,
)
from chopmark.errors.requests import (
    AlreadyMarked,
    AnswerErased,
    BatchNotFound,
    FileNotKept,
    FilesFull,
    HeadersTooLarge,
    IdempotencyInFlight,
    IdempotencyMismatch,
    ImageTooComplex,
    ImageTooLarge,
    ImageTooSmall,
    InvalidRequest,
    PictureNotFound,
    RequestTimeout,
    RequestTooLarge,
    TextTooLong,
    TooManyImages,
    UnreadableImage,
    UnsupportedImage,
    UploadNotFound,
    ValueTooLong,
)
from chopmark.errors.safety import GuardFailed, HashListError, TextUnread
from chopmark.errors.work import OverMemory, WorkerLost, WorkError

__all__ = [
    "AccessError",
    "AccessKeyNotFound",
    "AlreadyMarked",
    "AnswerErased",
    "AuditError",
    "BatchNotFound",
    "Busy",
    "Cancelled",
    "ChopmarkError",
    "ConfigurationError",
    "CoolingDown",
    "CredentialRefused",
    "CsrfMismatch",
    "DatabaseUnavailable",
    "DuplicateRecord",
    "ErasureRefused",
    "FileNotKept",
    "FilesFull",
    "GenerationFailed",
    "GuardFailed",
    "HashListError",
    "HeadersTooLarge",
    "IdempotencyInFlight",
    "IdempotencyMismatch",
    "IdentityUnavailable",
    "ImageTooComplex",
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
    "OutputWithdrawn",
    "OverMemory",
    "PersonNotFound",
    "PersonSuspended",
    "PictureNotFound",
    "QuotaExhausted",
    "RateLimited",
    "RecordNotFound",
    "RequestTimeout",
    "RequestTooLarge",
    "ResolverError",
    "SignInFailed",
    "SigningFailed",
    "StageTimeout",
    "TenantNotFound",
    "TextTooLong",
    "TextUnread",
    "TooManyImages",
    "TrustListRefused",
    "UnknownMethod",
    "UnreadableImage",
    "UnsupportedImage",
    "UploadNotFound",
    "ValueTooLong",
    "WorkError",
    "WorkerLost",
]
