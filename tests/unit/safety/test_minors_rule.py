"""The rule on minors, tested with stubs of scores: there is no text of this kind here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.safety import PromptGuard, load_policy
from chopmark.safety.text.encoder import SentenceEncoder
from chopmark.safety.text.minors import find
from chopmark.safety.text.scoring import Scored
from chopmark.safety.text.youth import youth_cues

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = load_policy("default")


@pytest.fixture(scope="module")
def guard() -> PromptGuard:
    return PromptGuard.load()


def _stub(whole: float, rest: float | None = None) -> object:
    """Scores as given: of the text, and of what is left of it without its cues of youth."""
    asked: list[str] = []

    def scores(text: str, _kind: object, **_more: object) -> Scored:
        asked.append(text)
        sexual = whole if len(asked) == 1 or rest is None else rest
        return Scored(scores={"sexual": sexual}, spans={})

    return scores


@pytest.mark.parametrize(
    ("text", "whole", "rest", "action"),
    [
        ("a child", 0.9, 0.9, "block"),
        ("somebody, 17 years old", 0.5, 0.5, "block"),
        ("niño en la playa", 0.9, 0.9, "block"),
        # Without the words of youth nothing is left that is sexual: no evidence of its own.
        ("a child", 0.9, 0.1, "review"),
        ("a child", 0.4, 0.4, "review"),
        ("a child", 0.15, 0.15, "allow"),
        ("a child", 0.29, 0.29, "allow"),
        # "Baby" and "girl" are said of the grown too.
        ("hey baby", 0.9, 0.9, "doubt beside sexual"),
        ("somebody, 18 years old", 0.9, 0.9, "sexual alone"),
    ],
)
def test_both_signals_must_be_strong_and_of_different_words(
    guard: PromptGuard,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    whole: float,
    rest: float,
    action: str,
) -> None:
    monkeypatch.setattr(guard, "_scores", _stub(whole, rest))
    verdict = guard.judge(text, POLICY)
    accused = "sexual/minors" in verdict.categories
    match action:
        case "block":
            assert (verdict.action, accused, verdict.restricted) == ("block", True, True)
            assert {e.category for e in verdict.evidence} >= {"sexual/minors"}
        case "review":
            assert verdict.action in {"review", "block"}
            assert (accused, verdict.restricted) == (False, True)
            assert verdict.categories == ("sexual",)
        case "allow":
            assert (verdict.action, accused, verdict.restricted) == ("allow", False, False)
        case "doubt beside sexual":
            assert (verdict.action, accused, verdict.restricted) == ("block", False, True)
        case _:
            assert (verdict.action, accused, verdict.restricted) == ("block", False, False)


@pytest.mark.parametrize(
    ("text", "language", "clear"),
    [
        ("dziewczynka", "pl", True),
        ("meisje", "nl", True),
        ("kiz cocugu", "tr", True),
        ("여고생이", "ko", True),
        ("قاصر", "ar", True),
        ("नाबालिग", "hi", True),
        ("เด็กหญิง", "th", True),
        ("alaikainen", "fi", True),
        ("15歳", "ja", True),
        ("12 lat", "pl", True),
        ("baby", "en", False),
        ("jente", "nb", False),
    ],
)
def test_youth_has_words_in_every_language(text: str, language: str, clear: bool) -> None:
    assert [cue.clear for cue in youth_cues(text, language=language)] == [clear]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a kind man", "en"),
        ("a barn owl", "en"),
        ("아이콘", "ko"),
        ("아이스크림", "ko"),
        ("3 letters", "en"),
    ],
)
def test_a_word_that_means_something_else_is_no_cue(text: str, language: str) -> None:
    assert youth_cues(text, language=language) == []


def test_the_rest_of_a_text_is_asked_about_without_its_cues() -> None:
    asked: list[str] = []
    text = "a schoolgirl, 15 years old, reads"

    def without(gone: Sequence[tuple[int, int]]) -> float:
        asked.extend(text[start:end].strip() for start, end in gone)
        return 0.0

    assert find(text, language="en", sexual=0.1, without=without).state == "none"
    assert asked == ["schoolgirl", "15 years old"]


def test_only_the_windows_that_hold_such_a_cue_are_read_again(
    guard: PromptGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, ...]] = []
    real = SentenceEncoder.vector

    def vector(self: SentenceEncoder, tokens: tuple[int, ...], *, edit: bool = False) -> object:
        read.append(tokens)
        return real(self, tokens, edit=edit)

    monkeypatch.setattr(SentenceEncoder, "vector", vector)
    places = [f"a quiet street with {count} trees, " for count in range(30, 50)]
    guard.judge("".join([*places, "a child at school"]), POLICY)
    once = len(read)
    assert len(set(read)) == once
    read.clear()
    guard.judge("".join([*places, "an old man at work"]), POLICY)
    assert len(read) < once <= len(read) + 2
