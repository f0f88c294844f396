from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.generation.semantic import PromptIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def index(home: Path) -> Iterator[PromptIndex]:
    opened = PromptIndex.open(home)
    yield opened
    opened.close()


def fill(index: PromptIndex) -> None:
    for record, prompt in {
        "a0": "a red apple on a table",
        "b0": "a spaceship over a city at night",
        "c0": "two dogs play in the snow",
    }.items():
        index.add(prompt, record_id=record, tenant="one", subject="ann")
    index.add("a red apple on a table", record_id="d0", tenant="two", subject="bob")


def test_variations_are_found_by_meaning_and_only_ones_own(index: PromptIndex) -> None:
    fill(index)
    found = index.similar("an apple, red, lying on a table", tenant="one")
    assert found[0].record_id == "a0"
    assert "d0" not in {match.record_id for match in found}
    assert index.similar("dogs playing outside in winter", tenant="one")[0].record_id == "c0"
    assert index.similar("tax law of 1954", tenant="one") == []
    assert index.similar("a red apple", tenant="three") == []


def test_asked_before_means_the_same_wish(index: PromptIndex) -> None:
    fill(index)
    same = index.asked_before("A red apple on a table", tenant="one")
    assert same is not None
    assert same.record_id == "a0"
    assert index.asked_before("a green apple on a table", tenant="one") is None
    assert index.asked_before("two red apples on a table", tenant="one") is None


def test_what_is_erased_is_gone_also_from_the_file(index: PromptIndex, home: Path) -> None:
    fill(index)
    file = home / "prompts" / "index.sqlite"
    kept = index._connection.execute("SELECT vector FROM prompts WHERE record_id='a0'").fetchone()
    assert kept[0] in file.read_bytes()
    assert b"apple" not in file.read_bytes()
    assert b"ann" not in file.read_bytes()
    assert index.erase(record_id="b0") == 1
    assert index.erase(subject="ann") == 2
    assert len(index) == 1
    assert index.erase(subject="ann", tenant="two") == 0
    assert index.erase(tenant="two") == 1
    assert kept[0] not in file.read_bytes()
    with pytest.raises(InvalidRequest):
        index.erase()


def test_the_file_is_for_the_owner_alone_and_survives(home: Path) -> None:
    first = PromptIndex.open(home)
    fill(first)
    first.close()
    assert stat.S_IMODE((home / "prompts" / "index.sqlite").stat().st_mode) == 0o600
    again = PromptIndex.open(home)
    assert len(again) == 4
    again.close()


def test_a_broken_file_is_a_coded_error(home: Path) -> None:
    (home / "prompts").mkdir(parents=True)
    (home / "prompts" / "index.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigurationError) as caught:
        PromptIndex.open(home)
    assert "CHOPMARK_PROMPT_INDEX" in caught.value.hint


@pytest.mark.parametrize("count", [0, 1001])
def test_counts_out_of_range_are_refused(index: PromptIndex, count: int) -> None:
    with pytest.raises(InvalidRequest):
        index.similar("a", count=count)
