"""The input of ``/v1/responses``: the last words, of the newest picture, and the tool's options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, WithJsonSchema

from chopmark.api.nullable import SentBody
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CreateResponse", "Named", "Spoken", "spoken", "tool_of"]

_MOST_ITEMS = 256
_CALL = "image_generation_call"
_TEXTS = ("input_text", "output_text", "text")
_SYSTEM = ("system", "developer")
_ITEMS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}


class CreateResponse(SentBody):
    """Body of ``POST /v1/responses``; what speaks of texts is ignored.

    Attributes:
        store: Whether a later request may go on from the answer.
    """

    input: Annotated[Any, WithJsonSchema(_ITEMS)]
    model: Annotated[str, Field(max_length=200)] | None = None
    instructions: str = ""
    previous_response_id: Annotated[str, Field(max_length=80)] | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list, max_length=64)
    store: bool = True
    stream: bool = False
    conversation: Any = None
    prompt: Any = None
    user: str | None = None
    safety_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A picture of the conversation.

    Attributes:
        url: Its ``data:`` URL or address, or ``None``.
        call: The call of an earlier answer that made it, or ``None``.
        file_id: The file that it is, or ``None``.
        param: Where it stands.
    """

    url: str | None = None
    call: str | None = None
    file_id: str | None = None
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the last turn asks for.

    Attributes:
        prompt: The words.
        pictures: What is changed, and what else is drawn on; empty where the input has none.
    """

    prompt: str
    pictures: tuple[Named, ...]


def tool_of(body: CreateResponse) -> dict[str, Any]:
    """Return the options of the ``image_generation`` tool.

    Raises:
        InvalidRequest: It is not among the tools: this server makes nothing else.
    """
    for tool in body.tools:
        if tool.get("type") == "image_generation":
            return tool
    raise InvalidRequest(
        "this server makes pictures, not texts",
        hint='tools must hold {"type": "image_generation"}',
        param="tools",
    )


def spoken(body: CreateResponse) -> Spoken:
    """Return what the input asks for.

    Raises:
        InvalidRequest: The input has no words of the user, or a part that is not understood, or
            more is kept elsewhere.
    """
    for name in ("conversation", "prompt"):
        if getattr(body, name):
            raise InvalidRequest(
                f"{name}: what was kept under a name is not known here",
                hint="send it in input, or go on from previous_response_id",
                param=name,
            )
    if isinstance(body.input, str):
        return Spoken(prompt=_joined(body.instructions, [body.input]), pictures=())
    if not isinstance(body.input, list) or len(body.input) > _MOST_ITEMS:
        raise InvalidRequest("input is neither a text nor a list of items", param="input")
    rows = [
        (f"input[{number}]", row if isinstance(row, dict) else {})
        for number, row in enumerate(body.input)
    ]
    said = [(where, row) for where, row in rows if row.get("role") == "user"]
    if not said:
        raise InvalidRequest("input has no message of the user", param="input")
    system = [text for _, row in rows if row.get("role") in _SYSTEM for text in _texts(row)]
    last = next((texts for _, row in reversed(said) if (texts := _texts(row))), [])
    pictures: list[Named] = []
    for where, row in reversed(rows):
        pictures = _pictures(row, where)
        if pictures:
            break
    return Spoken(prompt=_joined(body.instructions, [*system, *last]), pictures=tuple(pictures))


def _joined(instructions: str, words: Sequence[str]) -> str:
    return "\n".join(text for text in (instructions, *words) if text)


def _texts(row: dict[str, Any]) -> list[str]:
    content = row.get("content")
    if isinstance(content, str):
        return [content] if content.strip() else []
    parts = content if isinstance(content, list) else []
    return [
        part["text"]
        for part in parts
        if isinstance(part, dict)
        and part.get("type") in _TEXTS
        and isinstance(part.get("text"), str)
    ]


def _pictures(row: dict[str, Any], where: str) -> list[Named]:
    if row.get("type") == _CALL:
        result, call = row.get("result"), row.get("id")
        if isinstance(result, str):
            return [Named(url=f"data:image/png;base64,{result}", param=f"{where}.result")]
        return [Named(call=str(call)[:80], param=f"{where}.id")]
    content = row.get("content")
    found: list[Named] = []
    for number, part in enumerate(content if isinstance(content, list) else []):
        place = f"{where}.content[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXTS or row.get("role") != "user":
            continue
        url = part.get("image_url") if kind == "input_image" else None
        name = part.get("file_id") if kind == "input_image" else None
        if url is None and isinstance(name, str):
            found.append(Named(file_id=name, param=f"{place}.file_id"))
            continue
        if isinstance(url, dict):  # as chats write it
            url = url.get("url")
        if not isinstance(url, str):
            raise InvalidRequest(
                f"{place}: {str(kind)[:40]!r} is not understood here",
                hint="parts are input_text, and input_image with image_url or file_id",
                param=place,
            )
        found.append(Named(url=url, param=f"{place}.image_url"))
    return found
