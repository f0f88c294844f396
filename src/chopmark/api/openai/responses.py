"""``/v1/responses`` with the ``image_generation`` tool: conversations about a picture.

What an answer made can be named by the next request, by ``previous_response_id`` or by the call's
id: the newest picture of each answer is kept for an hour, for the caller who made it.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError

from chopmark.api.models import served_model
from chopmark.api.openai.responses_input import CreateResponse, spoken, tool_of
from chopmark.api.openai.schemas import ImagesEdits
from chopmark.api.pictures import from_file, from_url
from chopmark.api.usage import Usage
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES, STREAMED, openai_error
from chopmark.service.shared_pictures import EarlierAnswers
from chopmark.service.state import state_of
from chopmark.service.watch import QUEUED, WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.api.openai.responses_input import Named
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.released import Output, Released
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])


@router.post("/responses", responses=STREAMED)
async def create_response(
    body: CreateResponse, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make a picture, or change the newest one of the conversation, by the user's last words."""
    options = _options(tool_of(body))
    served_model(options.model, service)
    asked = await _order(body, options, request, service, caller)
    identifier = options.model_copy(
        update={"user": body.user, "safety_identifier": body.safety_identifier}
    ).subject()
    answer = f"resp_{secrets.token_hex(16)}"
    if body.stream:
        generation = WatchedGeneration(request, service.make, caller, asked, identifier=identifier)
        begun = await generation.begun()
        return StreamingResponse(
            _events(request, service, caller, generation, body, asked, answer, begun=begun),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
    released = await service.make(request, caller, asked, identifier=identifier)
    if body.store:
        await _keep(request, caller, answer, released)
    return JSONResponse(
        _response(answer, body, service, asked, released), headers=released_headers(released)
    )


def _options(tool: dict[str, Any]) -> ImagesEdits:
    """Return the tool's options, checked as those of the image routes are."""
    members = {name: value for name, value in tool.items() if name not in ("type", "prompt")}
    try:
        options = ImagesEdits.model_validate({**members, "prompt": "-", "stream": True})
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**one, "loc": ("body", "tools", 0, *one["loc"])}
                for one in error.errors(include_url=False)
            ]
        ) from None
    return options


async def _order(
    body: CreateResponse, options: ImagesEdits, http: Request, service: Service, caller: Caller
) -> GenerationRequest:
    said = spoken(body)
    info = service.pipeline.parts.generator.info
    values: dict[str, Any] = {
        "prompt": said.prompt,
        "negative_prompt": options.negative_prompt,
        "seed": options.seed,
        "size": options.pixels(info),
        "steps": options.denoising(info.default_steps),
        "format": options.file_format(),
        "quality": options.file_quality(),
        "background": options.ground(),
        "previews": options.preview_count() if body.stream else 0,
    }
    pictures = [await _picture(one, http, service, caller) for one in said.pictures]
    if not pictures and body.previous_response_id is not None:
        pictures = [
            await _held(http, service, caller, body.previous_response_id, "previous_response_id")
        ]
    if not pictures:
        return GenerationRequest(**values)
    mask = await _mask(tool_of(body), http, service, caller)
    first, *others = pictures
    return EditRequest(
        image=first, references=tuple(others), mask=mask, strength=options.how_far(), **values
    )


async def _picture(one: Named, http: Request, service: Service, caller: Caller) -> bytes:
    if one.call is not None:
        return await _held(http, service, caller, one.call, one.param)
    if one.file_id is not None:
        return await from_file(one.file_id, http, caller, param=one.param)
    return await from_url(one.url or "", http, caller, service, param=one.param)


async def _held(http: Request, service: Service, caller: Caller, name: str, param: str) -> bytes:
    earlier, parts = state_of(http.app, EarlierAnswers), service.pipeline.parts
    tenant, owner = caller.tenant.name, caller.holder
    held = await in_thread(lambda: earlier.standing(parts, tenant, owner, name))
    if held is None:
        raise InvalidRequest(
            f"{param}: no earlier answer of this name is held here",
            hint="they are held for an hour; send the picture itself instead",
            param=param,
        )
    return held.data


