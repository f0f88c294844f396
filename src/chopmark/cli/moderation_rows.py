"""The rows of ``chopmark moderate --jsonl``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.cli.generate import read
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.safety.categories import CATEGORIES
from chopmark.safety.text.language import is_tag

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["Row", "read_rows", "unjudged"]

_MEMBERS: Final[tuple[str, ...]] = ("text", "edit", "image")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing to judge: a text, an edit's words, a picture, or an edit's words and its picture.

    Attributes:
        lang: The language of the words (BCP 47), where it is known.
        name: The row's ``id`` as it stands in the file, or nothing.
        error: Why the row says nothing that can be judged.
    """

    text: str | None = None
    edit: str | None = None
    image: Path | None = None
    lang: str | None = None
    name: dict[str, JsonValue] = field(default_factory=dict)
    error: ChopmarkError | None = None


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file; pictures are found relative to its folder.

    A line that is no such row becomes one with an error: it stops no other.

    Raises:
        InvalidRequest: The file cannot be read.
    """
    lines = read(path).splitlines()
    return [_row(line, path, at) for at, line in enumerate(lines, 1) if line.strip()]


def _row(line: bytes, path: Path, number: int) -> Row:
    where = f"{path.name}, line {number}"
    try:
        members = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(error=InvalidRequest(f"{where}: not JSON ({error})"))
    if not isinstance(members, dict):
        return Row(error=InvalidRequest(f"{where}: no JSON object"))
    name: dict[str, JsonValue] = {"id": members["id"]} if "id" in members else {}
    given = [one for one in _MEMBERS if members.get(one) is not None]
    wrong = [one for one in (*given, "lang") if not isinstance(members.get(one, ""), str)]
    if wrong or given not in (["text"], ["edit"], ["image"], ["edit", "image"]):
        return Row(
            name=name,
            error=InvalidRequest(
                f"{where}: no `text`, `edit` or `image` that is a string",
                hint="a row has one of them, or `edit` and `image`",
            ),
        )
    if "lang" in members and not is_tag(members["lang"]):
        return Row(name=name, error=InvalidRequest(f"{where}: `lang` is no BCP 47 tag"))
    return Row(
        text=members.get("text"),
        edit=members.get("edit"),
        image=path.parent / members["image"] if "image" in given else None,
        lang=members.get("lang"),
        name=name,
    )


def unjudged(error: ChopmarkError) -> dict[str, JsonValue]:
    """Return the members of a row that could not be judged: a person looks."""
    return {
        "flagged": True,
        "action": "review",
        "categories": [],
        "scores": {},
        "evidence": [],
        "language": "und",
        "not_evaluated": list(CATEGORIES),
        "error": {"code": error.code, "message": error.message},
    }
