"""Before a page's code runs: no request forged by another site, and it is known who looks.

A request of another site's page is refused (:mod:`chopmark.service.origin`); what says nothing of
where it comes from is no browser and has no cookies to be misused. A session's own token comes on
top where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import Request
from starlette.datastructures import Headers

from chopmark.errors import ChopmarkError
from chopmark.service.forms import FORM_LIMITS
from chopmark.service.origin import check_origin
from chopmark.service.problems import problem_response
from chopmark.web.viewers import viewer_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from chopmark.web.viewers import Viewers

__all__ = ["CsrfProtection", "check_csrf"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class CsrfProtection:
    """ASGI middleware of the pages; sets ``state.viewer``."""

    def __init__(self, app: ASGIApp, *, viewers: Viewers) -> None:
        self.app = app
        self.viewers = viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        headers = Headers(scope=scope)
        try:
            if scope["method"] not in _SAFE:
                check_origin(headers, own=self.viewers.callers.settings.public_url)
            state["viewer"] = await self.viewers.of(scope)
            state["caller"] = state["viewer"].caller
        except ChopmarkError as error:
            state["error"] = error
            await problem_response(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)


async def check_csrf(request: Request) -> None:
    """Let a form of somebody who signed in pass only with their session's token.

    Raises:
        CsrfMismatch: It does not carry it.
    """
    session = viewer_of(request).session
    if session is None or request.method in _SAFE:
        return
    sent: object = request.headers.get("x-csrf-token")
    if sent is None:
        sent = (await request.form(**FORM_LIMITS)).get("csrf")
    session.check_csrf(sent if isinstance(sent, str) else None)
