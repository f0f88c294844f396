"""The body of ``/v1/interactions``, read as one of ``generateContent``, which says the same."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from chopmark.api.gemini.schemas import GenerateContent
from chopmark.api.nullable import SentBody
from chopmark.errors import InvalidRequest

__all__ = ["CreateInteraction", "ResponseFormat", "as_content", "image_format"]

_TURNS: Final = {"user_input": "user", "model_output": "model"}
_Word = Annotated[str, Field(max_length=100)]
# What would make another answer, and is not there.
_NOT_HERE: Final = ("agent", "cached_content", "continuation_token", "environment")


class ResponseFormat(SentBody):
    """What the picture shall be like."""

    type: _Word = "image"
    aspect_ratio: _Word | None = None
    image_size: _Word | None = None
    mime_type: _Word | None = None
    delivery: Literal["inline", "uri"] = "inline"


class _ImageConfig(SentBody):
    aspect_ratio: _Word | None = None
    image_size: _Word | None = None


class _GenerationConfig(SentBody):
    seed: Any = None
    image_config: _ImageConfig = Field(default_factory=_ImageConfig)
    thinking_summaries: _Word | None = None


class CreateInteraction(SentBody):
    """What is asked for; what speaks of texts and tools is ignored.

    Attributes:
        store: Whether a later interaction may go on from this one.
    """

    model: _Word
    input: str | dict[str, Any] | Annotated[list[dict[str, Any]], Field(max_length=256)]
    previous_interaction_id: _Word | None = None
    response_format: (
        ResponseFormat | Annotated[list[ResponseFormat], Field(max_length=8)] | None
    ) = None
    response_modalities: Annotated[list[_Word], Field(max_length=8)] | None = None
    response_mime_type: _Word | None = None
    system_instruction: str | None = None
    generation_config: _GenerationConfig = Field(default_factory=_GenerationConfig)
    safety_settings: Annotated[list[dict[str, Any]], Field(max_length=32)] = Field(
        default_factory=list
    )
    store: bool = True
    stream: bool = False
    agent: Any = None
    cached_content: Any = None
    continuation_token: Any = None
    environment: Any = None


def image_format(body: CreateInteraction) -> ResponseFormat | None:
    """Return what the picture shall be like; ``None`` where only something else is asked for."""
    formats = body.response_format
    if formats is None or formats == []:
        wanted = [ResponseFormat()]
    else:
        wanted = formats if isinstance(formats, list) else [formats]
    if body.response_modalities and "image" not in map(str.lower, body.response_modalities):
        return None
    return next((one for one in wanted if one.type == "image"), None)


def as_content(body: CreateInteraction, earlier: bytes | None) -> GenerateContent:
    """Return what a body of ``generateContent`` would say.

    Args:
        body: The interaction.
        earlier: The picture of the interaction that it goes on from.

    Raises:
        InvalidRequest: It asks for what is not there, or a step or a part is not understood.
        RequestValidationError: A value that cannot be used.
    """
    for name in _NOT_HERE:
        if getattr(body, name):
            raise InvalidRequest(
                f"{name}: interactions are with a model alone here",
                hint="send what is to be seen in input",
                param=name,
            )
    turns = _turns(body.input)
    if earlier is not None:
        data = base64.b64encode(earlier).decode()
        turns.insert(0, {"role": "model", "parts": [{"inlineData": {"data": data}}]})
    image = image_format(body)
    old = body.generation_config.image_config
    config: dict[str, Any] = {
        "seed": body.generation_config.seed,
        "responseModalities": ["TEXT" if image is None else "IMAGE"],
    }
    if image is not None:
        mime = body.response_mime_type
        config["imageConfig"] = {
            "aspectRatio": image.aspect_ratio or old.aspect_ratio,
            "imageSize": image.image_size or old.image_size,
            "outputMimeType": image.mime_type
            or (mime if mime is not None and mime.startswith("image/") else None),
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
    if isinstance(one, str):
        return {"text": one}
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
