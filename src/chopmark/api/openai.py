"""The routes that OpenAI clients call, with their field names and answers."""

from __future__ import annotations

import base64
import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chopmark.api.problems import RESPONSES
from chopmark.errors import InvalidRequest
from chopmark.requests import GenerationRequest

if TYPE_CHECKING:
    from chopmark.pipeline import Pipeline
    from chopmark.released import Released
    from chopmark.safety import Verdict
    from chopmark.types import JsonValue

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])


def the_pipeline(request: Request) -> Any:
    """Return the pipeline that the application was made over."""
    return request.app.state.pipeline


Through = Annotated[Any, Depends(the_pipeline)]


class ImagesGenerations(BaseModel):
    """Body of ``POST /v1/images/generations``; ``seed`` and ``steps`` are extras of ours."""

    # Clients send fields that we do not act on (moderation, style, user ...).
    model_config = ConfigDict(extra="ignore")

    prompt: str
    model: str | None = None
    n: int | None = Field(default=1, ge=1, le=15)
    size: str | None = None
    output_format: Literal["png", "jpeg", "webp", "avif"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    response_format: Literal["b64_json"] | None = None
    stream: Literal[False] | None = None
    seed: int | None = None
    steps: int | None = None
    negative_prompt: str = ""


class Moderations(BaseModel):
    """Body of ``POST /v1/moderations``."""

    model_config = ConfigDict(extra="ignore")

    input: str | list[str] | list[dict[str, Any]]
    model: str | None = None


@router.post("/images/generations")
async def generations(body: ImagesGenerations, request: Request, pipeline: Through) -> Response:
    """Make pictures from a prompt."""
    from fastapi.responses import JSONResponse

    _check_model(body.model, pipeline)
    released = await pipeline.generate(
        GenerationRequest(
            prompt=body.prompt,
            negative_prompt=body.negative_prompt,
            n=body.n or 1,
            seed=body.seed,
            size=_size(body.size),
            steps=body.steps,
            format=body.output_format,
            quality=max(body.output_compression, 1) if body.output_compression else None,
            client=request.client.host if request.client else None,
        )
    )
    return JSONResponse(_answer(released), headers={"x-record-id": released.record_id})


@router.post("/moderations")
async def moderations(body: Moderations, pipeline: Through) -> Response:
    """Judge texts by the policy."""
    from fastapi.responses import JSONResponse

    texts = _texts(body.input)
    said = await pipeline.moderate(texts)
    results: list[JsonValue] = [_moderation(verdict) for verdict in said.verdicts]
    answer: dict[str, JsonValue] = {
        "id": f"modr-{said.record_id}",
        "model": said.verdicts[0].models[0] if said.verdicts[0].models else "chopmark",
        "results": results,
    }
    return JSONResponse(answer, headers={"x-record-id": said.record_id})


@router.get("/models")
async def models(pipeline: Through) -> dict[str, Any]:
    """List the generator that this server runs."""
    info = pipeline.rooms.generator.info
    return {
        "object": "list",
        "data": [{"id": info.id, "object": "model", "created": 0, "owned_by": "chopmark"}],
    }


def _answer(released: Released) -> dict[str, JsonValue]:
    first = released.outputs[0]
    data: list[JsonValue] = [
        {"b64_json": base64.b64encode(output.data).decode(), "provenance": output.to_dict()}
        for output in released.outputs
    ]
    return {
        "created": int(time.time()),
        "output_format": first.format,
        "size": f"{first.width}x{first.height}",
        "data": data,
        "provenance": {
            "record_id": released.record_id,
            "receipt": released.receipt.to_dict(),
            "withheld": [item.index for item in released.withheld],
        },
    }


def _moderation(verdict: Verdict) -> dict[str, JsonValue]:
    said = verdict.to_dict()
    return {
        "flagged": verdict.flagged,
        "categories": {name: name in verdict.categories for name in verdict.scores},
        "category_scores": dict(verdict.scores),
        "category_applied_input_types": {name: ["text"] for name in verdict.scores},
        "action": verdict.action,
        "evidence": said["evidence"],
        "not_evaluated": list(verdict.not_evaluated),
    }


def _texts(given: str | list[str] | list[dict[str, Any]]) -> list[str]:
    rows = [given] if isinstance(given, str) else given
    texts = []
    for number, row in enumerate(rows):
        text = row.get("text") if isinstance(row, dict) and row.get("type") == "text" else row
        if not isinstance(text, str):
            raise InvalidRequest(f"input {number}: only texts are judged on this route so far")
        texts.append(text)
    if not texts:
        raise InvalidRequest("input is empty")
    return texts


def _size(text: str | None) -> tuple[int, int] | None:
    if text in {None, "auto"}:
        return None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text or "")
    if match is None:
        raise InvalidRequest(f"size {text!r} is not WIDTHxHEIGHT or auto")
    return int(match[1]), int(match[2])


def _check_model(asked: str | None, pipeline: Pipeline) -> None:
    from chopmark.errors import ModelNotFound

    info = pipeline.rooms.generator.info
    if asked not in {None, "", info.id, "chopmark"}:
        raise ModelNotFound(
            f"model {asked!r} is not served here", hint=f"this server has {info.id}"
        )
