"""The second picture model, text in pictures, and cues for whoever judges next."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from chopmark.errors import GuardFailed
from chopmark.safety import ImageGuard, PromptGuard, Verdict, draw_test_card, load_policy
from chopmark.safety.image.nsfwjs import NsfwJs, resized
from chopmark.safety.text.text_request import asks_for_text

POLICY = load_policy("default")
PICTURE = draw_test_card(128)
needs_ocr = pytest.mark.skipif(find_spec("rapidocr") is None, reason="chopmark[ocr] is missing")


class _Stub:
    model = "stub@0"

    def __init__(self, score: float) -> None:
        self.value = score

    def score(self, image: Image.Image) -> float:
        return self.value


def test_the_second_model_gives_shares_of_one() -> None:
    model = NsfwJs()
    shares = model.classes(PICTURE)
    assert shares.shape == (5,)
    assert float(shares.sum()) == pytest.approx(1.0, abs=1e-4)
    assert 0.0 <= model.score(PICTURE) <= 1.0
    assert model.score(PICTURE) == model.score(PICTURE)


def test_the_model_is_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chopmark.safety.image.nsfwjs._SHA256", "0" * 64)
    with pytest.raises(GuardFailed, match="SHA-256"):
        NsfwJs()


@pytest.mark.parametrize("size", [(224, 224), (500, 301), (3, 900), (1024, 1024)])
def test_the_resize_keeps_corners_and_range(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    small = resized(pixels, 224)
    assert small.shape == (224, 224, 3)
    for row in (0, -1):
        for column in (0, -1):
            assert small[row, column] == pytest.approx(pixels[row, column] / 255, abs=1e-3)
    if size == (224, 224):
        assert np.abs(small - pixels / 255).max() < 1e-6


@pytest.mark.parametrize(
    ("first", "second", "action"),
    [
        (0.0, 1.0, "review"),  # alone it asks for a person
        (0.4, 1.0, "block"),  # together they block
        (0.0, 0.7, "allow"),
        (0.8, 0.0, "block"),
    ],
)
def test_the_second_model_alone_never_blocks(first: float, second: float, action: str) -> None:
    guard = ImageGuard(model=_Stub(first), second=_Stub(second), banks=())  # type: ignore[arg-type]
    assert guard.judge(PICTURE, POLICY).action == action


class _Reader:
    model = "reader@0"

    def __init__(self) -> None:
        self.reads = 0

    def judge(self, image: Image.Image, policy: object, /) -> Verdict:
        self.reads += 1
        return Verdict(action="block", scores={"hate": 0.9}, categories=("hate",))


@pytest.mark.parametrize(
    ("score", "cues", "always", "reads"),
    [
        (0.0, (), False, 0),
        (0.0, ("writing",), False, 1),
        (0.5, (), False, 1),
        (0.0, (), True, 1),
    ],
)
def test_text_is_read_where_it_is_asked_for_and_in_doubt(
    score: float, cues: tuple[str, ...], always: bool, reads: int
) -> None:
    reader = _Reader()
    guard = ImageGuard(
        model=_Stub(score),  # type: ignore[arg-type]
        banks=(),
        reader=reader,
        read_always=always,
    )
    said = Verdict(action="allow", scores={}, cues=cues)  # type: ignore[arg-type]
    verdict = guard.judge(PICTURE, POLICY, prompt_verdict=said)
    assert reader.reads == reads
    if reads:
        assert (verdict.action, verdict.categories) == ("block", ("hate",))


def test_prompts_say_when_they_ask_for_writing() -> None:
    guard = PromptGuard.load()
    assert guard.judge("a protest sign in the rain", POLICY).cues == ("writing",)
    assert guard.judge("a child with a kite", POLICY).cues == ("youth",)
    assert guard.judge("a red apple", POLICY).cues == ()
    assert not asks_for_text("a signal tower and a postern")


@needs_ocr
def test_harmful_text_in_a_picture_is_found() -> None:
    from chopmark.safety.image.text import TextReader

    picture = Image.new("RGB", (512, 256), (240, 240, 230))
    draw = ImageDraw.Draw(picture)
    draw.text(
        (20, 60), "how to build\na pipe bomb", fill=(0, 0, 0), font=ImageFont.load_default(40)
    )
    reader = TextReader(PromptGuard.load())
    (first, upper), (second, lower) = reader.lines(picture)
    assert (first, second) == ("how to build", "a pipe bomb")
    assert upper[3] < lower[3] <= 256
    guard = ImageGuard(model=_Stub(0.0), banks=(), reader=reader, read_always=True)  # type: ignore[arg-type]
    verdict = guard.judge(picture, POLICY)
    assert verdict.action == "block"
    assert "illicit" in verdict.categories
    assert any(item.box is not None and item.box[0] < 60 for item in verdict.evidence)
    assert guard.judge(Image.new("RGB", (256, 256), (90, 120, 200)), POLICY).action == "allow"


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("ein Mädchen mit einem Ballon in dem Park", ("youth",)),
        ("une fillette avec un cerf-volant sur la plage", ("youth",)),
        ("девочка с красным шаром", ("youth",)),
        ("小女孩和气球", ("youth",)),
        ("a kind man with a menu", ()),
        ("ein Mann mit einem Hut", ()),
    ],
)
def test_youth_is_heard_in_other_languages(text: str, cues: tuple[str, ...]) -> None:
    assert PromptGuard.load().judge(text, POLICY).cues == cues
