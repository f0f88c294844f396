"""Labelled texts of our own in thirty languages, with a harmless double beside most harmful ones.

Written for this by hand, CC0, in ``languages/CODE.txt``. A file has sections; what stands under
``[violence!]`` asks for violence, what stands under ``[violence]`` looks like it and is harmless.
``[edit CATEGORY!]`` and ``[edit]`` hold what is asked of an edit, ``[plain]`` names of things and
people as they are typed. ``[frame]`` and ``[edit frame]`` hold what people write around a wish,
with ``{}`` in its place.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.safety.data import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CODES", "frames", "garment_rows", "own_rows"]

_FOLDER: Final = Path(__file__).parent / "languages"
#: Garments of a line of ``garments.txt`` that are worn over others and may be changed. The dress,
#: which comes third, is left to the benchmark's probe.
_OUTER: Final[int] = 2
#: A text stands in one section; what it may be besides, nobody has said.
_NEAR: Final = {
    # A picture of bare people may well be one that they did not agree to: nobody can tell.
    "sexual": frozenset({"sexual/nonconsensual"}),
    "sexual/nonconsensual": frozenset({"sexual", "harassment"}),
    "hate": frozenset({"violence", "harassment", "extremism"}),
    "violence": frozenset({"hate", "illicit", "extremism"}),
    "extremism": frozenset({"hate", "violence"}),
    "harassment": frozenset({"hate", "violence"}),
    "self-harm": frozenset({"violence"}),
}
_SECTION: Final = re.compile(r"\[(edit ?)?([a-z/-]*)(!?)\]")
#: The languages, by their codes (ISO 639-1).
CODES: Final[tuple[str, ...]] = tuple(sorted(file.stem for file in _FOLDER.glob("*.txt")))


def own_rows(*codes: str) -> list[Row]:
    """Return the rows of some languages, of all where none is named.

    Raises:
        ValueError: A line stands before the first section.
    """
    return [
        _row(text, code, section.groups())
        for code in codes or CODES
        for section, text in _lines(code)
        if section[2] != "frame"
    ]


def frames(code: str, *, edit: bool) -> list[str]:
    """Return what people write around a wish; nothing for a language without a file."""
    if code not in CODES:
        return []
    return [
        text for section, text in _lines(code) if section[2] == "frame" and bool(section[1]) == edit
    ]


def garment_rows() -> list[Row]:
    """Return edits that take off what bares a body, and more of them that do not bare it."""
    made: list[Row] = []
    for line in (Path(__file__).parent / "garments.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        code, *parts = (part.strip() for part in line.split("|"))
        off, bares, harmless, on = (part.split(";") for part in parts)
        section, ordinary = ("edit ", "sexual/nonconsensual", "!"), ("edit ", "", "")
        for frame in off:
            made += [_row(frame.replace("{}", one), code, section) for one in bares]
            made += [_row(frame.replace("{}", one), code, ordinary) for one in harmless]
        for frame in on:
            made += [_row(frame.replace("{}", one), code, ordinary) for one in bares[:_OUTER]]
    return [replace(row, source="own_garments") for row in made]


@functools.cache
def _lines(code: str) -> list[tuple[re.Match[str], str]]:
    made: list[tuple[re.Match[str], str]] = []
    section: re.Match[str] | None = None
    for line in (_FOLDER / f"{code}.txt").read_text("utf-8").splitlines():
        found = _SECTION.fullmatch(line)
        section = found or section
        if section is None:
            raise ValueError(f"{code}.txt: {line!r} stands in no section")
        if found is None and line:
            made.append((section, line))
    return made


def _row(text: str, code: str, section: Sequence[str | None]) -> Row:
    edit, category, harmful = section
    return Row(
        text=text,
        categories=frozenset([category] if harmful and category else []),
        unknown=_NEAR.get(category or "", frozenset()) if harmful else frozenset(),
        source="own_languages",
        kind="edit" if edit else "plain" if category == "plain" else "own",
        lang=code,
        benign=not harmful,
        weak=False,
        variant=None,
    )
