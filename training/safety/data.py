"""Read the labelled prompts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "PICTURES_ONLY",
    "PICTURE_KINDS",
    "Row",
    "file_sha256",
    "held_out",
    "read_rows",
]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One labelled text of a data file."""

    text: str
    categories: frozenset[str]
    unknown: frozenset[str]
    source: str
    kind: str
    lang: str
    benign: bool
    weak: bool
    variant: str | None


def read_rows(path: Path) -> list[Row]:
    """Read a JSONL file of the form that the data's README describes.

    Raises:
        InvalidRequest: The file is missing, or a line is not such a row.
    """
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    raw: dict[str, Any] = json.loads(line)
                    rows.append(
                        Row(
                            text=str(raw["text"]),
                            categories=frozenset(raw.get("categories") or ()),
                            unknown=frozenset(raw.get("unknown") or ()),
                            source=str(raw.get("source", "")),
                            kind=str(raw.get("kind", "")),
                            lang=str(raw.get("lang", "en")),
                            benign=bool(raw.get("benign", not raw.get("categories"))),
                            weak=bool(raw.get("weak", False)),
                            variant=raw.get("variant"),
                        )
                    )
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise InvalidRequest(
                        f"{path.name}:{number}: not a labelled row: {error}",
                        hint='each line is {"text": ..., "categories": [...], ...}',
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", hint="a JSONL file") from error
    return rows


def held_out(row: Row) -> bool:
    """Tell whether a row of the training file is kept unseen: one text in ten, by its own hash.

    No weight, word list and threshold of ours was made with these; the benchmark reports on them.
    Rows that were filled from one template stand on both sides all the same.
    """
    return hashlib.blake2b(row.text.encode("utf-8", "replace"), digest_size=4).digest()[0] < 26


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


#: Kinds of rows that are harmless prompts for pictures. The other harmless rows are fewer than the
#: harmful ones of their register and count double, so that a question is no sign of harm.
PICTURE_KINDS: Final[frozenset[str]] = frozenset({"caption", "t2i", "t2i_auth_safe"})


#: Nibbler's labels speak of the picture that came out, not of the words: no use to a text model.
PICTURES_ONLY: Final[frozenset[str]] = frozenset({"nibbler_adversarial"})
