"""A visible label, drawn before the watermark is struck.

Rules that ask for one: California SB 942 (an optional manifest disclosure), India's G.S.R. 120(E)
of 2026 (prominent; sources differ on whether a tenth of the area survived into the final text, so
the profile takes the stricter reading), China's GB 45438-2025 (text with "AI" and "生成", at least
five hundredths of the shortest side high).

>>> from PIL import Image
>>> labelled = draw_label(Image.new("RGB", (256, 256), "navy"), LabelStyle())
>>> labelled.size
(256, 256)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import ConfigurationError, ImageTooSmall

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image, ImageDraw, ImageFont

__all__ = ["LABELS", "LABEL_PROFILES", "LabelStyle", "draw_label"]

Position = Literal["top_left", "top_right", "bottom_left", "bottom_right", "bottom_bar"]
Language = Literal["en", "de", "fr", "es", "it", "pt", "nl", "zh"]

LABELS: Final[dict[Language, str]] = {
    "en": "AI-generated",
    "de": "KI-generiert",
    "fr": "Fait par l'IA",
    "es": "Generado por IA",
    "it": "Generato con IA",
    "pt": "Gerado por IA",
    "nl": "Gemaakt met AI",
    "zh": "AI生成",
}
"""What the label says, by language; in letters that the built-in font has."""

_MIN_SIDE: Final = 64
_MIN_TEXT: Final = 9
_PADDING: Final = 0.45


@dataclass(frozen=True, kw_only=True)
class LabelStyle:
    """How the label looks.

    Attributes:
        language: Which of `LABELS`; ``text`` overrules it.
        text: Own words; empty takes the language's.
        position: A corner, or a bar along the bottom.
        size: Height of the letters as a part of the shortest side, 0.02 to 0.3.
        min_area: Least part of the picture that the label covers, 0 to 0.5.
        font: TrueType file for scripts that the built-in font has not.
    """

    language: Language = "en"
    text: str = ""
    position: Position = "bottom_right"
    size: float = 0.04
    min_area: float = 0.0
    font: Path | None = None

    def __post_init__(self) -> None:
        if not 0.02 <= self.size <= 0.3 or not 0 <= self.min_area <= 0.5:
            raise ConfigurationError(
                f"a label of size {self.size} and area {self.min_area} cannot be drawn",
                hint="size is 0.02 to 0.3 of the shortest side, min_area 0 to 0.5",
            )


LABEL_PROFILES: Final[dict[str, LabelStyle]] = {
    "default": LabelStyle(),
    "china": LabelStyle(language="zh", size=0.05, position="bottom_right"),
    "india": LabelStyle(position="bottom_bar", size=0.05, min_area=0.1),
}
"""Styles by the rule that asks for them."""

# The two Chinese characters of the label as strokes in a unit square, since the built-in font has
# Latin letters only and a Chinese font weighs megabytes.
_STROKES: Final[dict[str, tuple[tuple[tuple[float, float], ...], ...]]] = {
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
}


def draw_label(image: Image.Image, style: LabelStyle) -> Image.Image:
    """Return a copy with the label on it; size and mode stay.

    Args:
        image: At least 64 pixels on each side.
        style: Words, place and size.

    Raises:
        ImageTooSmall: No label could be read on it.
        ConfigurationError: The font cannot be read, or has no glyph for a letter.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    if min(image.size) < _MIN_SIDE:
        raise ImageTooSmall(
            f"a picture of {image.width} x {image.height} pixels has no room for a label",
            hint=f"at least {_MIN_SIDE} pixels on each side",
        )
    text = style.text or LABELS[style.language]
    height = max(_MIN_TEXT, round(min(image.size) * style.size))
    font = _font(style, height, text)
    # A long text on a narrow picture shrinks until it fits, and no further than can be read.
    while _width(text, font, height) > image.width * 0.92 and height > _MIN_TEXT:
        height -= 1
        font = _font(style, height, text)
    if _width(text, font, height) > image.width:
        raise ImageTooSmall(
            f"the label {text!r} does not fit on {image.width} pixels", hint="a shorter text"
        )
    box = _box(image.size, _width(text, font, height), height, style)
    layer = Pillow.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    pen.rectangle(box, fill=(0, 0, 0, 200))
    left = box[0] + (box[2] - box[0] - _width(text, font, height)) / 2
    top = box[1] + (box[3] - box[1] - height) / 2
    _write(pen, text, font, (left, top), height)
    merged = Pillow.alpha_composite(image.convert("RGBA"), layer)
    return merged if image.mode == "RGBA" else merged.convert(image.mode)


def _box(
    size: tuple[int, int], text_width: float, height: int, style: LabelStyle
) -> tuple[int, int, int, int]:
    width, tall = size
    pad = height * _PADDING
    across = width if style.position == "bottom_bar" else min(width, round(text_width + 2 * pad))
    down = round(height + 2 * pad)
    # A label that must cover more grows in height, and then in width.
    least = style.min_area * width * tall
    down = min(tall, max(down, -(-round(least) // across)))
    if across * down < least:
        across = min(width, -(-round(least) // down))
    left = 0 if style.position in {"top_left", "bottom_left", "bottom_bar"} else width - across
    top = 0 if style.position in {"top_left", "top_right"} else tall - down
    return left, top, left + across - 1, top + down - 1


def _font(style: LabelStyle, height: int, text: str) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    # Capital letters stand about seven tenths of the nominal size high.
    nominal = height / 0.72
    try:
        found: Any = (
            ImageFont.truetype(str(style.font), nominal)
            if style.font is not None
            else ImageFont.load_default(nominal)
        )
    except OSError as error:
        raise ConfigurationError(f"the label font {style.font} cannot be read: {error}") from error
    missing = bytes(found.getmask("\U0010fffe"))
    for letter in set(text) - set(_STROKES) - {" "}:
        if bytes(found.getmask(letter)) == missing:
            raise ConfigurationError(
                f"the label font has no glyph for {letter!r}",
                hint="set a TrueType font that has the script",
            )
    font: ImageFont.FreeTypeFont = found
    return font


def _width(text: str, font: ImageFont.FreeTypeFont, height: int) -> float:
    total = sum(height * 1.15 for letter in text if letter in _STROKES)
    return float(total + font.getlength("".join(one for one in text if one not in _STROKES)))


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont,
    corner: tuple[float, float],
    height: int,
) -> None:
    white = (255, 255, 255, 255)
    x, y = corner
    run = ""
    for letter in [*text, ""]:
        if letter and letter not in _STROKES:
            run += letter
            continue
        if run:
            pen.text((x, y + height), run, font=font, fill=white, anchor="ls")
            x += font.getlength(run)
            run = ""
        if letter:
            thick = max(1, round(height / 11))
            for stroke in _STROKES[letter]:
                points = [(x + px * height + height * 0.06, y + py * height) for px, py in stroke]
                pen.line(points, fill=white, width=thick, joint="curve")
            x += height * 1.15
