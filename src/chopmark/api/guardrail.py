"""LiteLLM's generic guardrail: texts and pictures of whatever model, judged by the policy here.

Source: litellm 1.110, ``types/proxy/guardrails/guardrail_hooks/generic_guardrail_api.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from chopmark.api.nullable import SentBody
from chopmark.api.pictures import from_url
from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.moderation import stops
from chopmark.service.caller import Moderator
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES

if TYPE_CHECKING:
    from chopmark.safety import Verdict
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(responses=RESPONSES, tags=["litellm"])
_Several = Annotated[list[str], Field(default_factory=list, max_length=limits.MODERATED.most)]


class Guarded(SentBody):
    """What LiteLLM sends of a request or of an answer; what else it sends is not looked at."""

    texts: _Several
    images: _Several


@router.post("/beta/litellm_basic_guardrail_api")
async def guardrail(
    body: Guarded, request: Request, service: TheService, caller: Moderator
) -> Response:
    """Judge what goes to a model or comes from one: ``NONE`` lets it pass, ``BLOCKED`` does not.

    A picture that cannot be judged is blocked: nobody could say that it is harmless.
    """
    return await service.attended(request, _judge(body, request, service, caller))


async def _judge(body: Guarded, request: Request, service: Service, caller: Caller) -> Response:
    longest = service.pipeline.settings.max_prompt_chars
    if any(len(text) > longest for text in body.texts):
        return _answer(f"a text has more than {longest} characters and was not judged", [])
    records: list[str] = []
    verdicts: list[Verdict] = []
    texts = [text for text in body.texts if text.strip()]
    if texts:
        judged = await service.moderate(caller, texts)
        records.append(judged.record_id)
        verdicts += judged.verdicts
    for number, url in enumerate(body.images):
        try:
            data = await from_url(url, request, caller, service, param=f"images[{number}]")
            judged = await service.moderate_image(caller, data)
        except InvalidRequest as error:
            return _answer(f"a picture could not be judged: {error.message}", records)
        records.append(judged.record_id)
        verdicts += judged.verdicts
    stopped = [one for one in verdicts if stops(one, service.pipeline.settings)]
    if not stopped:
        return _answer(None, records)
    named = sorted({name for verdict in stopped for name in verdict.categories})
    return _answer(f"refused by the policy: {', '.join(named) or 'review'}", records)


def _answer(reason: str | None, records: list[str]) -> Response:
    body: dict[str, Any] = {"action": "NONE" if reason is None else "BLOCKED"}
    if reason is not None:
        body["blocked_reason"] = reason
    headers = {"x-record-id": records[0]} if records else None
    return JSONResponse({**body, "provenance": {"record_ids": records}}, headers=headers)
