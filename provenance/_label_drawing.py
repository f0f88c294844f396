"""What the visible label draws itself: letters that the built-in font has not, and the AI icon.

The built-in font has Latin letters only, and a font for Chinese or Korean weighs megabytes. So the
four characters that the labels need are strokes. The icon is a drawing of ours, after what the EU's
Code of Practice describes: an acronym, in one form for what a model made whole and in another for
what it changed in part. It is not the Commission's own file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

__all__ = ["STROKES", "draw_icon", "icon_width", "width_of", "write"]

Stroke = tuple[tuple[float, float], ...]
_WHITE: Final = (255, 255, 255, 255)
_DARK: Final = (0, 0, 0, 255)
_ADVANCE: Final = 1.15
"""Width of a drawn letter, its height being 1."""


def _ring(x: float, y: float, across: float, down: float) -> Stroke:
    turns = [2 * math.pi * step / 24 for step in range(25)]
    return tuple((x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns)


_SIOT: Final[tuple[Stroke, ...]] = (
    ((0.29, 0.05), (0.23, 0.26), (0.05, 0.45)),
    ((0.25, 0.20), (0.34, 0.33), (0.49, 0.43)),
)

STROKES: Final[dict[str, tuple[Stroke, ...]]] = {
    "生": (
        ((0.30, 0.05), (0.22, 0.25), (0.08, 0.42)),
        ((0.24, 0.25), (0.88, 0.25)),
        ((0.16, 0.55), (0.84, 0.55)),
        ((0.53, 0.04), (0.53, 0.93)),
        ((0.05, 0.93), (0.95, 0.93)),
    ),
    "成": (
        ((0.17, 0.26), (0.93, 0.26)),
        ((0.18, 0.26), (0.17, 0.60), (0.05, 0.95)),
        ((0.18, 0.50), (0.42, 0.50), (0.41, 0.78), (0.36, 0.83), (0.29, 0.80)),
        ((0.54, 0.04), (0.57, 0.35), (0.66, 0.66), (0.80, 0.90), (0.92, 0.94), (0.95, 0.72)),
        ((0.86, 0.42), (0.70, 0.68), (0.44, 0.93)),
        ((0.68, 0.06), (0.80, 0.15)),
    ),
    "생": (
        *_SIOT,
        ((0.60, 0.06), (0.60, 0.50)),
        ((0.60, 0.27), (0.82, 0.27)),
        ((0.82, 0.02), (0.82, 0.54)),
        _ring(0.54, 0.77, 0.28, 0.18),
    ),
    "성": (
        *_SIOT,
        ((0.56, 0.26), (0.82, 0.26)),
        ((0.82, 0.02), (0.82, 0.54)),
        _ring(0.54, 0.77, 0.28, 0.18),
    ),
}
"""Letters as lines in a unit square."""


def width_of(text: str, font: ImageFont.FreeTypeFont, height: int) -> float:
    """Return how wide a text is whose capitals are ``height`` pixels high."""
    drawn = sum(height * _ADVANCE for letter in text if letter in STROKES)
    return float(drawn + font.getlength("".join(one for one in text if one not in STROKES)))


def write(
    pen: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont,
    corner: tuple[float, float],
    height: int,
) -> None:
    """Write a text in white; ``corner`` is the upper left one of its capitals."""
    x, y = corner
    run = ""
    for letter in [*text, ""]:
        if letter and letter not in STROKES:
            run += letter
            continue
        if run:
            pen.text((x, y + height), run, font=font, fill=_WHITE, anchor="ls")
            x += font.getlength(run)
            run = ""
        if letter:
            thick = max(1, round(height / 9))
            for stroke in STROKES[letter]:
                points = [(x + px * height + height * 0.06, y + py * height) for px, py in stroke]
                pen.line(points, fill=_WHITE, width=thick, joint="curve")
            x += height * _ADVANCE


def icon_width(height: int) -> int:
    """Return how wide the icon is beside capitals of ``height`` pixels."""
    return round(1.9 * height)


def draw_icon(
    pen: ImageDraw.ImageDraw,
    acronym: str,
    font: ImageFont.FreeTypeFont,
    corner: tuple[float, float],
    height: int,
    *,
    modified: bool,
) -> None:
    """Draw the acronym in a frame: all of it filled, or its left half where a part was changed.

    Args:
        pen: Draws.
        acronym: Two letters.
        font: Of the acronym.
        corner: Upper left corner of capitals of ``height`` pixels; the frame stands out around it.
        height: In pixels.
        modified: A model changed a part of the picture, and did not make all of it.
    """
    out = round(0.28 * height)
    left, top = round(corner[0]), round(corner[1]) - out
    right, bottom = left + icon_width(height) - 1, top + height + 2 * out - 1
    line, bend = max(1, round(height / 10)), max(2, round(height / 4))
    pen.rounded_rectangle(
        (left, top, right, bottom),
        radius=bend,
        fill=None if modified else _WHITE,
        outline=_WHITE,
        width=line,
    )
    middle = (left + right) // 2
    if modified:
        pen.rounded_rectangle(
            (left, top, middle, bottom),
            radius=bend,
            fill=_WHITE,
            corners=(True, False, False, True),
        )
    for letter, part in zip(acronym, (0.265, 0.745), strict=True):
        at = left + part * (right - left)
        filled = not modified or at < middle
        pen.text(
            (at, corner[1] + height),
            letter,
            font=font,
            fill=_DARK if filled else _WHITE,
            anchor="ms",
        )
