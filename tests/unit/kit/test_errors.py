from __future__ import annotations

import re
from pathlib import Path

from chopmark import errors
from chopmark.errors import ChopmarkError
from chopmark.pipeline.released import Refused

DOCS = Path(__file__).parents[3] / "docs"


def _tree(cls: type[ChopmarkError]) -> set[type[ChopmarkError]]:
    return {cls}.union(*(_tree(sub) for sub in cls.__subclasses__()))


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in _tree(ChopmarkError)]
    assert len(codes) == len(set(codes))
    assert all(400 <= cls.status <= 599 for cls in _tree(ChopmarkError))


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"^[│ ├└─]+(\w+)\s+(\w+)\s+(\d{3})", errors.__doc__ or "", re.MULTILINE))
    real = {(cls.__name__, cls.code, str(cls.status)) for cls in _tree(ChopmarkError)}
    assert drawn == real - {("ChopmarkError", "chopmark_error", "500")}


def test_every_code_is_documented_with_its_status() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert shown == {cls.code: str(cls.status) for cls in _tree(ChopmarkError)}


def test_a_hint_is_part_of_what_a_person_reads() -> None:
    assert ChopmarkError("wrong", hint="do right").explain() == "wrong\n  hint: do right"
    assert Refused.code == "moderation_blocked"
