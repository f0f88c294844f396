"""The routes that Gemini's clients call: ``generateContent`` under ``/v1`` and ``/v1beta``."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chopmark.api.gemini.safety_settings import Threshold, safety_ratings, tighten
from chopmark.api.models import model_list, model_of, served_model
from chopmark.api.pictures import from_base64
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import AnyCaller, Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES, STREAMED, google_error
from chopmark.service.watch import QUEUED, WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from chopmark.generation import ModelInfo
    from chopmark.kit.types import ImageFormat, JsonValue
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output, Released
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
_FORMATS: dict[str, ImageFormat] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/avif": "avif",
}
_PIXELS = {"512": 512**2, "512PX": 512**2, "1K": 1024**2, "2K": 2048**2, "4K": 4096**2}
_SIDE_STEP = 16
# What an error message repeats must be short.
_Word = Annotated[str, Field(max_length=40)]


class _Gemini(BaseModel):
    # Google's clients mix camelCase and snake_case in one body; both are taken.
    model_config = ConfigDict(
        extra="ignore", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class InlineData(_Gemini):
    """A picture in a part."""

    mime_type: str = ""
    data: str


class Part(_Gemini):
    """A text or a picture."""

    text: str | None = None
    inline_data: InlineData | None = None


class Content(_Gemini):
    """One turn."""

    role: str | None = None
    parts: list[Part] = Field(default_factory=list, max_length=256)


class ImageConfig(_Gemini):
    """Shape and format of the pictures."""

    aspect_ratio: _Word | None = Field(default=None, description="`16:9` and the like")
    image_size: _Word | None = Field(default=None, description="`512`, `1K`, `2K` or `4K`")
    output_mime_type: _Word | None = None
    output_compression_quality: (
        Annotated[int, Field(ge=limits.QUALITY.least, le=limits.QUALITY.most)] | None
    ) = None


class ThinkingConfig(_Gemini):
    """Whether previews of unfinished pictures come along, as Gemini's "thought" parts."""

    include_thoughts: bool | None = None


class GenerationConfig(_Gemini):
    """How to generate; what speaks of texts is ignored."""

    response_modalities: list[str] | None = None
    image_config: ImageConfig = Field(default_factory=ImageConfig)
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = None
    candidate_count: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] | None = None
    thinking_config: ThinkingConfig = Field(default_factory=ThinkingConfig)


class SafetySetting(_Gemini):
    """One category's threshold."""

    category: str
    threshold: Threshold


class GenerateContent(_Gemini):
    """Body of ``generateContent``."""

    contents: list[Content] = Field(min_length=1, max_length=256)
    system_instruction: Content | None = None
    generation_config: GenerationConfig = Field(default_factory=GenerationConfig)
    safety_settings: list[SafetySetting] = Field(default_factory=list, max_length=32)