async def _mask(
    tool: dict[str, Any], http: Request, service: Service, caller: Caller
) -> bytes | None:
    named = tool.get("input_image_mask")
    if named is None:
        return None
    where = "tools[0].input_image_mask"
    url = named.get("image_url") if isinstance(named, dict) else None
    name = named.get("file_id") if isinstance(named, dict) else None
    if url is None and isinstance(name, str):
        mask = await from_file(name, http, caller, param=f"{where}.file_id")
    elif isinstance(url, str):
        mask = await from_url(url, http, caller, service, param=f"{where}.image_url")
    else:
        raise InvalidRequest(
            f"{where}: no mask", hint="image_url with a data: URL, or file_id", param=where
        )
    files = service.pipeline.parts.files
    return await service.look(http, caller, [mask], lambda: files.alpha_mask(mask))


async def _keep(http: Request, caller: Caller, answer: str, released: Released) -> None:
    newest = released.outputs[-1]
    held, owner = state_of(http.app, EarlierAnswers), caller.holder
    tenant, names = caller.tenant.name, (_call_id(newest), answer)
    await in_thread(lambda: held.keep(tenant, owner, names, newest, released.record_id))


def _call_id(output: Output) -> str:
    return f"ig_{output.output_id}"


def _item(output: Output, asked: GenerationRequest) -> dict[str, JsonValue]:
    return {
        "type": "image_generation_call",
        "id": _call_id(output),
        "status": "completed",
        "action": "edit" if isinstance(asked, EditRequest) else "generate",
        "result": base64.b64encode(output.data).decode(),
        "size": f"{output.width}x{output.height}",
        "output_format": output.format,
        "background": asked.background,
        "provenance": output.to_dict(),
    }


def _response(
    answer: str,
    body: CreateResponse,
    service: Service,
    asked: GenerationRequest,
    released: Released | None,
) -> dict[str, JsonValue]:
    """Return the response object; without pictures while they are being made."""
    members: dict[str, JsonValue] = {
        "id": answer,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions or None,
        "metadata": {},
        "model": body.model or service.pipeline.parts.generator.info.id,
        "output": [],
        "parallel_tool_calls": False,
        "previous_response_id": body.previous_response_id,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [{"type": "image_generation"}],
        "top_p": None,
    }
    if released is None:
        return members
    usage = Usage.of(asked, released, service.pipeline.parts.generator.info).openai()
    return {
        **members,
        "status": "completed",
        "output": [_item(output, asked) for output in released.outputs],
        "usage": {
            **usage,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        "provenance": {
            **released.about(),
            "receipt": released.receipt.to_dict(),
        },
    }


async def _events(
    http: Request,
    service: Service,
    caller: Caller,
    generation: WatchedGeneration[Released],
    body: CreateResponse,
    asked: GenerationRequest,
    answer: str,
    *,
    begun: bool,
) -> AsyncIterator[str]:
    number = -1

    def event(kind: str, **members: Any) -> str:
        nonlocal number
        number += 1
        data = json.dumps({"type": kind, "sequence_number": number, **members})
        return f"event: {kind}\ndata: {data}\n\n"

    started = _response(answer, body, service, asked, None)
    call = {"item_id": f"ig_{answer[5:21]}", "output_index": 0}
    doing = "response.image_generation_call"
    try:
        yield event("response.created", response=started)
        while not begun:
            yield QUEUED
            begun = await generation.begun()
        yield event("response.in_progress", response=started)
        item = {"type": "image_generation_call", "id": call["item_id"], "status": "in_progress"}
        yield event("response.output_item.added", output_index=0, item=item)
        yield event(f"{doing}.in_progress", **call)
        yield event(f"{doing}.generating", **call)
        looks = 0
        async for preview in generation.previews():
            if preview is None:
                yield ": still at work\n\n"
                continue
            text = base64.b64encode(preview.data).decode()
            yield event(
                f"{doing}.partial_image", **call,
                partial_image_index=looks, partial_image_b64=text,
            )  # fmt: skip
            looks += 1
        released = await generation.result()
        if body.store:
            await _keep(http, caller, answer, released)
        yield event(f"{doing}.completed", **call)
        for place, output in enumerate(released.outputs):
            yield event("response.output_item.done", output_index=place, item=_item(output, asked))
        done = _response(answer, body, service, asked, released)
        yield event("response.completed", response=done)
    except ChopmarkError as error:
        http.state.error = error
        told = openai_error(error, appeal_url=service.pipeline.settings.appeal_url)
        yield event("error", **{name: one for name, one in told.items() if name != "type"})
    finally:
        await generation.stop()
