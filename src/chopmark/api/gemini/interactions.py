"""``/v1/interactions``: Google's newer shape, in which a conversation is a list of steps.

A body of it says the same as one of ``generateContent`` and is read as that. What an interaction
made can be named by the next one: its newest picture is kept for an hour, for who made it.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from chopmark.api.gemini.interactions_input import CreateInteraction, as_content, image_format
from chopmark.api.gemini.orders import order_of
from chopmark.api.models import served_model
from chopmark.api.openai.content import address_of
from chopmark.api.usage import Usage
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.steps import in_thread
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES, STREAMED, google_error
from chopmark.service.shared_pictures import EarlierAnswers
from chopmark.service.state import state_of
from chopmark.service.watch import QUEUED, WatchedGeneration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output, Released
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
_DONE: Final = "event: done\ndata: [DONE]\n\n"


@router.post("/v1/interactions", responses=STREAMED)
@router.post("/v1beta/interactions", responses=STREAMED)
async def create_interaction(
    body: CreateInteraction, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make a picture, or change the newest one of the conversation by the user's last words."""
    info = served_model(body.model, service)
    earlier = await _earlier(body, request, service, caller)
    content = as_content(body, earlier)
    asked = await order_of(content, info, request, service, caller)
    told = _Told(body=body, http=request, service=service, caller=caller)
    if body.stream:
        if body.generation_config.thinking_summaries == "auto":
            asked = replace(asked, previews=limits.STREAMED_PREVIEWS.most)
        generation = WatchedGeneration(request, service.make, caller, asked, identifier=None)
        begun = await generation.begun()
        return StreamingResponse(
            _events(told, asked, generation, begun=begun),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
    released = await service.make(request, caller, asked)
    return JSONResponse(await told.whole(asked, released), headers=released_headers(released))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one interaction tells of itself, whole or in events."""

    body: CreateInteraction
    http: Request
    service: Service
    caller: Caller
    name: str = field(default_factory=lambda: f"int_{secrets.token_hex(16)}")
    created: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def head(self, status: str) -> dict[str, JsonValue]:
        """Return the members that are known from the beginning."""
        return {
            "id": self.name,
            "object": "interaction",
            "status": status,
            "model": self.body.model,
            "created": self.created,
            "updated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "previous_interaction_id": self.body.previous_interaction_id,
        }

    def beside(self, asked: GenerationRequest, released: Released) -> dict[str, JsonValue]:
        """Return what stands beside the steps."""
        counted = Usage.of(asked, released, self.service.pipeline.parts.generator.info).openai()
        return {
            "usage": {
                "total_input_tokens": counted["input_tokens"],
                "total_output_tokens": counted["output_tokens"],
                "total_tokens": counted["total_tokens"],
            },
            "provenance": {
                **released.about(),
                "receipt": released.receipt.to_dict(),
                "outputs": [one.to_dict() for one in released.outputs],
            },
        }

    async def whole(self, asked: GenerationRequest, released: Released) -> dict[str, JsonValue]:
        """Return the interaction, and keep its picture for the next one."""
        content = await self.content(released)
        return {
            **self.head("completed"),
            "steps": [{"type": "model_output", "content": content}],
            **self.beside(asked, released),
        }

    async def content(self, released: Released) -> list[JsonValue]:
        """Return the pictures as contents of a step, and keep the newest for the next one."""
        if self.body.store:
            held, newest = state_of(self.http.app, EarlierAnswers), released.outputs[-1]
            names = (f"ig_{newest.output_id}", self.name)
            tenant, owner = self.caller.tenant.name, self.caller.holder
            await in_thread(lambda: held.keep(tenant, owner, names, newest, released.record_id))
        shape = image_format(self.body)
        by_uri = shape is not None and shape.delivery == "uri"
        address = address_of(self.http, self.caller, released.record_id) if by_uri else None

        def contents() -> list[JsonValue]:
            return [
                _image(one)
                if address is None
                else {"type": "image", "mime_type": one.mime, "uri": address(one)}
                for one in released.outputs
            ]

        return await in_thread(contents)


def _image(picture: Output | Preview) -> dict[str, JsonValue]:
    data = base64.b64encode(picture.data).decode()
    return {"type": "image", "mime_type": picture.mime, "data": data}


async def _events(
    told: _Told, asked: GenerationRequest, generation: WatchedGeneration[Released], *, begun: bool
) -> AsyncIterator[str]:
    """Yield the interaction as events: previews are steps of thoughts, the picture the last one."""
    step = 0
    try:
        yield _event("interaction.created", interaction=told.head("in_progress"))
        while not begun:
            yield QUEUED
            begun = await generation.begun()
        async for preview in generation.previews():
            if preview is None:
                yield ": still at work\n\n"
                continue
            thought = {"type": "thought_summary", "content": _image(preview)}
            yield _event("step.start", index=step, step={"type": "thought"})
            yield _event("step.delta", index=step, delta=thought)
            yield _event("step.stop", index=step)
            step += 1
        released = await generation.result()
        contents = await told.content(released)
        yield _event("step.start", index=step, step={"type": "model_output"})
        for content in contents:
            yield _event("step.delta", index=step, delta=content)
        yield _event("step.stop", index=step)
        done = {**told.head("completed"), **told.beside(asked, released)}
        yield _event("interaction.completed", interaction=done)
        yield _DONE
    except ChopmarkError as error:
        told.http.state.error = error
        yield _event("error", error=google_error(error, path=told.http.url.path))
    finally:
        await generation.stop()


def _event(kind: str, **members: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'event_type': kind, **members})}\n\n"
