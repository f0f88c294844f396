"""What the encoder is trained on: labelled rows of others and of our own, captions, changed copies.

Each text is changed in ways that must not decide: style words behind it, a frame around it ("draw
me ..."), small letters, accents left off, harmless words before and after it. Harmless and
harmful texts are changed alike. A share of all texts is read as what is asked of an edit.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.normalize import normalize
from chopmark.safety.text.style_tags import TAGS, without_tags
from chopmark.safety.text.windows import without_stop
from training.safety.data import PICTURE_KINDS, PICTURES_ONLY, Row, held_out
from training.safety.noise import misspelt
from training.safety.own_languages import frames, garment_rows, own_rows
from training.safety.scary import TRAIN, scary_rows
from training.safety.short import short_rows
from training.safety.templates import authored_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = [
    "Reading",
    "caption_rows",
    "fillers_of",
    "first_pass",
    "form_of",
    "labels",
    "second_pass",
    "third_pass",
    "window",
]

#: Licences of captions that ask nothing of whoever passes weights on but the naming of the source.
_LICENCES: Final = frozenset({"Unicode-3.0", "CC-BY-2.0-FR", "MIT", "CC-BY-4.0", "Apache-2.0"})
#: How often a row of our own is read, each time changed in another way.
_COPIES: Final[int] = 4
_EDITS: Final[float] = 0.12
_LESS: Final[float] = 0.09
#: Which share of the rows that the first pass has read are read once more.
_AGAIN: Final[float] = 0.35
#: Seed of the prompts that are made from templates.
_TEMPLATES: Final[int] = 20261123
#: Windows of nothing but harmless text that are read of each language, twice as prompts, once as
#: edits.
_WINDOWS: Final[int] = 15
#: How long a window of a longer text is: words, or characters of a script without spaces.
_LONG: Final[tuple[int, int]] = (20, 36)
_UNSPACED: Final = frozenset({"zh", "ja", "th"})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One text as the encoder reads it in training.

    Attributes:
        edit: It is asked of an edit.
        target: Shape (11,), 1 where the category holds.
        mask: Shape (11,), the weight of each category's loss; 0 where the label is not known.
    """

    text: str
    edit: bool
    target: NDArray[np.float32]
    mask: NDArray[np.float32]


def form_of(text: str, lang: str) -> str:
    """Return a text as the encoder reads it: English undone of disguises, others as written."""
    if lang == "en":
        return without_tags(normalize(text).text)
    return without_tags(_written(text))


