"""The routes that OpenAI's clients call, with their field names and answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chopmark.api.models import model_list, model_of, served_model
from chopmark.api.openai.answers import images_response, moderation_result
from chopmark.api.openai.content import address_of
from chopmark.api.openai.forms import form_schema, read_form
from chopmark.api.openai.moderation_input import Picture, Words, inputs_of
from chopmark.api.openai.schemas import (
    ImagesEdits,
    ImagesGenerations,
    ImagesVariations,
    Moderations,
)
from chopmark.api.openai.stream import stream
from chopmark.api.pictures import from_url
from chopmark.api.usage import Usage
from chopmark.errors import InvalidRequest
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import AnyCaller, Creator, Moderator
from chopmark.service.claim import claim_of
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES, STREAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.api.openai.answers import InputType
    from chopmark.api.openai.schemas import ImageOptions
    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict
    from chopmark.service.caller import Caller
    from chopmark.service.claim import Claim
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])


@router.post("/images/generations", responses=STREAMED)
async def generations(
    body: ImagesGenerations, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make pictures from a prompt."""
    info = served_model(body.model, service)
    asked = GenerationRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        n=body.n or 1,
        seed=body.seed,
        size=body.pixels(info),
        steps=body.denoising(info.default_steps),
        format=body.file_format(),
        quality=body.file_quality(),
        background=body.ground(),
        previews=body.preview_count(),
    )
    if body.stream:
        return await stream(request, service, caller, asked, body, kind="image_generation")
    return await _made(request, service, caller, asked, body)


@router.post("/images/edits", responses=STREAMED, openapi_extra=form_schema(ImagesEdits, mask=True))
async def edits(request: Request, service: TheService, caller: Creator) -> Response:
    """Change a picture by a prompt, within a mask if one is sent (alpha 0 is repainted).

    Of several pictures the first is changed, and the others are what the result draws on too.
    """
    sent = await read_form(request, ImagesEdits, caller, service, several=True)
    body = sent.fields
    info = served_model(body.model, service)
    if not body.prompt.strip():
        raise InvalidRequest(
            "the prompt is empty",
            hint="say what the picture should show, or use /v1/images/variations",
            param="prompt",
        )
    mask, files = sent.mask, service.pipeline.parts.files
    if mask is not None:
        mask = await service.look(request, caller, [mask], partial(files.alpha_mask, mask))
    asked = EditRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        image=sent.image,
        references=sent.references,
        mask=mask,
        strength=body.how_far(),
        consent=body.consent,
        n=body.n or 1,
        seed=body.seed,
        size=body.pixels(info),
        steps=body.denoising(info.default_steps),
        format=body.file_format(),
        quality=body.file_quality(),
        background=body.ground(),
        previews=body.preview_count(),
    )
    if body.stream:
        return await stream(request, service, caller, asked, body, kind="image_edit")
    return await _made(request, service, caller, asked, body)


@router.post("/images/variations", openapi_extra=form_schema(ImagesVariations, mask=False))
async def variations(request: Request, service: TheService, caller: Creator) -> Response:
    """Make pictures like one that is sent, without words."""
    sent = await read_form(request, ImagesVariations, caller, service)
    body = sent.fields
    info = served_model(body.model, service)
    asked = EditRequest(
        prompt="",
        image=sent.image,
        n=body.n or 1,
        seed=body.seed,
        size=body.pixels(info),
        steps=body.steps,
    )
    return await _made(request, service, caller, asked, body)


@router.post("/moderations")
async def moderations(
    body: Moderations, request: Request, service: TheService, caller: Moderator
) -> Response:
    """Judge texts and pictures by the policy; what is judged is logged."""
    inputs = [
        [
            await from_url(part.url, request, caller, service, param=part.param)
            if isinstance(part, Picture)
            else part
            for part in parts
        ]
        for parts in inputs_of(
            body.input, service.pipeline.settings, edit=body.edit, language=body.language
        )
    ]
    return await service.attended(request, _moderate(inputs, caller, service, claim_of(request)))


async def _moderate(
    inputs: list[list[Words | bytes]], caller: Caller, service: Service, claim: Claim | None
) -> Response:
    words = [part for parts in inputs for part in parts if isinstance(part, Words)]
    pictures = [part for parts in inputs for part in parts if isinstance(part, bytes)]
    records: list[str] = []
    texts: list[Verdict] = []
    images: list[Verdict] = []
    if len(words) == len(pictures) == 1 and words[0].edit:
        # What is asked of an edit, and its picture, which is judged in the light of it.
        judged = await service.moderate_image(
            caller, pictures[0], edit=words[0].text, language=words[0].language, claim=claim
        )
        records.append(judged.record_id)
        texts, images = [judged.verdicts[0]], [*judged.verdicts[1:]]
    else:
        if words:
            judged = await service.moderate(
                caller,
                [one.text for one in words],
                edits=[one.edit for one in words],
                languages=[one.language for one in words],
                claim=claim,
            )
            records.append(judged.record_id)
            texts = list(judged.verdicts)
        for picture in pictures:
            # The key leads to one record, the first.
            first = None if records else claim
            judged = await service.moderate_image(caller, picture, claim=first)
            records.append(judged.record_id)
            images += judged.verdicts
    models = sorted({name for verdict in (*texts, *images) for name in verdict.models})
    waiting: dict[InputType, Iterator[Verdict]] = {"text": iter(texts), "image": iter(images)}
    results: list[JsonValue] = []
    for parts in inputs:
        kinds: list[InputType] = ["text" if isinstance(part, Words) else "image" for part in parts]
        results.append(moderation_result([(kind, next(waiting[kind])) for kind in kinds]))
    return JSONResponse(
        {
            "id": f"modr-{records[0]}",
            "model": ", ".join(models) or "chopmark",
            "results": results,
            "provenance": {"record_id": records[0], "record_ids": list(records)},
        },
        headers={"x-record-id": records[0]},
    )


@router.get("/models")
async def models(service: TheService, _caller: AnyCaller) -> dict[str, Any]:
    """List the generator that this server runs, in OpenAI's and in Gemini's members at once."""
    return model_list(service)


@router.get("/models/{model}")
async def model(model: str, service: TheService, _caller: AnyCaller) -> dict[str, Any]:
    """Describe one model."""
    return model_of(served_model(model, service))


async def _made(
    request: Request,
    service: Service,
    caller: Caller,
    asked: GenerationRequest,
    body: ImageOptions,
) -> Response:
    released = await service.make(request, caller, asked, identifier=body.subject())
    usage = Usage.of(asked, released, service.pipeline.parts.generator.info)
    address = address_of(request, caller, released.record_id)
    answer = await in_thread(lambda: images_response(released, body, usage, address))
    return JSONResponse(answer, headers=released_headers(released))
