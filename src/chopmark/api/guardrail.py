"""LiteLLM's generic guardrail: texts and pictures of whatever model, judged by the policy here.

Source: litellm 1.110.2, ``types/proxy/guardrails/guardrail_hooks/generic_guardrail_api.py``; tried
with its own client (``GenericGuardrailAPI.apply_guardrail``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

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

_PICTURE: Final = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]*={0,2}")
router = APIRouter(responses=RESPONSES, tags=["litellm"])
_Several = Annotated[list[str], Field(default_factory=list, max_length=limits.MODERATED.most)]


class Guarded(SentBody):
    """What LiteLLM sends of a request or of an answer; what else it sends is not looked at."""

    texts: _Several
    images: _Several
    tool_calls: Annotated[list[Any], Field(default_factory=list, max_length=limits.MODERATED.most)]
    structured_messages: Annotated[list[Any], Field(default_factory=list, max_length=10_000)]


@router.post("/beta/litellm_basic_guardrail_api")
async def guardrail(
    body: Guarded, request: Request, service: TheService, caller: Moderator
) -> Response:
    """Judge what goes to a model or comes from one: ``NONE`` lets it pass, ``BLOCKED`` does not.

    What a model wants a tool to do is judged as well: a prompt for pictures is often written there.
    A picture that cannot be judged is blocked: nobody could say that it is harmless.
    """
    return await service.attended(request, _judge(body, request, service, caller))


async def _judge(body: Guarded, request: Request, service: Service, caller: Caller) -> Response:
    longest = service.pipeline.settings.max_prompt_chars
    texts = [text for text in _texts(body) if text.strip()]
    if any(len(text) > longest for text in texts):
        return _answer(f"a text has more than {longest} characters and was not judged", [])
    if len(texts) > limits.MODERATED.most:
        return _answer(f"there are {len(texts)} texts; {limits.MODERATED.most} are judged", [])
    records: list[str] = []
    verdicts: list[Verdict] = []
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


def _texts(body: Guarded) -> list[str]:
    """Return all that is to be judged; messages where LiteLLM took no texts out of them."""
    found = list(body.texts)
    if not found:
        for message in body.structured_messages:
            found += _strings(message.get("content") if isinstance(message, dict) else None)
    for call in body.tool_calls:
        function = call.get("function") if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        try:
            asked = json.loads(arguments) if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError):
            asked = arguments  # not JSON: judged as it stands
        joined = "\n".join(_strings(asked))
        found += [joined] if joined else []
    return found


def _strings(value: Any) -> list[str]:
    """Return the texts in a value of JSON, in order; pictures are LiteLLM's ``images`` already."""
    found: list[str] = []
    waiting = [value]
    while waiting:  # not by recursion: a prompt must not hide in the depth
        one = waiting.pop()
        if isinstance(one, str) and not _PICTURE.fullmatch(one):
            found.append(one)
        elif isinstance(one, list | dict):
            waiting += reversed(list(one.values() if isinstance(one, dict) else one))
    return found


def _answer(reason: str | None, records: list[str]) -> Response:
    body: dict[str, Any] = {"action": "NONE" if reason is None else "BLOCKED"}
    if reason is not None:
        body["blocked_reason"] = reason
    headers = {"x-record-id": records[0]} if records else None
    return JSONResponse({**body, "provenance": {"record_ids": records}}, headers=headers)
