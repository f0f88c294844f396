"""One JSON line a request, to stderr: no prompt, no key, no address, no text of a caller's.

A line names the route's template, not the path; JSON escapes what is left, so that nobody can write
lines of their own into the log. The cause of a failure is told as its type and where it came from,
without its message: messages of foreign libraries may quote what they were given.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from chopmark.service.access import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["RequestLogger", "cause_of", "line_of", "make_logger"]

_FRAMES = 6


class RequestLogger(Protocol):
    """What takes a line for each request; structlog's loggers do."""

    def info(self, event: str, /, **members: object) -> object:
        """Write a line with these members."""


def make_logger(stream: TextIO | None = None) -> RequestLogger:
    """Return a logger of JSON lines; ``stream`` is stderr when not given."""
    logger: RequestLogger = structlog.wrap_logger(
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
        line["cause"] = cause_of(error)
    return {name: value for name, value in line.items() if value is not None}


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the route's template; what matched none is ``unmatched``, whatever was asked for."""
    if scope["path"] in PUBLIC:
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", "unmatched"))


def cause_of(error: BaseException) -> list[str]:
    """Return the chain of exceptions: their types and innermost frames."""
    chain: list[str] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 40:
        chain.append(f"{type(link).__module__}.{type(link).__qualname__}")
        chain += [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(link.__traceback__)[-_FRAMES:]
        ]
        link = link.__cause__ or link.__context__
    return chain
