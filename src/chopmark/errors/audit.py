"""The log and the people who work with it."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = [
    "AuditError",
    "DuplicateRecord",
    "ErasureRefused",
    "LogCorrupt",
    "LogUnavailable",
    "NotPermitted",
    "OutputWithdrawn",
    "RecordNotFound",
]


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
    """The same event id was logged before with another content."""

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


class OutputWithdrawn(AuditError):
    """The desk withdrew the picture after it left; it is not handed out again."""

    code = "output_withdrawn"
    status = 410
