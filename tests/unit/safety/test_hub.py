"""Guards by hub id, loaded from tiny random models: the whole path runs, and fails closed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image  # noqa: TC002 - tests are read at run time

from chopmark.errors import GuardFailed
from chopmark.safety import ImageGuard, PromptGuard, Verdict, draw_test_card, load_policy
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.image.guard import Seen
from chopmark.safety.image.hub import load_picture_models
from chopmark.safety.text.cascade import Cascade
from chopmark.safety.text.hub import family_of, load_text_model, read_llama, read_qwen
from chopmark.safety.text.scoring import Kind, Scored
from tests.unit.safety import safety_tiny_models as tiny_models

POLICY = load_policy("default")
PICTURE = draw_test_card(64)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("hf:Qwen/Qwen3Guard-Gen-0.6B", "qwen3guard"),
        ("hf:meta-llama/Llama-Guard-3-8B", "llama-guard"),
        ("hf:google/shieldgemma-2b", "shieldgemma"),
        ("hf:ibm-granite/granite-guardian-3.2-5b", "granite-guardian"),
    ],
)
def test_a_name_tells_the_family(name: str, family: str) -> None:
    assert family_of(name) == family


def test_a_model_of_no_family_is_refused() -> None:
    with pytest.raises(GuardFailed, match="no known family"):
        load_text_model("hf:somebody/poems")


def test_a_model_that_is_not_here_is_one_error() -> None:
    with pytest.raises(GuardFailed, match="does not load") as caught:
        load_text_model("hf:Qwen/Qwen3Guard-Gen-0.6B")
    assert "hf download" in caught.value.hint


@pytest.mark.parametrize("family", ["shieldgemma", "granite-guardian"])
def test_a_yes_or_no_guard_gives_shares(tmp_path: Path, family: str) -> None:
    guard = load_text_model(str(tiny_models.text_guard(tmp_path)), family=family)  # type: ignore[arg-type]
    scores = guard.scores("a red apple", ("sexual", "hate"))
    assert set(scores) == {"sexual", "hate"}
    assert all(0.0 < score < 1.0 for score in scores.values())
    assert scores == guard.scores("a red apple", ("sexual", "hate"))


@pytest.mark.parametrize("family", ["qwen3guard", "llama-guard"])
def test_an_answer_that_cannot_be_read_is_no_safe(tmp_path: Path, family: str) -> None:
    guard = load_text_model(str(tiny_models.text_guard(tmp_path)), family=family)  # type: ignore[arg-type]
    with pytest.raises(GuardFailed, match="no answer that can be read"):
        guard.scores("a red apple", ("sexual",))


def test_a_guard_without_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardFailed, match="no chat template"):
        load_text_model(str(tiny_models.text_guard(tmp_path, chat=None)), family="llama-guard")


def test_answers_are_read_as_the_cards_describe_them() -> None:
    assert read_qwen("Safety: Safe\nCategories: None") == {}
    assert read_qwen("Safety: Unsafe\nCategories: Copyright Violation") == {"ip": 0.9}
    assert read_qwen("Safety: Controversial\nCategories: Suicide & Self-Harm")["self-harm"] < 0.5
    assert "sexual" in read_qwen(
        "Safety: Unsafe\nCategories: PII"
    )  # a reason without a name of ours
    assert read_llama("\n\nsafe") == {}
    assert read_llama("unsafe\nS10,S11") == {"hate": 0.9, "self-harm": 0.9}
    assert "violence" in read_llama("unsafe\nS6")
    for read in (read_qwen, read_llama):
        with pytest.raises(GuardFailed):
            read("I think it is fine")


class _Larger:
    """Answers as told."""

    model = "larger@0"
    evaluates: tuple[str, ...] = MODEL_CATEGORIES

    def __init__(self, score: float, *, wait: threading.Event | None = None) -> None:
        self.score, self.wait = score, wait
        self.asked: list[tuple[str, ...]] = []

    def scores(self, text: str, wanted: Sequence[str], /) -> Mapping[str, float]:
        self.asked.append(tuple(wanted))
        if self.wait is not None:
            self.wait.wait()
        return dict.fromkeys(wanted, self.score)


class _Small(PromptGuard):
    """The real guard with the small model's scores as told."""

    said: Mapping[str, float]

    def _scores(self, text: str, kind: Kind, **_more: object) -> Scored:
        return Scored(scores=dict(self.said), spans={})


def _guard(larger: _Larger, said: dict[str, float], *, timeout_s: float = 5.0) -> _Small:
    guard = _Small.load(cascade=Cascade(larger, timeout_s=timeout_s))
    guard.said = said
    return guard


