"""Templates: escaped always, and a name that is missing is an error instead of nothing."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, StreamingResponse

from chopmark.kit import limits
from chopmark.web.words import category, stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

__all__ = ["event_stream", "is_part", "page", "render"]


_SMALL: Final = re.compile(r"(\d)e-(\d)")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def _when(text: str | None) -> str:
    """Return an RFC 3339 time as a person writes it, in UTC."""
    if not text:
        return ""
    try:
        moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError:
        return text
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _moments(text: str) -> str:
    """Return a sentence with the times in it as a person writes them, and no number broken."""
    whole = _SMALL.sub("\\1e\u2011\\2", text)
    return _TIME.sub(lambda found: _when(found[0]), whole)


def _sentence(text: str) -> str:
    """Return an error's hint, which is written to follow a colon, as a sentence of its own."""
    text = text.strip()
    # A command, a setting or an address begins as it is written.
    first = text.split(" ", 1)[0]
    word = first.isalpha() and first.islower() and first not in {"pip", "chopmark"}
    begin = text[:1].upper() if word else text[:1]
    return begin + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")


def _pretty(value: object) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)
    # A picture within it is shown above, and nobody reads it here.
    return _PICTURE.sub(r"\1…", text)


_PICTURE: Final = re.compile(r'("data:image/[a-z]+;base64,)[^"]*')
_ENVIRONMENT = Environment(
    loader=PackageLoader("chopmark.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    when=_when, moments=_moments, pretty=_pretty, sentence=_sentence, category=category, stage=stage
)
_ENVIRONMENT.globals["limits"] = limits


def render(template: str, **values: Any) -> str:
    """Return a template's text."""
    return _ENVIRONMENT.get_template(template).render(**values)


def is_part(request: Request) -> bool:
    """Tell whether the browser's script asks for a part of a page, not for a whole one."""
    return request.headers.get("hx-request") == "true"


def event_stream(parts: AsyncIterator[str]) -> StreamingResponse:
    """Return an answer that sends each part of a page when it is there (server-sent events)."""

    async def events() -> AsyncIterator[str]:
        async for html in parts:
            yield "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"

    return StreamingResponse(
        events(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page for whoever looks."""
    html = render(template, viewer=request.state.viewer, path=request.url.path, **values)
    return HTMLResponse(html, status)
