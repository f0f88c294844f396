"""``/v1/interactions``: Google's newer shape, in which a conversation is a list of steps.

A body of it says the same as one of ``generateContent`` and is read as that. What an interaction
made can be named by the next one: its newest picture is kept for an hour, for who made it.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from chopmark.api.gemini.orders import order_of
from chopmark.api.gemini.schemas import GenerateContent
from chopmark.api.models import served_model
from chopmark.api.nullable import SentBody
from chopmark.api.usage import Usage
from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES
from chopmark.service.shared_pictures import EarlierAnswers
from chopmark.service.state import state_of

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.released import Output, Released
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
_TURNS: Final = {"user_input": "user", "model_output": "model"}
_Word = Annotated[str, Field(max_length=100)]


class ResponseFormat(SentBody):
    """What the picture shall be like."""

    type: _Word = "image"
    aspect_ratio: _Word | None = None
    image_size: _Word | None = None
    mime_type: _Word | None = None


class CreateInteraction(SentBody):
    """What is asked for; what speaks of texts, tools and agents is ignored."""

    model: _Word
    input: str | dict[str, Any] | Annotated[list[dict[str, Any]], Field(max_length=256)]
    previous_interaction_id: _Word | None = None
    response_format: (
        ResponseFormat | Annotated[list[ResponseFormat], Field(max_length=8)] | None
    ) = None
    system_instruction: str | None = None
    generation_config: dict[str, Any] = Field(default_factory=dict)
    safety_settings: Annotated[list[dict[str, Any]], Field(max_length=32)] = Field(
        default_factory=list
    )
    stream: bool = False
    background: bool = False


@router.post("/v1/interactions")
@router.post("/v1beta/interactions")
async def create_interaction(
    body: CreateInteraction, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make a picture, or change the newest one of the conversation by the user's last words."""
    for name in ("stream", "background"):
        if getattr(body, name):
            raise InvalidRequest(
                f"{name}: interactions are answered at once and whole here",
                hint="generateContent streams; Prefer: respond-async on /v1/images answers later",
                param=name,
            )
    info = served_model(body.model, service)
    earlier = await _earlier(body, request, service, caller)
    asked = await order_of(_as_content(body, earlier), info, request, service, caller)
    released = await service.make(request, caller, asked)
    name = f"int_{secrets.token_hex(16)}"
    held, newest = state_of(request.app, EarlierAnswers), released.outputs[-1]
    names = (f"ig_{newest.output_id}", name)
    tenant, owner = caller.tenant.name, caller.holder
    await in_thread(lambda: held.keep(tenant, owner, names, newest, released.record_id))
    usage = Usage.of(asked, released, info)
    return JSONResponse(
        _interaction(name, body, released, usage), headers=released_headers(released)
    )


async def _earlier(
    body: CreateInteraction, http: Request, service: Service, caller: Caller
) -> bytes | None:
    """Return the picture of the interaction that this one goes on from."""
    name = body.previous_interaction_id
    if name is None:
        return None
    held, parts = state_of(http.app, EarlierAnswers), service.pipeline.parts
    tenant, owner = caller.tenant.name, caller.holder
    found = await in_thread(lambda: held.standing(parts, tenant, owner, name))
    if found is None:
        raise InvalidRequest(
            "previous_interaction_id: no earlier interaction of this name is held here",
            hint="they are held for an hour; send the picture itself instead",
            param="previous_interaction_id",
        )
    return found.data


def _as_content(body: CreateInteraction, earlier: bytes | None) -> GenerateContent:
    """Return what a body of ``generateContent`` would say."""
    turns = _turns(body.input)
    if earlier is not None:
        data = base64.b64encode(earlier).decode()
        turns.insert(0, {"role": "model", "parts": [{"inlineData": {"data": data}}]})
    formats = body.response_format
    wanted = formats if isinstance(formats, list) else [formats or ResponseFormat()]
    image = next((one for one in wanted if one.type == "image"), None)
    config: dict[str, Any] = {
        "seed": body.generation_config.get("seed"),
        "responseModalities": ["IMAGE" if image is not None else "TEXT"],
    }
    if image is not None:
        config["imageConfig"] = {
            "aspectRatio": image.aspect_ratio,
            "imageSize": image.image_size,
            "outputMimeType": image.mime_type,
        }
    said = body.system_instruction
    content = {
        "contents": turns,
        "systemInstruction": None if said is None else {"parts": [{"text": said}]},
        "generationConfig": config,
        "safetySettings": body.safety_settings,
    }
    try:
        return GenerateContent.model_validate(content)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None


def _turns(sent: str | dict[str, Any] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(sent, str):
        return [{"role": "user", "parts": [{"text": sent}]}]
    items = sent if isinstance(sent, list) else [sent]
    if not any(one.get("type") in {*_TURNS, "thought"} for one in items):
        return [{"role": "user", "parts": _parts(items, "input")}]
    return [
        {
            "role": _TURNS[str(one["type"])],
            "parts": _parts(one.get("content") or [], f"input[{place}].content"),
        }
        for place, one in enumerate(items)
        if _is_turn(one, f"input[{place}]")
    ]


def _is_turn(step: dict[str, Any], where: str) -> bool:
    if step.get("type") not in {*_TURNS, "thought"}:
        raise InvalidRequest(
            f"{where}: a step of this type is not understood here",
            hint="user_input and model_output",
            param=where,
        )
    return bool(step["type"] != "thought")


def _parts(sent: Any, where: str) -> list[dict[str, Any]]:
    listed = sent if isinstance(sent, list) else [sent]
    return [_part(one, f"{where}[{place}]") for place, one in enumerate(listed)]


def _part(one: Any, where: str) -> dict[str, Any]:
    kind = one.get("type") if isinstance(one, dict) else None
    if kind == "text":
        return {"text": one.get("text")}
    if kind == "image" and one.get("data") is not None:
        return {"inlineData": {"data": one["data"]}}
    if kind == "image" and one.get("uri") is not None:
        return {"fileData": {"fileUri": one["uri"]}}
    raise InvalidRequest(
        f"{where}: not understood here",
        hint="a content is a text, or an image with data or uri",
        param=where,
    )


def _interaction(
    name: str, body: CreateInteraction, released: Released, usage: Usage
) -> dict[str, JsonValue]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    counted = usage.openai()
    return {
        "id": name,
        "object": "interaction",
        "status": "completed",
        "model": body.model,
        "created": now,
        "updated": now,
        "previous_interaction_id": body.previous_interaction_id,
        "steps": [{"type": "model_output", "content": [_content(one) for one in released.outputs]}],
        "usage": {
            "total_input_tokens": counted["input_tokens"],
            "total_output_tokens": counted["output_tokens"],
            "total_tokens": counted["total_tokens"],
        },
        "provenance": {
            "record_id": released.record_id,
            "model": released.model,
            "receipt": released.receipt.to_dict(),
            "outputs": [one.to_dict() for one in released.outputs],
        },
    }


def _content(output: Output) -> dict[str, JsonValue]:
    return {
        "type": "image",
        "mime_type": output.mime,
        "data": base64.b64encode(output.data).decode(),
    }
