from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

import chopmark.generation
from chopmark.errors import InvalidRequest
from chopmark.generation import GenerationJob

WRONG = [
    {"prompt": "  "},
    {"n": 0},
    {"n": 16},
    {"seed": -1},
    {"seed": 2**32 + 14},
    {"width": 0},
    {"height": 8193},
    {"steps": 0},
    {"steps": 151},
    {"guidance": -1.0},
    {"guidance": float("nan")},
    {"strength": 0.0},
    {"strength": 1.5},
    {"mask": Image.new("L", (8, 8))},
]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: str(next(iter(change.items())))[:30])
def test_values_out_of_range_are_refused(change: dict[str, object]) -> None:
    values: dict[str, object] = {"prompt": "a cat", "seed": 1, "width": 64, "height": 64}
    with pytest.raises(InvalidRequest) as caught:
        GenerationJob(**{**values, **change})  # type: ignore[arg-type]
    assert caught.value.code == "invalid_request"


def test_the_operation_follows_from_what_is_given() -> None:
    picture, mask = Image.new("RGB", (8, 8)), Image.new("L", (8, 8))
    job = GenerationJob(prompt="a", seed=0, width=8, height=8)
    edit = GenerationJob(prompt="", seed=0, width=8, height=8, images=(picture,))
    inpaint = GenerationJob(prompt="a", seed=0, width=8, height=8, images=(picture,), mask=mask)
    assert [each.operation for each in (job, edit, inpaint)] == ["generate", "edit", "inpaint"]


def test_the_door_is_what_it_says() -> None:
    assert chopmark.generation.__all__ == sorted(chopmark.generation.__all__)
    for name in chopmark.generation.__all__:
        assert getattr(chopmark.generation, name)


def test_opening_the_door_does_not_import_torch() -> None:
    code = "import sys, chopmark.generation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
