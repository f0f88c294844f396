"""The log's health: how large it is, what was signed last, and a walk over all of it on request."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.web.console.desk import console_page, log_of
from chopmark.web.render import event_stream, is_part, render
from chopmark.web.viewers import Viewer, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.audit import LogReport
    from chopmark.settings import Settings

__all__ = ["router"]

router = APIRouter()
_EVERY_S: Final = 0.2
LogViewer = Annotated[Viewer, Depends(needs("auditor", "investigator", "operator", "reviewer"))]
# A walk reads every entry: one at a time.
_WALKING: Final = asyncio.Lock()


@router.get("/log")
async def log_page(request: Request, viewer: LogViewer) -> Response:
    """Show how the log stands."""
    return console_page(
        request, viewer, "console/log.html", report=None, **await in_thread(lambda: _now(request))
    )


@router.post("/log/verify")
async def verify_now(request: Request, viewer: LogViewer, service: TheService) -> Response:
    """Walk the whole log; with a script, show how far it is."""
    steps = _walk(service.pipeline.settings)
    if is_part(request):
        return event_stream(_events(steps))
    report = None
    async for _, report in steps:  # noqa: B007  only the last counts
        pass
    return console_page(
        request, viewer, "console/log.html", report=report, **await in_thread(lambda: _now(request))
    )


async def _walk(
    settings: Settings,
) -> AsyncIterator[tuple[tuple[int, int], LogReport | None]]:
    from chopmark.pipeline.log_check import check_log

    done = (0, 0)

    def progress(at: int, total: int, _what: str) -> None:
        nonlocal done
        done = (at, total)

    async with _WALKING:
        work = asyncio.ensure_future(in_thread(lambda: check_log(settings, progress=progress)))
        try:
            while not work.done():
                yield done, None
                await asyncio.wait({work}, timeout=_EVERY_S)
            yield done, work.result()
        finally:
            work.cancel()
            with contextlib.suppress(BaseException):
                await work


async def _events(
    steps: AsyncIterator[tuple[tuple[int, int], LogReport | None]],
) -> AsyncIterator[str]:
    async for (done, total), report in steps:
        yield render("console/_walk.html", done=done, total=total, report=report)


def _now(request: Request) -> dict[str, Any]:
    log = log_of(request)
    checkpoint = log.proof.checkpoint()
    signatures = [
        line.split(" ")[1]
        for line in checkpoint.note.splitlines()
        if line.startswith("\N{EM DASH} ") and len(line.split(" ")) == 3
    ]
    return {
        "size": log.size,
        "signed": checkpoint.size,
        "root": base64.b64encode(bytes.fromhex(log.root())).decode(),
        "note": checkpoint.note,
        "origin": checkpoint.note.splitlines()[0],
        # The first signature is the log's own.
        "cosigners": signatures[1:],
        "public_key": log.public_key,
    }
