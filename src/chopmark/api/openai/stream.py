"""OpenAI's image events: only official names, and an error event once the answer has begun.

Previews are judged by the pipeline, small and labelled as such; OpenAI's own description allows
fewer of them than were asked for. What is refused before generation begins is a plain HTTP error,
unless it had to wait in the queue for so long that the stream has begun.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastapi.responses import StreamingResponse

from chopmark.api.openai.answers import completed_event, partial_event
from chopmark.api.usage import Usage
from chopmark.errors import ChopmarkError, MarkTooWeak
from chopmark.kit import limits
from chopmark.pipeline.released import Refused
from chopmark.service.claim import claim_of
from chopmark.service.problems import openai_error
from chopmark.service.watch import QUEUED, WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import Request, Response

    from chopmark.api.openai.answers import Kind
    from chopmark.api.openai.schemas import ImageOptions
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output
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
    # A key leads to one record, and so to one answer. Kept answers are found by the whole request.
    settings = service.pipeline.settings
    whole = claim_of(http) is not None or (
        settings.prompt_index and settings.cached_answers != "off"
    )
    each = [asked] if whole else _one_by_one(asked)
    watch = partial(WatchedGeneration, http, service, caller, identifier=body.subject())
    first = watch(each[0])
    begun = await first.begun()
    return StreamingResponse(
        _events(http, service, watch, first, each, body, kind, begun=begun),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    http: Request,
    service: Service,
    watch: Callable[[GenerationRequest], WatchedGeneration],
    generation: WatchedGeneration,
    rest: list[GenerationRequest],
    body: ImageOptions,
    kind: Kind,
    *,
    begun: bool,
) -> AsyncIterator[str]:
    info = service.pipeline.parts.generator.info
    looks, left = 0, 0
    kept_back: list[ChopmarkError] = []
    try:
        while rest:
            asked = rest.pop(0)
            try:
                async for preview in _meanwhile(generation, begun=begun):
                    if isinstance(preview, str):
                        yield preview
                        continue
                    look = partial_event(kind, preview, looks, body)
                    yield _event(f"{kind}.partial_image", look)
                    looks += 1
                released = await generation.result()
            except (Refused, MarkTooWeak) as error:
                if isinstance(error, Refused) and error.stage != "output":
                    raise
                kept_back.append(error)  # one picture stays here, and the others leave
                if len(kept_back) > 1 and len(rest) > 1:
                    # A refusal each would count against the person as if they had asked so often.
                    rest = [replace(rest[0], n=len(rest))]
                outputs: tuple[Output, ...] = ()
            else:
                outputs = released.outputs
            for output in outputs:
                # What came in is counted once, with the first.
                usage = Usage.of_outputs(asked, released, [output], info, inputs=not left)
                done = completed_event(kind, released, output, body, usage)
                yield _event(f"{kind}.completed", done)
                left += 1
            if rest:
                generation, begun = watch(rest[0]), False
        if kept_back and not left:
            raise kept_back[-1]
    except ChopmarkError as error:
        http.state.error = error
        settings = service.pipeline.settings
        yield _event("error", {"error": openai_error(error, appeal_url=settings.appeal_url)})
    finally:
        await generation.stop()


async def _meanwhile(generation: WatchedGeneration, *, begun: bool) -> AsyncIterator[Preview | str]:
    """Yield each preview, and comment lines while there is none."""
    while not begun:
        yield QUEUED
        begun = await generation.begun()
    async for preview in generation.previews():
        yield ": still at work\n\n" if preview is None else preview


def _one_by_one(asked: GenerationRequest) -> list[GenerationRequest]:
    """Return a request for each picture, so that each is booked and leaves as soon as it is done.

    Together they make the same pictures: the k-th of several has the seed of the first plus k.
    """
    if asked.n == 1 or (asked.seed or 0) + asked.n - 1 > limits.SEED.most:
        return [asked]
    seed = asked.seed
    if seed is None:
        seed = secrets.randbelow(limits.SEED.most + 2 - asked.n)
    return [replace(asked, n=1, seed=seed + place) for place in range(asked.n)]


def _event(name: str, data: dict[str, JsonValue]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