@pytest.mark.parametrize(
    ("small", "large", "action", "asked"),
    [
        (0.10, 0.99, "allow", []),  # clear: the larger one is not asked
        (0.95, 0.01, "block", []),
        (0.45, 0.01, "allow", [("sexual",)]),  # uncertain: its word counts, either way
        (0.55, 0.01, "allow", [("sexual",)]),
        (0.45, 0.90, "block", [("sexual",)]),
        (0.45, float("nan"), "block", [("sexual",)]),  # a broken model is no "safe"
    ],
)
def test_only_the_uncertain_band_goes_to_the_larger_model(
    small: float, large: float, action: str, asked: list[tuple[str, ...]]
) -> None:
    larger = _Larger(large)
    verdict = _guard(larger, {"sexual": small, "violence": 0.0}).judge("a red apple", POLICY)
    assert verdict.action == action
    assert larger.asked == asked
    assert ("larger@0" in verdict.models) == bool(asked)


def test_a_time_out_fails_closed_for_what_was_uncertain_and_for_nothing_else() -> None:
    release = threading.Event()
    larger = _Larger(0.0, wait=release)
    guard = _guard(larger, {"sexual": 0.5, "violence": 0.1}, timeout_s=0.1)
    verdict = guard.judge("a red apple", POLICY)
    release.set()
    assert (verdict.action, verdict.categories) == ("block", ("sexual",))
    assert verdict.scores["violence"] == 0.1
    assert any("did not answer in 0.1 s" in item.detail for item in verdict.evidence)


def test_an_unknown_language_goes_to_the_larger_model_instead_of_to_review() -> None:
    larger = _Larger(0.02)
    guard = _guard(larger, dict.fromkeys(_Larger.evaluates, 0.3))
    verdict = guard.judge("Mae'r gath yn eistedd ar y bwrdd yn y gegin", POLICY)
    assert verdict.action == "allow"
    assert set(_Larger.evaluates) <= set(verdict.evaluated)


@pytest.mark.parametrize("make", [tiny_models.classifier, tiny_models.shieldgemma2])
def test_a_picture_model_is_loaded_by_its_folder(
    tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("shieldgemma-2-tiny" if make is tiny_models.shieldgemma2 else "vit")
    (model,) = load_picture_models(str(make(folder)))  # type: ignore[operator]
    seen = model.look(PICTURE)
    assert set(seen.scores) == set(model.evaluates)
    assert "sexual" in seen.scores
    assert all(0.0 <= score <= 1.0 for score in seen.scores.values())
    assert seen == model.look(PICTURE)


def test_one_setting_switches_the_clip_words_on(tmp_path: Path) -> None:
    (model,) = load_picture_models("", clip_backbone=str(tiny_models.clip(tmp_path)))
    assert set(model.look(PICTURE).scores) >= {"sexual", "hate", "self-harm", "violence/graphic"}


def test_a_classifier_without_a_label_of_ours_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.classifier(tmp_path, ("cat", "not nsfw"))
    with pytest.raises(GuardFailed, match="no label that means"):
        load_picture_models(str(folder))


def test_nudenet_is_asked_for_by_name_and_its_absence_is_said() -> None:
    with pytest.raises(GuardFailed, match="nudenet") as caught:
        load_picture_models("nudenet")
    assert "AGPL" in caught.value.hint


class _Doubtful:
    """Stands in for both small models: the score is injected."""

    model = "stub@0"

    def __init__(self, score: float) -> None:
        self.value = score

    def score(self, image: Image.Image) -> float:
        return self.value


class _Tier1:
    model = "tier1@0"
    evaluates: tuple[str, ...] = ("sexual", "hate")

    def __init__(self) -> None:
        self.looks = 0

    def look(self, image: Image.Image, /) -> Seen:
        self.looks += 1
        return Seen(scores={"sexual": 0.9, "hate": 0.2})


@pytest.mark.parametrize(
    ("score", "looks", "action"), [(0.1, 0, "allow"), (0.5, 1, "block"), (0.8, 0, "block")]
)
def test_larger_picture_models_are_asked_in_the_review_band_only(
    score: float, looks: int, action: str
) -> None:
    tier1 = _Tier1()
    guard = ImageGuard(model=_Doubtful(score), banks=(), more=[tier1])  # type: ignore[arg-type]
    verdict = guard.judge(PICTURE, POLICY)
    assert (tier1.looks, verdict.action) == (looks, action)
    # What nobody looked for is not evaluated, also where a model for it is loaded.
    assert ("hate" in verdict.evaluated) == bool(looks)


@pytest.mark.parametrize(
    ("score", "cues", "minors"),
    [(0.16, ("youth",), True), (0.14, ("youth",), False), (0.16, (), False)],
)
def test_youth_in_the_prompt_and_any_sexual_signal_in_the_picture_blocks(
    score: float, cues: tuple[str, ...], minors: bool
) -> None:
    guard = ImageGuard(model=_Doubtful(score), banks=())  # type: ignore[arg-type]
    said = Verdict(action="allow", scores={}, cues=cues)  # type: ignore[arg-type]
    verdict = guard.judge(PICTURE, POLICY, prompt_verdict=said)
    assert verdict.restricted == minors
    assert (verdict.action == "block") == minors
