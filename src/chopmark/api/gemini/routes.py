"""The routes that Gemini's clients call: ``generateContent`` under all of Google's prefixes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from chopmark.api.gemini.answers import beside, candidates, inline, refusal
from chopmark.api.gemini.orders import order_of
from chopmark.api.gemini.schemas import GenerateContent
from chopmark.api.models import model_list, model_of, served_model
from chopmark.api.usage import Usage
from chopmark.errors import ChopmarkError
from chopmark.kit import limits
from chopmark.pipeline.released import Refused
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import AnyCaller, Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES, STREAMED, google_error
from chopmark.service.watch import WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from chopmark.kit.types import JsonValue
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["VERTEX", "router"]

# What keeps a silent connection alive. google-genai takes a comment line for a broken chunk.
_STILL_HERE: Final = "\r\n\r\n"

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
# Where clients of Vertex AI look for the same models: with an API key, and with a project.
VERTEX: Final = tuple(
    f"/{version}/{root}publishers/google/models/{{model}}"
    for version in ("v1", "v1beta1")
    for root in ("", "projects/{project}/locations/{location}/")
)


@router.post("/v1/models/{model}:generateContent")
@router.post("/v1beta/models/{model}:generateContent")
async def generate_content(
    model: str, body: GenerateContent, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make a picture, or change the newest one of the conversation by the user's last words."""
    made, rest, headers = await _answer(model, body, request, service, caller)
    return JSONResponse({"candidates": made, **rest} if made else rest, headers=headers)


@router.post("/v1/models/{model}:streamGenerateContent", responses=STREAMED)
@router.post("/v1beta/models/{model}:streamGenerateContent", responses=STREAMED)
async def stream_generate_content(
    model: str,
    body: GenerateContent,
    request: Request,
    service: TheService,
    caller: Creator,
    alt: Annotated[Literal["sse", "json"], Query()] = "json",
) -> Response:
    """The same in chunks, one a picture; without ``alt=sse`` they are one JSON array.

    With ``alt=sse`` and ``thinkingConfig.includeThoughts`` judged previews come first, each a chunk
    whose part is marked ``thought``.
    """
    if alt == "sse" and body.generation_config.thinking_config.include_thoughts:
        return await _with_previews(model, body, request, service, caller)
    made, rest, headers = await _answer(model, body, request, service, caller)
    chunks = [{"candidates": [one], **rest} for one in made] or [rest]
    if alt == "json":
        return JSONResponse(chunks, headers=headers)
    return Response("".join(map(_chunk, chunks)), media_type="text/event-stream", headers=headers)


for _path in VERTEX:
    router.add_api_route(
        f"{_path}:generateContent", generate_content, methods=["POST"], include_in_schema=False
    )
    router.add_api_route(
        f"{_path}:streamGenerateContent",
        stream_generate_content,
        methods=["POST"],
        include_in_schema=False,
    )


@router.post("/v1/models/{model}:countTokens")
@router.post("/v1beta/models/{model}:countTokens")
async def count_tokens(
    model: str, body: GenerateContent, request: Request, service: TheService, caller: Creator
) -> dict[str, Any]:
    """Count what would come in, in the tokens that ``usageMetadata`` counts."""
    info = served_model(model, service)
    usage = Usage.refused(await order_of(body, info, request, service, caller)).gemini()
    return {
        "totalTokens": usage["promptTokenCount"],
        "promptTokensDetails": usage["promptTokensDetails"],
    }


@router.get("/v1beta/models")
async def models(service: TheService, _caller: AnyCaller) -> dict[str, Any]:
    """List the generator that this server runs, under all of its names."""
    return model_list(service)


@router.get("/v1beta/models/{model}")
async def model(model: str, service: TheService, _caller: AnyCaller) -> dict[str, Any]:
    """Describe one model."""
    return model_of(served_model(model, service))


async def _with_previews(
    model: str, body: GenerateContent, request: Request, service: Service, caller: Caller
) -> Response:
    info = served_model(model, service)
    asked = replace(
        await order_of(body, info, request, service, caller),
        previews=limits.STREAMED_PREVIEWS.most,
    )
    generation = WatchedGeneration(request, service.make, caller, asked, identifier=None)
    try:
        begun = await generation.begun()
    except Refused as refused:
        request.state.error = refused
        _, rest, record_id = refusal(refused, info, Usage.refused(asked))
        return Response(
            _chunk(rest), media_type="text/event-stream", headers={"x-record-id": record_id}
        )

    async def chunks(*, begun: bool) -> AsyncIterator[str]:
        try:
            while not begun:
                yield _STILL_HERE
                begun = await generation.begun()
            async for preview in generation.previews():
                if preview is None:
                    yield _STILL_HERE
                else:
                    part = {"thought": True, "inlineData": inline(preview)}
                    content = {"role": "model", "parts": [part]}
                    candidate = {"index": preview.index - 1, "content": content}
                    yield _chunk({"candidates": [candidate], "modelVersion": info.id})
            released = await generation.result()
            rest = beside(released, Usage.of(asked, released, info))
            for one in candidates(released):
                yield _chunk({"candidates": [one], **rest})
        except Refused as refused:
            request.state.error = refused
            made, rest, _ = refusal(refused, info, Usage.refused(asked))
            yield _chunk({"candidates": made, **rest})
        except ChopmarkError as error:
            request.state.error = error
            yield _chunk({"error": google_error(error)})
        finally:
            await generation.stop()

    return StreamingResponse(
        chunks(begun=begun), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


def _chunk(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\r\n\r\n"


async def _answer(
    model: str, body: GenerateContent, request: Request, service: Service, caller: Caller
) -> tuple[list[JsonValue], dict[str, JsonValue], dict[str, str]]:
    """Return the candidates, the members beside them, and the headers."""
    info = served_model(model, service)
    asked = await order_of(body, info, request, service, caller)
    try:
        released = await service.make(request, caller, asked)
    except Refused as refused:
        # Google answers 200 to a refusal; what was refused is in the body.
        request.state.error = refused
        made, rest, record_id = refusal(refused, info, Usage.refused(asked))
        return made, rest, {"x-record-id": record_id}
    usage = Usage.of(asked, released, info)
    return candidates(released), beside(released, usage), released_headers(released)
