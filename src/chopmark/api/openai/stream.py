"""OpenAI's image events: only official names, and an error event once the answer has begun.

Previews are judged by the pipeline, small and labelled as such; OpenAI's own description allows
fewer of them than were asked for. What is refused before generation begins is a plain HTTP error,
unless it had to wait in the queue for so long that the stream has begun.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi.responses import StreamingResponse

from chopmark.api.openai.answers import completed_event, partial_event
from chopmark.api.usage import Usage
from chopmark.errors import ChopmarkError
from chopmark.service.problems import openai_error
from chopmark.service.watch import QUEUED, WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request, Response

    from chopmark.api.openai.answers import Kind
    from chopmark.api.openai.schemas import ImageOptions
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["stream"]


async def stream(
    http: Request,
    service: Service,
    caller: Caller,
    asked: GenerationRequest,
    body: ImageOptions,
    *,
    kind: Kind,
) -> Response:
    """Return the answer once generation has begun, or raise what kept it from beginning.

    Whoever has to wait long for a turn gets the answer's head before that, and a comment line every
    few seconds; what is refused then is an event of the stream.

    Raises:
        Refused: The prompt or the input picture was blocked.
        ChopmarkError: As in :meth:`chopmark.service.service.Service.make`.
    """
    generation = WatchedGeneration(http, service, caller, asked, identifier=body.subject())
    begun = await generation.begun()
    return StreamingResponse(
        _events(http, service, generation, asked, body, kind, begun=begun),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    http: Request,
    service: Service,
    generation: WatchedGeneration,
    asked: GenerationRequest,
    body: ImageOptions,
    kind: Kind,
    *,
    begun: bool,
) -> AsyncIterator[str]:
    try:
        while not begun:
            yield QUEUED
            begun = await generation.begun()
        number = 0
        async for preview in generation.previews():
            if preview is None:
                yield ": still at work\n\n"
                continue
            yield _event(f"{kind}.partial_image", partial_event(kind, preview, number, body))
            number += 1
        released = await generation.result()
        info = service.pipeline.parts.generator.info
        for output in released.outputs:
            # What came in is counted once, with the first.
            first = output is released.outputs[0]
            usage = Usage.of_outputs(asked, released, [output], info, inputs=first)
            yield _event(f"{kind}.completed", completed_event(kind, released, output, body, usage))
    except ChopmarkError as error:
        http.state.error = error
        settings = service.pipeline.settings
        yield _event("error", {"error": openai_error(error, appeal_url=settings.appeal_url)})
    finally:
        await generation.stop()


def _event(name: str, data: dict[str, JsonValue]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
