"""A label that can be seen, where it was asked for, and nothing else changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from chopmark.errors import ConfigurationError, ImageTooSmall
from chopmark.provenance import LABEL_PROFILES, LabelStyle, detect_mark, draw_label, embed_mark
from chopmark.provenance.label import ICON_WORDS, LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.provenance.conftest import Maker

GREY = (120, 130, 140)


def _changed(image: Image.Image, style: LabelStyle) -> tuple[int, int, int, int]:
    """The box of pixels that the label changed."""
    before, after = (
        np.asarray(image.convert("RGB")),
        np.asarray(draw_label(image, style).convert("RGB")),
    )
    rows, columns = np.nonzero((before != after).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize("language", LABELS)
@pytest.mark.parametrize("size", [(512, 512), (1024, 300), (128, 400)])
def test_every_language_is_drawn_within_the_picture(language: Any, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, GREY)
    left, top, right, bottom = _changed(image, LabelStyle(language=language))
    assert (right, bottom) == (size[0] - 1, size[1] - 1)
    assert left >= 0
    assert bottom - top >= 9
    # Bright letters on a box of 26 to 30: something can be read.
    pixels = np.asarray(draw_label(image, LabelStyle(language=language)))
    assert (pixels.min(axis=2) > 150).sum() > 20


@pytest.mark.parametrize(
    ("position", "corner"),
    [
        ("top_left", (True, True)),
        ("top_right", (False, True)),
        ("bottom_left", (True, False)),
        ("bottom_right", (False, False)),
    ],
)
def test_corners(position: Any, corner: tuple[bool, bool]) -> None:
    left, top, right, bottom = _changed(
        Image.new("RGB", (400, 300), GREY), LabelStyle(position=position)
    )
    assert (left == 0, top == 0) == corner
    assert (right == 399, bottom == 299) == (not corner[0], not corner[1])


@pytest.mark.parametrize("size", [(512, 512), (900, 300), (300, 900)])
def test_india_has_a_bar_from_side_to_side_and_no_tenth_of_the_area(size: tuple[int, int]) -> None:
    left, top, right, bottom = _changed(Image.new("RGB", size, GREY), LABEL_PROFILES["india"])
    assert (left, right, bottom) == (0, size[0] - 1, size[1] - 1)
    assert bottom - top + 1 >= 0.1 * min(size)
    # The draft's tenth of the area was dropped from the rules: a tall picture keeps its pixels.
    if size[1] > size[0]:
        assert (bottom - top + 1) * size[0] < 0.1 * size[0] * size[1]


def _white(picture: Image.Image) -> int:
    return int((np.asarray(picture).min(axis=2) > 240).sum())


@pytest.mark.parametrize("language", ICON_WORDS)
@pytest.mark.parametrize("side", [256, 512, 1024])
def test_the_icon_tells_what_was_made_from_what_was_changed(language: Any, side: int) -> None:
    image = Image.new("RGB", (side, side), GREY)
    style = dataclasses.replace(LABEL_PROFILES["eu"], language=language)
    made, changed = (draw_label(image, style, modified=one) for one in (False, True))
    # With the same words the icon alone differs: it is filled, or its left half is.
    same = dataclasses.replace(style, text="x")
    filled, half = (draw_label(image, same, modified=one) for one in (False, True))
    assert _white(filled) > _white(half) > 0
    assert made.tobytes() != changed.tobytes()


def test_a_label_without_an_icon_is_the_same_for_both() -> None:
    image = Image.new("RGB", (512, 512), GREY)
    for name in ("default", "korea", "china", "india"):
        style = LABEL_PROFILES[name]
        made, changed = (draw_label(image, style, modified=one) for one in (False, True))
        assert made.tobytes() == changed.tobytes()


def test_on_a_narrow_picture_the_icon_stands_alone() -> None:
    image = Image.new("RGB", (80, 400), GREY)
    left, top, right, bottom = _changed(image, LABEL_PROFILES["eu"])
    assert right - left < 60
    assert bottom - top >= 9


def test_china_letters_are_a_twentieth_of_the_shortest_side() -> None:
    image = Image.new("RGB", (800, 600), GREY)
    pixels = np.asarray(draw_label(image, LABEL_PROFILES["china"]))
    rows = np.nonzero((pixels.min(axis=2) > 200).any(axis=1))[0]
    assert rows.max() - rows.min() + 1 >= 0.05 * 600 * 0.9
    assert LABELS["zh"] == "AI生成"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_size_and_mode_stay_and_the_source_is_untouched(mode: str) -> None:
    image = Image.new(mode, (200, 100), 90)
    before = image.tobytes()
    labelled = draw_label(image, LabelStyle())
    assert (labelled.mode, labelled.size) == (mode, (200, 100))
    assert image.tobytes() == before


def test_own_words_and_a_script_that_is_not_there(tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 300), GREY)
    assert draw_label(image, LabelStyle(text="Made by a machine")).size == (400, 300)
    with pytest.raises(ConfigurationError, match="no glyph"):
        draw_label(image, LabelStyle(text="एआई"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        draw_label(image, LabelStyle(font=tmp_path / "none.ttf"))


def test_limits() -> None:
    with pytest.raises(ImageTooSmall):
        draw_label(Image.new("RGB", (32, 32)), LabelStyle())
    with pytest.raises(ImageTooSmall, match="does not fit"):
        draw_label(Image.new("RGB", (64, 64)), LabelStyle(text="x" * 200))
    for bad in ({"size": 0.5}, {"size": 0.0}):
        with pytest.raises(ConfigurationError):
            LabelStyle(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["eu", "india"])
def test_the_watermark_over_the_label_is_read(
    name: str, maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    labelled = draw_label(photograph(seed=60), LABEL_PROFILES[name])
    payload = bytes.fromhex("a3f09c1122334451")
    marked = embed_mark(labelled, payload, key=maker.keys.active)
    assert detect_mark(marked, keys=maker.keys.all).payload == payload
