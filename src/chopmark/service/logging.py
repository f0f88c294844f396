"""One JSON line a request, to stderr: no prompt, no key, no address, no text of a caller's.

A line names the route's template, not the path; JSON escapes what is left, so that nobody can write
lines of their own into the log. The cause of a failure is its types, messages and frames; messages
are redacted, since those of foreign libraries may quote what they were given.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from chopmark.kit.redaction import chain_of
from chopmark.service.access import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["ServerLogger", "line_of", "make_logger", "route_of"]


class ServerLogger(Protocol):
    """What takes the lines of a server; structlog's loggers do."""

    def debug(self, event: str, /, **members: object) -> object:
        """Write a line with these members that few want to see."""

    def info(self, event: str, /, **members: object) -> object:
        """Write a line with these members."""

    def warning(self, event: str, /, **members: object) -> object:
        """Write a line of something that is not as it should be."""

    def error(self, event: str, /, **members: object) -> object:
        """Write a line of something that failed."""


def make_logger(stream: TextIO | None = None) -> ServerLogger:
    """Return a logger of JSON lines; ``stream`` is stderr when not given."""
    logger: ServerLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return logger


def line_of(scope: Mapping[str, Any], *, status: int, seconds: float) -> dict[str, Any]:
    """Return the members of a request's line."""
    state = scope.get("state", {})
    caller, error = state.get("caller"), state.get("error")
    line: dict[str, Any] = {
        "request_id": state.get("request_id"),
        "method": scope["method"],
        "route": route_of(scope),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "tenant": caller.tenant.name if caller else None,
        "key_id": caller.key_id if caller else None,
        "record_id": state.get("record_id"),
        "code": getattr(error, "code", None),
    }
    if error is not None and status >= 500:
        line["cause"] = chain_of(error)
    return {name: value for name, value in line.items() if value is not None}


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the route's template; what matched none is ``unmatched``, whatever was asked for."""
    if scope["path"] in PUBLIC:
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", "unmatched"))
