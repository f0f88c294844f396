"""How a client refuses an answer from the past, and how one is named (RFC 9111, RFC 9211)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from chopmark.pipeline.released import Released

__all__ = ["released_headers", "wants_fresh"]

_REFUSES: Final = re.compile(r"(?:no-cache|no-store|max-age\s*=\s*\"?0+\"?)\s*(?:$|[,;=])")


def wants_fresh(headers: Headers) -> bool:
    """Tell whether ``Cache-Control`` (or the older ``Pragma``) refuses what was made before."""
    asked = headers.getlist("cache-control") or headers.getlist("pragma")
    return any(
        _REFUSES.match(directive.strip().lower()) is not None
        for line in asked
        for directive in line.split(",")
    )


def released_headers(released: Released) -> dict[str, str]:
    """Return the headers of an answer: its record, and whether its pictures were made for it."""
    headers = {"x-record-id": released.record_id}
    if released.repeats is not None:
        headers["cache-status"] = f'chopmark; hit; detail="repeats {released.repeats}"'
    return headers
