from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.generation.semantic import PromptIndex, same_wish

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


def test_what_was_asked_before_is_found_under_the_same_terms_only(index: PromptIndex) -> None:
    fill(index)
    prompt = "a red apple on a table"
    for number, terms in enumerate((b"one", b"one", b"two")):
        index.add(prompt, record_id=f"e{number}", tenant="one", terms=terms, seed=number)

    def found(text: str = prompt, **options: Any) -> list[str]:
        given = {"terms": b"one", "tenant": "one", **options}
        return [match.record_id for match in index.asked_before(text, **given)]

    assert found() == ["e1", "e0"]
    assert found(" a red\n apple on a table") == ["e1", "e0"]
    assert found(count=1) == ["e1"]
    assert found(seed=0) == ["e0"]
    assert found(terms=b"two") == ["e2"]
    assert found(terms=b"three") == found(tenant="two") == found(seed=7) == []
    assert found("A red apple on a table") == []
    assert set(found("A red apple on the table.", reworded=True)) == {"e0", "e1"}
    assert found("a green apple on a table", reworded=True, seed=7) == []
    assert found("tax law of 1954", reworded=True) == []


@pytest.mark.parametrize(
    ("asked", "before"),
    [
        ("a dog 🐶", "a dog 🐱"),
        ("红苹果", "绿苹果"),
        ("apple " * 130 + "red", "apple " * 130 + "blue"),
        ('a sign, "Stop"', 'a sign, "stop"'),
    ],
)
def test_what_an_embedding_cannot_tell_is_not_looked_for_by_it(
    index: PromptIndex, asked: str, before: str
) -> None:
    index.add(before, record_id="a0", terms=b"one", seed=1)
    assert index.asked_before(asked, terms=b"one", reworded=True) == []
    assert [m.record_id for m in index.asked_before(before, terms=b"one", reworded=True)] == ["a0"]


@pytest.mark.parametrize(
    ("asked", "before", "exact", "reworded"),
    [
        ("a red apple", " a  red\tapple\n", True, True),
        ("caf\u00e9", "cafe\u0301", True, True),
        ("a red apple", "A red apple", False, True),
        ("please, a red apple!", "the red apple.", False, True),
        ("a cup left, a jug right", "a cup right, a jug left", False, False),
        ("a red cup and a blue jug", "a blue cup and a red jug", False, False),
        ("1.5 apples", "1 5 apples", False, False),
        ("a cat (tail:1.2)", "a cat tail 1 2", False, False),
        ("a man's hat", "a mans hat", False, False),
        ("no cats", "cats", False, False),
        ("a dog 🐶", "a dog 🐱", False, False),
        ("\ud800", "\ud801", False, False),
    ],
)
def test_a_wish_is_the_same_if_its_telling_words_are(
    asked: str, before: str, exact: bool, reworded: bool
) -> None:
    assert same_wish(asked, before) is exact
    assert same_wish(before, asked) is exact
    assert same_wish(asked, before, reworded=True) is reworded


def test_a_file_of_an_earlier_version_is_taken_up(home: Path) -> None:
    (home / "prompts").mkdir(parents=True)
    old = sqlite3.connect(home / "prompts" / "index.sqlite")
    old.executescript(
        "CREATE TABLE prompts (record_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, subject BLOB,"
        " at REAL NOT NULL, vector BLOB NOT NULL) WITHOUT ROWID;"
    )
    vector = np.full(384, 384**-0.5).astype("<f2").tobytes()
    old.execute("INSERT INTO prompts VALUES ('a0', 'one', NULL, 1.0, ?)", (vector,))
    old.commit()
    old.close()
    index = PromptIndex.open(home)
    assert index.records() == ["a0"]
    assert index.asked_before("anything", terms=b"one", tenant="one", reworded=True) == []
    index.add("a red apple", record_id="b0", terms=b"one", seed=3)
    assert index.asked_before("a red apple", terms=b"one")[0].record_id == "b0"
    index.close()
    PromptIndex.open(home).close()


def test_what_is_erased_is_gone_also_from_the_file(index: PromptIndex, home: Path) -> None:
    fill(index)

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in sorted((home / "prompts").iterdir()))

    with index._database.read() as transaction:
        ((vector,),) = transaction.execute("SELECT vector FROM prompts WHERE record_id='a0'")
    assert vector in on_disk()
    assert b"apple" not in on_disk()
    assert b"ann" not in on_disk()
    assert index.erase(record_id="b0") == 1
    assert index.erase(subject="ann") == 2
    assert len(index) == 1
    assert index.erase(subject="ann", tenant="two") == 0
    assert index.erase(tenant="two") == 1
    assert vector not in on_disk()
    with pytest.raises(InvalidRequest):
        index.erase()


def test_the_file_is_for_the_owner_alone_and_survives(home: Path) -> None:
    first = PromptIndex.open(home)
    fill(first)
    first.close()
    for path in (home / "prompts").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
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
