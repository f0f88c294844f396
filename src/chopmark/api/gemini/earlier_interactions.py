"""Interactions by their names: for an hour, for the caller who got them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from chopmark.errors import InvalidRequest, PictureNotFound
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES
from chopmark.service.shared_pictures import EarlierAnswers
from chopmark.service.state import state_of

__all__ = ["router"]

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
InteractionId = Annotated[str, Path(pattern="^int_[0-9a-f]{1,64}$")]


@router.get("/v1/interactions/{interaction_id}")
@router.get("/v1beta/interactions/{interaction_id}")
async def retrieve(
    interaction_id: InteractionId,
    request: Request,
    service: TheService,
    caller: Creator,
    stream: Annotated[bool, Query()] = False,
) -> dict[str, Any]:
    """Give an interaction again that this key had within the last hour, whole."""
    if stream:
        raise InvalidRequest(
            "an interaction that has a name is complete, and is not streamed again", param="stream"
        )
    held, parts = state_of(request.app, EarlierAnswers), service.pipeline.parts
    tenant, owner = caller.tenant.name, caller.holder
    found = await in_thread(lambda: held.standing(parts, tenant, owner, interaction_id))
    if found is None:
        raise _gone(interaction_id)
    created = datetime.fromtimestamp(found.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = base64.b64encode(found.data).decode()
    content = {"type": "image", "mime_type": found.mime, "data": data}
    return {
        "id": interaction_id,
        "object": "interaction",
        "status": "completed",
        "model": parts.generator.info.id,
        "created": created,
        "updated": created,
        "steps": [{"type": "model_output", "content": [content]}],
        "provenance": {"record_id": found.record_ids[0]},
    }


@router.delete("/v1/interactions/{interaction_id}")
@router.delete("/v1beta/interactions/{interaction_id}")
async def delete(
    interaction_id: InteractionId, request: Request, caller: Creator
) -> dict[str, Any]:
    """Let go of an interaction's picture; its record stays."""
    held, owner = state_of(request.app, EarlierAnswers), caller.holder
    if not await in_thread(lambda: held.forget(caller.tenant.name, owner, interaction_id)):
        raise _gone(interaction_id)
    return {}


@router.post("/v1/interactions/{interaction_id}/cancel")
@router.post("/v1beta/interactions/{interaction_id}/cancel")
async def cancel(interaction_id: InteractionId, _caller: Creator) -> dict[str, Any]:
    """Refuse: an interaction that has a name is complete."""
    raise InvalidRequest(
        f"{interaction_id} is complete, and cannot be cancelled",
        hint="hang up to cancel what still runs",
    )


def _gone(name: str) -> PictureNotFound:
    return PictureNotFound(
        f"no earlier interaction {name!r} is held here", hint="they are held for an hour"
    )