def _written(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def labels(row: Row) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return target and mask of a row."""
    target = np.array([name in row.categories for name in MODEL_CATEGORIES], np.float32)
    known = [name in row.categories or name not in row.unknown for name in MODEL_CATEGORIES]
    mask = np.array(known, np.float32)
    if row.source != "own_languages" and row.categories & {"sexual", "deepfake", "harassment"}:
        mask[MODEL_CATEGORIES.index("sexual/nonconsensual")] = 0.0  # nobody labelled it there
    weight = 0.25 if row.weak else 2.0 if row.benign and row.kind not in PICTURE_KINDS else 1.0
    return target, mask * np.float32(weight)


def caption_rows(path: Path) -> tuple[list[Row], list[Row]]:
    """Return harmless captions of many languages: those to train with, and those to calibrate with.

    A text goes to one side by its own hash, so that the same text never stands on both.
    """
    sides: tuple[list[Row], list[Row]] = ([], [])
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            if raw["licence"] not in _LICENCES:
                continue
            row = Row(
                text=raw["text"],
                categories=frozenset(),
                unknown=frozenset(),
                source=raw["source"],
                kind="caption",
                lang=raw["lang"],
                benign=True,
                weak=False,
                variant=None,
            )
            sides[hashlib.blake2b(row.text.encode(), digest_size=1).digest()[0] & 1].append(row)
    return sides


def first_pass(rows: Sequence[Row], *, rng: Generator) -> list[Reading]:
    """Return the readings of the first pass: labelled rows of others, and our English ones.

    Args:
        rows: Labelled rows; what is held out, and labels of pictures, are left out here.
        rng: Same state, same readings.
    """
    rows = _usable(rows)
    ours = [*authored_rows(_TEMPLATES), *scary_rows(TRAIN), *scary_rows(TRAIN)]
    short = short_rows(check=False)
    short = [short[at] for at in rng.choice(len(short), 2500, replace=False)]
    fillers = fillers_of(rows)["en"]
    made: list[Reading] = []
    for row in [*rows, *ours, *short]:
        text = normalize(row.text).text if row.lang == "en" else _written(row.text)
        made += _english(row, _reading(row, text), fillers, rng)
    return [replace(one, edit=bool(rng.random() < _EDITS)) for one in made]


def second_pass(rows: Sequence[Row], captions: Sequence[Row], *, rng: Generator) -> list[Reading]:
    """Return the readings of the second pass: all languages.

    Args:
        rows: As for the first pass, of which a third is read again.
        captions: Harmless captions, of which half are read.
        rng: Same state, same readings.
    """
    rows = _usable(rows)
    short = short_rows(check=False)
    short = [short[at] for at in rng.choice(len(short), 2500, replace=False)]
    fillers = fillers_of([*rows, *captions])
    made: list[Reading] = []
    for row in [*rows, *authored_rows(_TEMPLATES), *scary_rows(TRAIN), *scary_rows(TRAIN), *short]:
        if rng.random() < _AGAIN:
            one = _reading(row, form_of(row.text, row.lang), edit=bool(rng.random() < _EDITS))
            made += _english(row, one, fillers["en"], rng)
    names: dict[str, list[str]] = {}
    for row in captions:
        if row.source == "cldr":
            names.setdefault(row.lang, []).append(row.text)
        if rng.random() < 0.5:
            text = _changed(row, form_of(row.text, row.lang), fillers, rng)
            made.append(_reading(row, text, edit=bool(rng.random() < _EDITS)))
    made += _framed_names(names, rng)
    for row in own_rows():
        if held_out(row):
            continue
        one = _reading(row, form_of(row.text, row.lang), edit=row.kind == "edit")
        made.append(one)
        for _ in range(_COPIES - 1):
            edit = one.edit or (row.benign and bool(rng.random() < _EDITS))
            made.append(replace(one, text=_changed(row, one.text, fillers, rng), edit=edit))
    return made


def third_pass(rows: Sequence[Row], captions: Sequence[Row], *, rng: Generator) -> list[Reading]:
    """Return the readings of the third pass: what is asked of edits, and ours once more.

    Args:
        rows: As for the first pass, of which one in eleven is read again.
        captions: Harmless captions, of which one in eleven is read.
        rng: Same state, same readings.
    """
    rows = _usable(rows)
    fillers = fillers_of([*rows, *captions])
    made: list[Reading] = []
    ours = [*authored_rows(_TEMPLATES), *scary_rows(TRAIN), *scary_rows(TRAIN)]
    made += [
        _reading(row, form_of(row.text, row.lang), edit=bool(rng.random() < _EDITS))
        for row in [*rows, *ours, *captions]
        if rng.random() < _LESS
    ]
    garments = [row for row in garment_rows() if not held_out(row) and rng.random() < 0.7]
    for row in [*own_rows(), *garments]:
        if held_out(row):
            continue
        plain = form_of(row.text, row.lang)
        edit = row.kind == "edit" or (row.benign and bool(rng.random() < _EDITS))
        made.append(_reading(row, _changed(row, plain, fillers, rng), edit=edit))
        if row.kind == "edit" and rng.random() < 0.5:
            made.append(_reading(row, plain, edit=True))
        if row.lang in fillers and rng.random() < (0.1 if row.kind == "edit" else 0.3):
            made.append(_reading(row, window(plain, row.lang, fillers, rng), edit=edit))
    blank = np.zeros(len(MODEL_CATEGORIES), np.float32)
    for lang in fillers:
        for edit in (False, False, True):
            made += [
                Reading(
                    text=window("", lang, fillers, rng), edit=edit, target=blank, mask=1 + blank
                )
                for _ in range(_WINDOWS)
            ]
    return made


def _usable(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not held_out(row) and row.source not in PICTURES_ONLY]


def _english(row: Row, one: Reading, fillers: Sequence[str], rng: Generator) -> list[Reading]:
    """Return a reading and, of English ones now and then, changed copies."""
    made, words = [one], one.text.split()
    if row.lang != "en":
        return made
    if 3 <= len(words) <= 14 and not row.benign and rng.random() < 0.3:
        filler = fillers[int(rng.integers(len(fillers)))].split()
        room = max(2, 16 - len(words))
        before = int(rng.integers(room + 1))
        padded = [*filler[:before], *words, *filler[before:room]]
        made.append(replace(one, text=" ".join(padded)))
    if len(words) > 22:
        at = int(rng.integers(len(words) - 18))
        if row.benign:
            made.append(replace(one, text=" ".join(words[at : at + 18])))
    if rng.random() < 0.1:
        made.append(replace(one, text=misspelt(one.text, rng)))
    return made


def _reading(row: Row, text: str, *, edit: bool = False) -> Reading:
    target, mask = labels(row)
    return Reading(text=text, edit=edit, target=target, mask=mask)


def fillers_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return harmless prompts and captions by language."""
    made: dict[str, list[str]] = {}
    for row in rows:
        if row.benign and row.kind in {"caption", "t2i"}:
            made.setdefault(row.lang, []).append(row.text)
    return made


def _framed_names(names: dict[str, list[str]], rng: Generator) -> list[Reading]:
    """Return names of harmless things in the frames of their language, of pictures and of edits."""
    made = []
    blank = np.zeros(len(MODEL_CATEGORIES), np.float32)
    for lang, things in names.items():
        for edit in (False, True):
            for frame in frames(lang, edit=edit):
                for at in rng.choice(len(things), min(25, len(things)), replace=False):
                    text = frame.replace("{}", things[at])
                    made.append(Reading(text=text, edit=edit, target=blank, mask=blank + 1))
    return made


def _changed(row: Row, text: str, fillers: dict[str, list[str]], rng: Generator) -> str:
    """Return a copy that says the same."""
    if rng.random() < 0.5:
        text = without_stop(text)
    if rng.random() < 0.3:
        text = text.lower()
    if rng.random() < 0.2 and row.lang != "th":
        text = _plain(text)
    if row.kind != "edit" and rng.random() < 0.25:
        choices = frames(row.lang, edit=False)
        if choices:
            text = choices[int(rng.integers(len(choices)))].replace("{}", text)
    if rng.random() < 0.2:
        some = rng.choice(len(TAGS), int(rng.integers(1, 5)), replace=False)
        text = ", ".join([text, *(TAGS[at] for at in some)])
    elif rng.random() < 0.25 and row.lang in fillers:
        text = _padded(text, fillers[row.lang], rng, "" if row.lang in _UNSPACED else " ")
    return text


def _plain(text: str) -> str:
    """Return Latin, Greek and Cyrillic letters without their accents, as people type in haste."""
    apart = unicodedata.normalize("NFD", text)
    kept = re.sub(r"(?<=[a-zA-Z\u0370-\u04ff])[\u0300-\u036f]+", "", apart)
    return unicodedata.normalize("NFC", kept)


def _padded(text: str, fillers: Sequence[str], rng: Generator, space: str) -> str:
    """Return a text amid words of harmless ones, as a window of a longer text shows it."""
    other = fillers[int(rng.integers(len(fillers)))]
    if space:
        words = other.split()
        room = max(2, 16 - len(text.split()))
        before = int(rng.integers(min(room, len(words)) + 1))
        return " ".join([*words[:before], text, *words[before:room]])
    before = int(rng.integers(min(20, len(other)) + 1))
    return other[:before] + text + other[before : before + 16]


def window(text: str, lang: str, fillers: dict[str, list[str]], rng: Generator) -> str:
    """Return a text somewhere in a window of harmless ones that begins and ends anywhere."""
    space = "" if lang in _UNSPACED else " "
    most = _LONG[0] if space else _LONG[1]
    room = max(most // 4, most - len(text.split() if space else text))
    other: list[str] = []
    while len(other) < room + most // 2:
        more = fillers[lang][int(rng.integers(len(fillers[lang])))]
        other += more.split() if space else more
    other = other[int(rng.integers(most // 2)) :]
    before = int(rng.integers(room + 1))
    return space.join([*other[:before], *([text] if text else []), *other[before:room]])
