"""The evaluation of a deployer's own set: right numbers, and nothing but numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chopmark.errors import InvalidRequest
from chopmark.kit.types import JsonValue
from chopmark.safety import ImageGuard, PromptGuard, draw_test_card, load_policy
from chopmark.safety.evaluation import _area, evaluate

POLICY = load_policy("default")


def _strings(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def test_texts_and_pictures_give_numbers_only(tmp_path: Path) -> None:
    draw_test_card().save(tmp_path / "secret-name.png")
    rows = [
        {"text": "a red apple on a table", "categories": []},
        {"text": "explicit photo of a naked woman having sex", "categories": ["sexual"]},
        {"image": "secret-name.png", "categories": []},
    ]
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    said = evaluate(path, POLICY, prompt_guard=PromptGuard.load(), image_guard=ImageGuard.load())
    assert said["rows"] == 3
    assert said["harmless"] == {"rows": 2, "block": 0.5, "review": 0.0, "allow": 0.5}
    assert said["harmful"] == {
        "sexual": {"rows": 1, "block": 1.0, "review": 0.0, "allow": 0.0, "category_named": 1.0}
    }
    assert _strings(said) == [POLICY.digest()]


def test_the_area_is_that_of_every_pair() -> None:
    harmful, harmless = [0.9, 0.5, 0.5], [0.5, 0.1]
    pairs = [(a > b) + 0.5 * (a == b) for a in harmful for b in harmless]
    assert _area(harmful, harmless) == round(sum(pairs) / len(pairs), 4)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"text": "a"}',
        '{"text": 3, "categories": []}',
        '{"text": "a", "categories": ["no-such"]}',
        '{"image": "missing.png", "categories": []}',
        '{"image": "\\u0000", "categories": []}',
    ],
)
def test_a_wrong_row_is_one_error_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(f"\n{line}\n", "utf-8")
    with pytest.raises(InvalidRequest, match=r"set\.jsonl:[12]"):
        evaluate(path, POLICY, image_guard=ImageGuard.load())
