"""Prompts that were let through for a time: which ones, and the end of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from chopmark.api.desk.records import CallerDesk
from chopmark.kit.limits import RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import RecordReader, Reviewer
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/review/exceptions", responses=RESPONSES, tags=["desk"])
ExceptionIndex = Annotated[int, Path(ge=0, le=2**53, description="Of the entry that granted it")]


class EndBody(Strict):
    """Why it ends."""

    rationale: Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]


@router.get("")
async def standing(desk: CallerDesk, _caller: RecordReader) -> dict[str, Any]:
    """List the exceptions that hold now, oldest first; `index` names one."""
    found = await in_thread(desk.appeals.exceptions)
    return {"exceptions": [one.to_dict() for one in found]}


@router.post("/{index}/revoke")
async def revoke(
    index: ExceptionIndex, body: EndBody, desk: CallerDesk, _caller: Reviewer
) -> dict[str, Any]:
    """End an exception: the prompt is judged by the policy again from the next request on."""
    booked = await in_thread(lambda: desk.appeals.revoke_exception(index, reason=body.rationale))
    return {"event": booked.to_dict()}
