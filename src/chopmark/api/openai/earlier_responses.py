"""Answers of ``/v1/responses`` by their names: for an hour, for the caller who got them."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from chopmark.errors import InvalidRequest, PictureNotFound
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.shared_pictures import EarlierAnswers
from chopmark.service.state import state_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/responses", responses=RESPONSES, tags=["openai"])
AnswerId = Annotated[str, Path(pattern="^resp_[0-9a-f]{1,64}$")]


@router.get("/{response_id}")
async def retrieve(
    response_id: AnswerId, request: Request, service: TheService, caller: Creator
) -> dict[str, Any]:
    """Give an answer again that this key got within the last hour; what it cost is not kept."""
    held, parts = state_of(request.app, EarlierAnswers), service.pipeline.parts
    tenant, owner = caller.tenant.name, caller.holder
    found = await in_thread(lambda: held.standing(parts, tenant, owner, response_id))
    if found is None:
        raise _gone(response_id)
    return {
        "id": response_id,
        "object": "response",
        "created_at": found.created,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": parts.generator.info.id,
        "output": [
            {
                "type": "image_generation_call",
                "id": f"ig_{found.name}",
                "status": "completed",
                "result": base64.b64encode(found.data).decode(),
                "output_format": found.mime.partition("/")[2],
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [{"type": "image_generation"}],
        "provenance": {"record_id": found.record_ids[0]},
    }


@router.delete("/{response_id}")
async def delete(response_id: AnswerId, request: Request, caller: Creator) -> dict[str, Any]:
    """Let go of an answer's picture; its record stays."""
    held, owner = state_of(request.app, EarlierAnswers), caller.holder
    if not await in_thread(lambda: held.forget(caller.tenant.name, owner, response_id)):
        raise _gone(response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel")
async def cancel(response_id: AnswerId, _caller: Creator) -> dict[str, Any]:
    """Refuse: an answer that has a name is complete."""
    raise InvalidRequest(
        f"{response_id} is complete, and cannot be cancelled",
        hint="hang up to cancel what still runs",
    )


def _gone(name: str) -> PictureNotFound:
    return PictureNotFound(
        f"no earlier answer {name!r} is held here", hint="they are held for an hour"
    )
