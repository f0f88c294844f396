"""The input of ``/v1/moderations``: texts judged one by one, or parts that are judged together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import MODERATED, TEXTS
from chopmark.safety.text.language import is_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.settings import Settings

__all__ = ["Picture", "Words", "inputs_of"]

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


@dataclass(frozen=True, slots=True)
class Words:
    """A text.

    Attributes:
        text: What was sent.
        edit: It says what to change in a picture that is there.
        language: Of the text, where the caller knows it (BCP 47).
        param: Where it stood.
    """

    text: str
    edit: bool
    language: str | None
    param: str


def inputs_of(
    value: Any, settings: Settings, *, edit: Any = None, language: Any = None
) -> list[list[Words | Picture]]:
    """Return the inputs, each as its parts; every text of a list of texts is an input of its own.

    Args:
        value: The member ``input``.
        settings: Bounds of a text.
        edit: The member ``edit``: one for all texts, or a list of one for each row of the input.
        language: The member ``language``, likewise. What a part says of itself wins over both.

    Raises:
        InvalidRequest: The first part that is none, named as ``input[1].image_url``.
    """
    rows = value if isinstance(value, list) else [value]
    edits, languages = _each(edit, "edit", rows), _each(language, "language", rows)
    told = list(zip(edits, languages, strict=True))
    if isinstance(value, str):
        parts: list[Words | Picture] = [_words(value, {}, "input", *told[0])]
        together = False
    elif isinstance(value, list) and MODERATED.least <= len(value) <= MODERATED.most:
        parts = [_part(row, f"input[{number}]", *told[number]) for number, row in enumerate(value)]
        together = not all(isinstance(row, str) for row in value)
    else:
        raise InvalidRequest(
            "input is neither a text nor a list of texts or parts",
            hint=f"lists have {MODERATED.least} to {MODERATED.most} of them",
            param="input",
        )
    _check_texts([part.text for part in parts if isinstance(part, Words)], settings)
    return [parts] if together else [[part] for part in parts]


def _each(value: Any, name: str, rows: list[Any]) -> list[Any]:
    if not isinstance(value, list):
        return [value] * len(rows)
    if len(value) != len(rows):
        raise InvalidRequest(
            f"{name}: {len(value)} of them for {len(rows)} rows of the input",
            hint="one for all, or as many as there are rows",
            param=name,
        )
    return value


def _words(text: str, members: dict[str, Any], where: str, edit: Any, language: Any) -> Words:
    """Return a text and what is said of it: by itself, else by the body."""
    said = [("edit", edit), ("language", language)]
    own = [
        (members[name], f"{where}.{name}") if members.get(name) is not None else (whole, name)
        for name, whole in said
    ]
    (edit, edit_at), (language, language_at) = own
    if edit is not None and not isinstance(edit, bool):
        raise InvalidRequest(f"{edit_at}: neither true nor false", param=edit_at)
    if language is not None and not (isinstance(language, str) and is_tag(language)):
        raise InvalidRequest(
            f"{language_at}: no BCP 47 tag", hint="de, zh-Hant, pt-BR", param=language_at
        )
    return Words(text, bool(edit), language, where)


def _part(row: Any, where: str, edit: Any, language: Any) -> Words | Picture:
    if isinstance(row, str):
        return _words(row, {}, where, edit, language)
    members = row if isinstance(row, dict) else {}
    kind = members.get("type")
    if kind in ("text", "input_text"):
        if isinstance(members.get("text"), str):
            return _words(members["text"], members, where, edit, language)
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
