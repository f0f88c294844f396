"""Watermark, manifest, and the resolver that finds manifests again."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = [
    "ManifestConflict",
    "ManifestKept",
    "ManifestNotFound",
    "ManifestUnreadable",
    "MarkError",
    "MarkNotReadable",
    "MarkTooWeak",
    "NotOffered",
    "ResolverError",
    "SigningFailed",
    "UnknownMethod",
]


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
