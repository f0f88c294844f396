"""The outside of every page: what the browser may do with it, and errors in the page's clothes."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse

from chopmark.web.render import render

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CHECK_PAGE", "CSP", "PageHeaders", "check_page_policy"]

CSP: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data: blob:; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": CSP,
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it a form's own Origin would be sent as null.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
#: The one page with a script inside it, so that it can be saved and used without this server.
CHECK_PAGE: Final = "/static/check.html"
_PROBLEM: Final = "application/problem+json"


class PageHeaders:
    """ASGI middleware: headers on everything, and each problem body becomes a page.

    The pages' code raises the same errors as the API's and has the same handlers, so the words are
    the same; only here do they become HTML.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def headed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope["path"] == CHECK_PAGE:
                    headers["content-security-policy"] = check_page_policy()
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
                else:
                    headers["cache-control"] = "no-cache"
                if headers.get("content-type", "").startswith(_PROBLEM):
                    start = message
                    return
            elif start is not None:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _page_of(scope, start, bytes(body))(scope, receive, send)
                return
            await send(message)

        await self.app(scope, receive, headed)


@functools.cache
def check_page_policy() -> str:
    """Return the policy that the page for receipts states of itself, and that nobody frames it."""
    page = resources.files("chopmark.web") / "static" / "check.html"
    stated = re.search(r'Content-Security-Policy" content="([^"]+)"', page.read_text("utf-8"))
    # Without one of its own it has that of every page, under which its script does not run.
    return f"{stated[1]}; frame-ancestors 'none'" if stated else CSP


def _page_of(scope: Scope, start: Message, body: bytes) -> HTMLResponse:
    """Return a problem as a page, or as a part of one where the browser asked for a part."""
    problem: dict[str, Any] = json.loads(body)
    error: dict[str, Any] = problem["error"]
    asked, headers = Headers(scope=scope), MutableHeaders(raw=start["headers"])
    for name in ("content-type", "content-length"):
        del headers[name]
    message, _, hint = str(error["message"]).partition("\n  hint: ")
    part = asked.get("hx-request") == "true"
    html = render(
        "_problem.html" if part else "problem.html",
        viewer=scope.get("state", {}).get("viewer"),
        path=scope["path"],
        status=problem["status"],
        title=problem["title"],
        message=message,
        hint=hint,
        code=error["code"],
        request_id=headers.get("x-request-id", ""),
    )
    return HTMLResponse(html, problem["status"], headers=dict(headers))