@router.post("/v1/models/{model}:generateContent")
@router.post("/v1beta/models/{model}:generateContent")
async def generate_content(
    model: str, body: GenerateContent, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make pictures from texts, or change the first picture among the parts, drawing on others."""
    candidates, rest, headers = await _answer(model, body, request, service, caller)
    return JSONResponse({"candidates": candidates, **rest} if candidates else rest, headers=headers)


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
    candidates, rest, headers = await _answer(model, body, request, service, caller)
    chunks = [{"candidates": [one], **rest} for one in candidates] or [rest]
    if alt == "json":
        return JSONResponse(chunks, headers=headers)
    return Response("".join(map(_chunk, chunks)), media_type="text/event-stream", headers=headers)


@router.get("/v1beta/models")
async def models(service: TheService, _caller: AnyCaller) -> dict[str, Any]:
    """List the generator that this server runs."""
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
        await _asked(body, info, service, caller), previews=limits.STREAMED_PREVIEWS.most
    )
    generation = WatchedGeneration(request, service, caller, asked, identifier=None)
    try:
        begun = await generation.begun()
    except Refused as refused:
        request.state.error = refused
        _, rest, record_id = _refusal(refused, info)
        return Response(
            _chunk(rest), media_type="text/event-stream", headers={"x-record-id": record_id}
        )

    async def chunks(*, begun: bool) -> AsyncIterator[str]:
        try:
            while not begun:
                yield QUEUED
                begun = await generation.begun()
            async for preview in generation.previews():
                if preview is not None:
                    part = {"thought": True, "inlineData": _inline(preview)}
                    content = {"role": "model", "parts": [part]}
                    candidate = {"index": preview.index - 1, "content": content}
                    yield _chunk({"candidates": [candidate], "modelVersion": info.id})
            released = await generation.result()
            rest = _beside(released)
            for one in _candidates(released):
                yield _chunk({"candidates": [one], **rest})
        except Refused as refused:
            request.state.error = refused
            candidates, rest, _ = _refusal(refused, info)
            yield _chunk({"candidates": candidates, **rest})
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
    asked = await _asked(body, info, service, caller)
    try:
        released = await service.make(request, caller, asked)
    except Refused as refused:
        # Google answers 200 to a refusal; what was refused is in the body.
        request.state.error = refused
        return (*_refusal(refused, info)[:2], {"x-record-id": refused.record_id})
    return _candidates(released), _beside(released), released_headers(released)


def _beside(released: Released) -> dict[str, JsonValue]:
    return {
        "usageMetadata": _usage(),
        "modelVersion": released.model,
        "responseId": released.record_id,
        "provenance": {
            "record_id": released.record_id,
            "repeats": released.repeats,
            "outputs": [output.to_dict() for output in released.outputs],
            "receipt": released.receipt.to_dict(),
        },
    }


async def _asked(
    body: GenerateContent, info: ModelInfo, service: Service, caller: Caller
) -> GenerationRequest:
    config, pipeline = body.generation_config, service.pipeline
    modalities = [name.upper() for name in config.response_modalities or ["IMAGE"]]
    if "IMAGE" not in modalities:
        raise InvalidRequest(
            "this server makes pictures, not texts",
            hint="responseModalities must hold IMAGE",
            param="generationConfig.responseModalities",
        )
    turns = [body.system_instruction] if body.system_instruction else []
    parts = [part for turn in [*turns, *body.contents] for part in turn.parts]
    prompt = "\n".join(part.text for part in parts if part.text)
    pictures = [
        from_base64(_standard(part.inline_data.data), pipeline.settings, param="inlineData.data")
        for part in parts
        if part.inline_data is not None
    ]
    own = await in_thread(lambda: service.policy_of(caller.tenant))
    options: dict[str, Any] = {
        "prompt": prompt,
        "n": config.candidate_count or 1,
        "seed": config.seed,
        "size": _size(config.image_config, info),
        "format": _format(config.image_config),
        "quality": config.image_config.output_compression_quality,
        "policy": tighten(own, [(s.category, s.threshold) for s in body.safety_settings]),
    }
    if not pictures:
        return GenerationRequest(**options)
    return EditRequest(image=pictures[0], references=tuple(pictures[1:]), **options)


def _standard(text: str) -> str:
    """Return base64 in the standard alphabet: protobuf's JSON allows the other one too."""
    return text.replace("-", "+").replace("_", "/")


def _format(config: ImageConfig) -> ImageFormat | None:
    if config.output_mime_type is None:
        return None
    if config.output_mime_type not in _FORMATS:
        raise InvalidRequest(
            f"outputMimeType {config.output_mime_type!r} cannot be made here",
            hint=f"one of {', '.join(_FORMATS)}",
            param="generationConfig.imageConfig.outputMimeType",
        )
    return _FORMATS[config.output_mime_type]


def _size(config: ImageConfig, info: ModelInfo) -> tuple[int, int] | None:
    """Return width and height for a ratio and a number of pixels; ``None``: the model's own."""
    if config.aspect_ratio is None and config.image_size is None:
        return None
    ratio = re.fullmatch(r"([1-9][0-9]?):([1-9][0-9]?)", config.aspect_ratio or "1:1")
    if ratio is None:
        raise InvalidRequest(
            f"aspectRatio {config.aspect_ratio!r} is not like 16:9",
            param="generationConfig.imageConfig.aspectRatio",
        )
    pixels = info.default_size[0] * info.default_size[1]
    if config.image_size is not None:
        if config.image_size.upper() not in _PIXELS:
            raise InvalidRequest(
                f"imageSize {config.image_size!r} is not one of {', '.join(_PIXELS)}",
                param="generationConfig.imageConfig.imageSize",
            )
        pixels = _PIXELS[config.image_size.upper()]
    wide = math.sqrt(int(ratio[1]) / int(ratio[2]))
    side = math.sqrt(pixels)
    return _round(side * wide), _round(side / wide)


def _round(pixels: float) -> int:
    return max(_SIDE_STEP, round(pixels / _SIDE_STEP) * _SIDE_STEP)


def _candidates(released: Released) -> list[JsonValue]:
    made: dict[int, dict[str, JsonValue]] = {
        output.index: {
            "content": {
                "role": "model",
                "parts": [{"inlineData": _inline(output)}],
            },
            "finishReason": "STOP",
            "safetyRatings": safety_ratings([output.verdict]),
        }
        for output in released.outputs
    }
    for item in released.withheld:
        made[item.index] = {
            "finishReason": "IMAGE_SAFETY",
            "safetyRatings": safety_ratings([item.verdict]),
        }
    return [{"index": index - 1, **made[index]} for index in sorted(made)]


def _inline(picture: Output | Preview) -> dict[str, JsonValue]:
    return {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}


def _refusal(
    refused: Refused, info: ModelInfo
) -> tuple[list[JsonValue], dict[str, JsonValue], str]:
    verdict = refused.verdict
    ratings = safety_ratings([verdict]) if refused.categories else []
    rest: dict[str, JsonValue] = {
        "usageMetadata": _usage(),
        "modelVersion": f"{info.id}@{info.version}",
        "responseId": refused.record_id,
        "provenance": {
            "record_id": refused.record_id,
            "decision_id": refused.record_id,
            "categories": list(refused.categories),
            "evidence": refused.evidence,
        },
    }
    if refused.stage == "output":
        return (
            [{"index": 0, "finishReason": "IMAGE_SAFETY", "safetyRatings": ratings}],
            rest,
            refused.record_id,
        )
    minors = "sexual/minors" in refused.categories
    rest["promptFeedback"] = {
        "blockReason": "PROHIBITED_CONTENT" if minors else "SAFETY",
        "safetyRatings": ratings,
    }
    return [], rest, refused.record_id


def _usage() -> dict[str, JsonValue]:
    # Typed clients ask for the object. Pictures are counted here, tokens are not.
    return {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
