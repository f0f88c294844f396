"""OpenAI's image events: only official names, and an error event once the answer has begun.

Nothing is streamed that was not judged, marked, signed and booked; a generator gives no previews,
so a stream holds final pictures only (OpenAI's own description allows fewer previews than were
asked for). What is refused before generation begins is a plain HTTP error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Final, Literal

from fastapi.responses import StreamingResponse

from chopmark.api.answers import completed_event
from chopmark.api.problems import openai_error
from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request, Response

    from chopmark.api.access import Caller
    from chopmark.api.bodies import ImageOptions
    from chopmark.api.service import Service
    from chopmark.released import Released
    from chopmark.requests import GenerationRequest
    from chopmark.types import JsonValue

__all__ = ["stream"]

_HEARTBEAT_S: Final = 15.0
_BEGUN: Final = "generate"


async def stream(
    http: Request,
    service: Service,
    caller: Caller,
    asked: GenerationRequest,
    body: ImageOptions,
    *,
    kind: Literal["image_generation", "image_edit"],
) -> Response:
    """Return the answer once generation has begun, or raise what kept it from beginning.

    Raises:
        Refused: The prompt or the input picture was blocked.
        ChopmarkError: As in :meth:`chopmark.api.service.Service.make`.
    """
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def told(_done: int, _total: int, what: str) -> None:
        if what == _BEGUN:
            loop.call_soon_threadsafe(begun.set)

    work = asyncio.ensure_future(
        service.make(http, caller, asked, identifier=body.subject(), progress=told)
    )
    first = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait({work, first}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()  # raises what kept it from beginning
    except BaseException:
        work.cancel()
        raise
    finally:
        first.cancel()
    return StreamingResponse(
        _events(http, service, work, body, kind),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    http: Request,
    service: Service,
    work: asyncio.Future[Released],
    body: ImageOptions,
    kind: Literal["image_generation", "image_edit"],
) -> AsyncIterator[str]:
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_HEARTBEAT_S)
            if not work.done():
                yield ": still at work\n\n"
        released = work.result()
        for output in released.outputs:
            yield _event(f"{kind}.completed", completed_event(kind, released, output, body))
    except ChopmarkError as error:
        http.state.error = error
        settings = service.pipeline.settings
        yield _event("error", {"error": openai_error(error, appeal_url=settings.appeal_url)})
    finally:
        work.cancel()
        with contextlib.suppress(BaseException):
            await work


def _event(name: str, data: dict[str, JsonValue]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
