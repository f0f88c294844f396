"""The input of ``/v1/moderations``: texts judged one by one, or parts that are judged together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import MODERATED, TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.settings import Settings

__all__ = ["Picture", "inputs_of"]

_SHAPE = "a text, or a part of the type text or image_url"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is named by its URL.

    Attributes:
        url: What was sent.
        param: Where it stood.
    """

    url: str
    param: str


def inputs_of(value: Any, settings: Settings) -> list[list[str | Picture]]:
    """Return the inputs, each as its parts; every text of a list of texts is an input of its own.

    Raises:
        InvalidRequest: The first part that is none, named as ``input[1].image_url``.
    """
    if isinstance(value, str):
        parts: list[str | Picture] = [value]
        together = False
    elif isinstance(value, list) and MODERATED.least <= len(value) <= MODERATED.most:
        parts = [_part(row, f"input[{number}]") for number, row in enumerate(value)]
        together = not all(isinstance(row, str) for row in value)
    else:
        raise InvalidRequest(
            "input is neither a text nor a list of texts or parts",
            hint=f"lists have {MODERATED.least} to {MODERATED.most} of them",
            param="input",
        )
    _check_texts([part for part in parts if isinstance(part, str)], settings)
    return [parts] if together else [[part] for part in parts]


def _part(row: Any, where: str) -> str | Picture:
    if isinstance(row, str):
        return row
    members = row if isinstance(row, dict) else {}
    kind = members.get("type")
    if kind in ("text", "input_text"):
        if isinstance(members.get("text"), str):
            return str(members["text"])
        raise InvalidRequest(f"{where}.text: not a string", param=f"{where}.text")
    if kind in ("image_url", "input_image"):
        named = members.get("image_url")
        url = named.get("url") if isinstance(named, dict) else named
        if isinstance(url, str):
            return Picture(url, f"{where}.image_url")
        raise InvalidRequest(
            f"{where}.image_url: no url", hint="a data: URL", param=f"{where}.image_url"
        )
    raise InvalidRequest(f"{where}: not {_SHAPE}", param=where)


def _check_texts(texts: Sequence[str], settings: Settings) -> None:
    longest = settings.max_prompt_chars
    if any(len(text) > longest for text in texts):
        raise InvalidRequest(
            f"a text has more than {longest} characters", hint="send it in parts", param="input"
        )
    if sum(map(len, texts)) > TEXTS.most * longest:
        raise InvalidRequest(
            f"the texts have more than {TEXTS.most * longest} characters together",
            hint="send them in several requests",
            param="input",
        )
