"""``chat/completions`` with pictures as the answer, as Open WebUI, OpenRouter and LibreChat ask.

Every turn brings the whole conversation. As with Gemini's: the words are those of the user's last
message, and what is changed is the newest picture, whoever brought it.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chopmark.api.models import served_model
from chopmark.api.nullable import SentBody
from chopmark.api.openai.answers import data_url
from chopmark.api.pictures import from_url
from chopmark.api.usage import Usage
from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESPONSES, STREAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.released import Released
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])
_MOST_MESSAGES: Final = 256
_SYSTEM: Final = ("system", "developer")
_TEXTS: Final = ("text", "input_text", "output_text", "refusal")
# As an answer shows its picture to clients that know no other way, and as they send it back.
_MARKDOWN: Final = re.compile(r"!\[[^\]\n]{0,200}\]\((data:image/[^)\s]+)\)")


class ChatMessage(BaseModel):
    """One message; `images` is where an earlier answer of ours has its pictures."""

    model_config = ConfigDict(extra="ignore")

    role: str = Field(max_length=20)
    content: str | list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None


class ChatCompletion(SentBody):
    """Body of ``POST /v1/chat/completions``; what speaks of texts is ignored."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=_MOST_MESSAGES)
    model: Annotated[str, Field(max_length=200)] | None = None
    n: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] = 1
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = None
    stream: bool = False
    user: str | None = None


@router.post("/chat/completions", responses=STREAMED)
async def chat_completions(
    body: ChatCompletion, request: Request, service: TheService, caller: Creator
) -> Response:
    """Answer with pictures: `message.images`, each with a `data:` URL."""
    info = served_model(body.model, service)
    asked = await _order(body, request, service, caller)
    released = await service.make(request, caller, asked, identifier=body.user or None)
    usage = Usage.of(asked, released, info)
    headers = released_headers(released)
    if body.stream:
        return StreamingResponse(
            _chunks(released, usage),
            media_type="text/event-stream",
            headers={**headers, "cache-control": "no-store"},
        )
    choices: list[JsonValue] = [
        {
            "index": number,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "refusal": None, **_shown(url)},
        }
        for number, url in enumerate(map(data_url, released.outputs))
    ]
    return JSONResponse(
        {
            **_head(released),
            "object": "chat.completion",
            "choices": choices,
            "usage": usage.chat(),
            "provenance": {
                **released.about(),
                "outputs": [output.to_dict() for output in released.outputs],
                "receipt": released.receipt.to_dict(),
            },
        },
        headers=headers,
    )


async def _order(
    body: ChatCompletion, http: Request, service: Service, caller: Caller
) -> GenerationRequest:
    turns = list(enumerate(body.messages))
    said = [turn for turn in turns if turn[1].role == "user"]
    if not said or turns[-1][1].role == "assistant":
        raise InvalidRequest(
            "the conversation does not end with the user's words",
            hint="the last of messages has the role user",
            param="messages",
        )
    words = [text for _, one in turns if one.role in _SYSTEM for text in _texts(one)]
    last = next((texts for _, one in reversed(said) if (texts := _texts(one))), [])
    options: dict[str, Any] = {"prompt": "\n".join([*words, *last]), "n": body.n, "seed": body.seed}
    pictures: list[tuple[str, str]] = []
    for number, one in reversed(turns):
        pictures = _pictures(one, f"messages[{number}]")
        if pictures:
            # What the user sends together belongs together; of an answer the newest counts.
            pictures = pictures if one.role == "user" else pictures[-1:]
            break
    if not pictures:
        return GenerationRequest(**options)
    first, *others = [
        await from_url(url, http, caller, service, param=where) for url, where in pictures
    ]
    return EditRequest(image=first, references=tuple(others), **options)


def _texts(message: ChatMessage) -> list[str]:
    texts = (_MARKDOWN.sub("", text) for _, text in _written(message, ""))
    return [text for text in texts if text.strip()]


def _written(message: ChatMessage, where: str) -> list[tuple[str, str]]:
    """Return the texts of a message, each with where it stands."""
    if isinstance(message.content, str):
        return [(f"{where}.content", message.content)]
    return [
        (f"{where}.content[{place}].text", part["text"])
        for place, part in enumerate(message.content or [])
        if part.get("type") in _TEXTS and isinstance(part.get("text"), str)
    ]


def _pictures(message: ChatMessage, where: str) -> list[tuple[str, str]]:
    """Return the URLs of a message's pictures, with where each stands."""
    parts = message.content if isinstance(message.content, list) else []
    rows = [(f"{where}.content[{place}]", part) for place, part in enumerate(parts)]
    rows += [(f"{where}.images[{place}]", part) for place, part in enumerate(message.images or [])]
    found = [
        (match[1], place)
        for place, text in _written(message, where)
        for match in _MARKDOWN.finditer(text)
    ]
    for place, part in rows:
        if part.get("type") in _TEXTS:
            continue
        named = part.get("image_url")
        url = named.get("url") if isinstance(named, dict) else named
        if isinstance(url, str):
            found.append((url, f"{place}.image_url"))
        elif message.role == "user":
            kind = str(part.get("type"))[:40]
            raise InvalidRequest(
                f"{place}: {kind!r} is not understood here",
                hint="parts are text and image_url",
                param=place,
            )
    return found


def _shown(url: str) -> dict[str, JsonValue]:
    """Return a picture as members of a message: for clients that know pictures, and for others."""
    return {
        "content": f"![picture]({url})",
        "images": [{"index": 0, "type": "image_url", "image_url": {"url": url}}],
    }


def _head(released: Released) -> dict[str, JsonValue]:
    return {
        "id": f"chatcmpl-{released.record_id}",
        "created": int(time.time()),
        "model": released.model,
    }


def _chunks(released: Released, usage: Usage) -> Iterator[str]:
    head = {**_head(released), "object": "chat.completion.chunk"}
    for number, url in enumerate(map(data_url, released.outputs)):
        delta = {"role": "assistant", **_shown(url)}
        yield _event({**head, "choices": [{"index": number, "delta": delta}]})
        yield _event({**head, "choices": [{"index": number, "delta": {}, "finish_reason": "stop"}]})
    yield _event({**head, "choices": [], "usage": usage.chat()})
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
