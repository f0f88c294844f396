"""What the embedded model says that it does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chopmark.errors import ModelLoadError
from chopmark.generation.embedded import WEIGHTS
from chopmark.generation.taught import FILE_NAME, Taught, read_taught
from training.generation.words import taught_words

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def taught() -> Taught:
    found = read_taught(WEIGHTS)
    assert found is not None
    return found


def test_the_list_is_what_the_training_set_says() -> None:
    assert json.loads((WEIGHTS / FILE_NAME).read_text("utf-8")) == taught_words()


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a dog catches a frisbee beside the lake", ("catches", "frisbee", "lake")),
        ("Three PUPPIES, and a fried egg on a light blue background", ()),
        ("please draw me a cute little t-rex", ()),
        ("no cat, not a single dog, without hats", ("single",)),
        ("frisbee Frisbee frisbees", ("frisbee", "frisbees")),
        ("a red-haired wizard’s owl", ("haired", "wizard")),  # noqa: RUF001  as typed
        ("ein roter Apfel", ("ein", "roter", "apfel")),
        ("一只红苹果", ("一只红苹果",)),
        ("make the background blue", ()),
        ("5 apples", ("5",)),
        ("!?! \x00 ...", ()),
    ],
)
def test_what_was_never_learned_is_named(
    taught: Taught, prompt: str, unknown: tuple[str, ...]
) -> None:
    assert taught.unknown(prompt) == unknown


def test_a_prompt_of_ten_thousand_words_names_few(taught: Taught) -> None:
    assert len(taught.unknown(" ".join(f"xq{i}" for i in range(10_000)))) == 24


@pytest.mark.parametrize(
    ("prompt", "read_as", "speaks"),
    [
        ("eine Katze", "de", False),
        ("一只红苹果", "zh", False),
        ("a red cat", "fr", True),  # short prompts are misread: the words decide
        ("eine Katze", "und", True),
        ("a bicycle in the rain", "en-GB", True),
    ],
)
def test_another_language_is_said(taught: Taught, prompt: str, read_as: str, speaks: bool) -> None:
    assert taught.speaks(prompt, read_as) is speaks


def test_its_examples_are_of_known_words(taught: Taught) -> None:
    assert taught.examples
    assert [taught.unknown(prompt) for prompt in taught.examples] == [()] * len(taught.examples)


def test_what_a_prompt_leaves_open_is_varied_and_nothing_else(taught: Taught) -> None:
    assert taught.varied("a cat", 0) == "a cat"
    assert len({taught.varied("a cat", seed) for seed in range(6)}) == 6
    for prompt in ("a cat on a green background", "a blue elephant"):
        assert all("background" not in choice for choice in taught.choices(prompt))
    assert taught.choices("a flat icon of a cactus on a yellow background") == ("",)
    assert all(taught.unknown("a cat" + one.says) == () for one in taught.variations)


@pytest.mark.parametrize("content", ["[]", "{}", '{"words": 3, "language": "en"}', "\xff"])
def test_a_list_that_is_none_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, "latin-1")
    with pytest.raises(ModelLoadError, match="list of words"):
        read_taught(tmp_path)
    assert read_taught(tmp_path / "elsewhere") is None
