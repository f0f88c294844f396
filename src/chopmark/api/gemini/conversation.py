"""What a conversation asks for: the last thing that the user said, of the newest picture in it.

Every turn comes with all that was said and shown before. Earlier words were answered already, and
earlier pictures were changed into later ones; so the words are those of the user's last turn, and
what is changed is the newest picture, whoever brought it. Thoughts are none of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.api.gemini.schemas import Content, GenerateContent, Part

__all__ = ["Asked", "Shown", "last_asked"]

_MODEL: Final = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture of the conversation.

    Attributes:
        data: Its base64, or ``None``.
        uri: Its address, or ``None``.
        param: Where it stands.
    """

    data: str | None = None
    uri: str | None = None
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the last turn asks for.

    Attributes:
        prompt: The words, those of the system instruction first.
        pictures: What is changed, and what else is drawn on; empty for a new picture.
    """

    prompt: str
    pictures: tuple[Shown, ...]


def last_asked(body: GenerateContent) -> Asked:
    """Return what a conversation asks for.

    Raises:
        InvalidRequest: The last turn is the model's, or the user's has a part that is not
            understood: the answer would be another one without it.
    """
    turns = list(enumerate(body.contents))
    last = [turn for turn in turns if turn[1].role != _MODEL and turn[1].parts]
    if not last or turns[-1][1].role == _MODEL:
        raise InvalidRequest(
            "the conversation does not end with the user's words",
            hint="the last of contents has the role user",
            param="contents",
        )
    for number, content in _newest_block(turns):
        for place, part in enumerate(content.parts):
            _check(part, f"contents[{number}].parts[{place}]")
    words = [body.system_instruction] if body.system_instruction else []
    said = next((content for _, content in reversed(last) if _texts(content)), None)
    prompt = "\n".join(text for one in (*words, *([said] if said else [])) for text in _texts(one))
    return Asked(prompt=prompt, pictures=_newest_pictures(turns))


def _newest_block(turns: Sequence[tuple[int, Content]]) -> list[tuple[int, Content]]:
    """Return the user's turns after the model's last one."""
    block: list[tuple[int, Content]] = []
    for number, content in reversed(turns):
        if content.role == _MODEL:
            break
        block.insert(0, (number, content))
    return block


def _newest_pictures(turns: Sequence[tuple[int, Content]]) -> tuple[Shown, ...]:
    for number, content in reversed(turns):
        shown = [
            found
            for place, part in enumerate(content.parts)
            if (found := _picture(part, f"contents[{number}].parts[{place}]")) is not None
        ]
        if shown:
            # What the user sends together belongs together; of the model's the newest counts.
            return tuple(shown[-1:] if content.role == _MODEL else shown)
    return ()


def _picture(part: Part, where: str) -> Shown | None:
    if part.thought:
        return None
    if part.inline_data is not None:
        return Shown(data=part.inline_data.data, param=f"{where}.inlineData.data")
    if part.file_data is not None:
        return Shown(uri=part.file_data.file_uri, param=f"{where}.fileData.fileUri")
    return None


def _texts(content: Content) -> list[str]:
    return [part.text for part in content.parts if part.text and not part.thought]


def _check(part: Part, where: str) -> None:
    known = part.text is not None or part.inline_data is not None or part.file_data is not None
    if known or part.thought or part.thought_signature is not None:
        return
    names = sorted(part.model_extra or {})
    what = f"{where}.{names[0][:40]}" if names else where
    raise InvalidRequest(
        f"{what}: not understood here", hint="parts are text, inlineData or fileData", param=what
    )
