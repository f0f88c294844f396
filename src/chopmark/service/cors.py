"""Which pages of others may call the API from a browser (the CORS protocol of the Fetch standard).

Off unless ``CHOPMARK_CORS_ORIGINS`` names them. Credentials are never allowed: a page of another
origin brings an API key of its own, and cannot use the session of somebody who signed in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["cors_of"]

# What a script of another origin may read of an answer beside its content.
_SHOWN: Final = (
    "retry-after",
    "x-request-id",
    "x-record-id",
    "x-should-retry",
    "cache-status",
    "idempotent-replayed",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)


def cors_of(settings: Settings) -> dict[str, Any] | None:
    """Return the options of Starlette's middleware, or ``None`` where no origin is named.

    Raises:
        ConfigurationError: What is named is no origin.
    """
    origins = [one.strip() for one in settings.cors_origins.split(",") if one.strip()]
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ConfigurationError(
                f"CHOPMARK_CORS_ORIGINS: {origin!r} is no origin",
                hint="scheme and host, as in https://app.example, without a slash at the end; or *",
            )
    if not origins:
        return None
    return {
        "allow_origins": origins,
        "allow_methods": ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"],
        "allow_headers": ["*"],
        "allow_credentials": False,
        "expose_headers": list(_SHOWN),
        "max_age": 600,
    }


def _is_origin(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = f"{parts.scheme}://{parts.netloc}" == text
    return plain and parts.scheme in {"http", "https"} and "@" not in text and bool(parts.hostname)
