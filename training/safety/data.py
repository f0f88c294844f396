"""Read the labelled prompts and make training examples of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import InvalidRequest
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.features import windows
from chopmark.safety.text.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = [
    "PICTURES_ONLY",
    "PICTURE_KINDS",
    "Example",
    "Row",
    "examples",
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


@dataclass(frozen=True, kw_only=True)
class Example:
    """One normalised text for the fit.

    Attributes:
        target: Shape (10,), 1 where the category holds.
        mask: Shape (10,), the weight of each category's loss; 0 where the label is not known.
    """

    text: str
    target: NDArray[np.float32]
    mask: NDArray[np.float32]


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


def _labels(row: Row) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    target = np.array([name in row.categories for name in MODEL_CATEGORIES], np.float32)
    mask = np.array(
        [name in row.categories or name not in row.unknown for name in MODEL_CATEGORIES], np.float32
    )
    weight = 0.25 if row.weak else 2.0 if row.benign and row.kind not in PICTURE_KINDS else 1.0
    return target, mask * np.float32(weight)


#: Nibbler's labels speak of the picture that came out, not of the words: no use to a text model.
PICTURES_ONLY: Final[frozenset[str]] = frozenset({"nibbler_adversarial"})


def examples(rows: Sequence[Row], *, rng: Generator, padded: float = 0.5) -> list[Example]:
    """Return the examples of labelled rows.

    A benign text gives its whole and its windows. A harmful one gives its whole, and for a share
    ``padded`` of them a window in which it stands, whole or nearly, among harmless words: that is
    what a window of a padded prompt looks like.
    """
    made: list[Example] = []
    harmless = [
        row.text.split()
        for row in rows
        if row.benign and row.lang == "en" and row.kind in {"caption", "t2i"}
    ]
    for row in rows:
        if row.source in PICTURES_ONLY:
            continue
        text = normalize(row.text).text
        target, mask = _labels(row)
        if row.benign:
            made += [
                Example(text=text[a:b], target=target, mask=mask) for a, b in windows(text)[:9]
            ]
            continue
        made.append(Example(text=text, target=target, mask=mask))
        words = text.split()
        if 3 <= len(words) <= 18 and row.lang == "en" and rng.random() < padded and harmless:
            keep = words
            if len(words) > 8 and rng.random() < 0.5:
                cut = int(rng.integers(1, len(words) // 4 + 1))
                keep = words[cut:] if rng.random() < 0.5 else words[:-cut]
            room = max(2, 14 - len(keep))
            filler = harmless[int(rng.integers(len(harmless)))]
            before = int(rng.integers(room + 1))
            part = filler[:before] + keep + filler[before:room]
            made.append(Example(text=" ".join(part), target=target, mask=mask))
    return made
