"""A visible label, drawn before the watermark is struck.

Rules that ask for one, as secondary sources tell (``docs/law.md`` has them with their dates): the
EU's Code of Practice on marking (an icon, in one form for what a model made and in another for what
it changed), California SB 942 (a manifest disclosure, at the user's option), India's IT Rules as
amended in 2026 (prominent), Korea's AI Basic Act (visible, on what looks real), China's
GB 45438-2025 (text with "AI" and "生成", at least five hundredths of the shortest side high).

>>> from PIL import Image
>>> labelled = draw_label(Image.new("RGB", (256, 256), "navy"), LabelStyle())
>>> labelled.size
(256, 256)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import ConfigurationError, ImageTooSmall
from chopmark.provenance._label_drawing import STROKES, draw_icon, icon_width, width_of, write

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image, ImageFont

__all__ = ["ICON_WORDS", "LABELS", "LABEL_PROFILES", "LabelStyle", "draw_label"]

Position = Literal["top_left", "top_right", "bottom_left", "bottom_right", "bottom_bar"]
Language = Literal["en", "de", "fr", "es", "it", "pt", "nl", "zh", "ko"]

LABELS: Final[dict[Language, str]] = {
    "en": "AI-generated",
    "de": "KI-generiert",
    "fr": "Fait par l'IA",
    "es": "Generado por IA",
    "it": "Generato con IA",
    "pt": "Gerado por IA",
    "nl": "Gemaakt met AI",
    "zh": "AI生成",
    "ko": "AI 생성",
}
"""What the label says, by language; in letters that the built-in font has or that are drawn."""

ICON_WORDS: Final[dict[Language, tuple[str, str, str]]] = {
    "en": ("AI", "fully generated", "partly modified"),
    "de": ("KI", "komplett generiert", "zum Teil bearbeitet"),
    "fr": ("IA", "fait par l'IA", "en partie par l'IA"),
    "es": ("IA", "generado por completo", "modificado en parte"),
    "it": ("IA", "interamente generato", "modificato in parte"),
    "pt": ("IA", "totalmente gerado", "modificado em parte"),
    "nl": ("AI", "volledig gemaakt", "deels gewijzigd"),
}
"""The acronym in the icon; the words beside it, of what was made and of what was changed."""

_MIN_SIDE: Final = 64
_MIN_TEXT: Final = 9
_PADDING: Final = 0.45
_LARGER: Final = 4


@dataclass(frozen=True, kw_only=True)
class LabelStyle:
    """How the label looks.

    Attributes:
        language: Which of `LABELS`; ``text`` overrules it.
        text: Own words; empty takes the language's.
        position: A corner, or a bar along the bottom.
        size: Height of the letters as a part of the shortest side, 0.02 to 0.3.
        icon: Draw the AI icon before the words, which say whether all was generated or a part
            modified, in the languages of `ICON_WORDS`.
        font: TrueType file for scripts that the built-in font has not.
    """

    language: Language = "en"
    text: str = ""
    position: Position = "bottom_right"
    size: float = 0.04
    icon: bool = False
    font: Path | None = None

    def __post_init__(self) -> None:
        """Check the size."""
        if not 0.02 <= self.size <= 0.3:
            raise ConfigurationError(
                f"a label of size {self.size} cannot be drawn",
                hint="size is 0.02 to 0.3 of the shortest side",
            )

    def words(self, *, modified: bool) -> str:
        """Return what the label says."""
        told = ICON_WORDS.get(self.language) if self.icon else None
        return self.text or (told[1 + modified] if told else LABELS[self.language])

    @property
    def acronym(self) -> str:
        """What stands in the icon."""
        told = ICON_WORDS.get(self.language)
        return told[0] if told else "AI"


LABEL_PROFILES: Final[dict[str, LabelStyle]] = {
    "default": LabelStyle(),
    "eu": LabelStyle(icon=True, size=0.04),
    "korea": LabelStyle(language="ko", size=0.05),
    "china": LabelStyle(language="zh", size=0.05, position="bottom_right"),
    "india": LabelStyle(position="bottom_bar", size=0.06),
}
"""Styles by the rule that asks for them."""


def draw_label(image: Image.Image, style: LabelStyle, *, modified: bool = False) -> Image.Image:
    """Return a copy with the label on it; size and mode stay.

    Args:
        image: At least 64 pixels on each side.
        style: Words, place and size.
        modified: A model changed a part of the picture, and did not make all of it; only a label
            with an icon tells the two apart.

    Raises:
        ImageTooSmall: No label could be read on it.
        ConfigurationError: The font cannot be read, or has no glyph for a letter.
    """
    if min(image.size) < _MIN_SIDE:
        raise ImageTooSmall(
            f"a picture of {image.width} x {image.height} pixels has no room for a label",
            hint=f"at least {_MIN_SIDE} pixels on each side",
        )
    text = style.words(modified=modified)
    height = max(_MIN_TEXT, round(min(image.size) * style.size))
    font = _font(style, height, text)
    # A long text on a narrow picture shrinks until it fits, and no further than can be read.
    while _width(style, text, font, height) > image.width * 0.92 and height > _MIN_TEXT:
        height -= 1
        font = _font(style, height, text)
    if style.icon and not style.text and _width(style, text, font, height) > image.width:
        text = ""  # the icon says it alone
    across = _width(style, text, font, height)
    if across > image.width:
        raise ImageTooSmall(
            f"the label {text!r} does not fit on {image.width} pixels", hint="a shorter text"
        )
    box = _box(image.size, across, height, style)
    merged = image.convert("RGBA")
    merged.alpha_composite(_drawn(box, style, text, height, modified=modified), box[:2])
    return merged if image.mode == "RGBA" else merged.convert(image.mode)


def _drawn(
    box: tuple[int, int, int, int], style: LabelStyle, text: str, height: int, *, modified: bool
) -> Image.Image:
    """Return the label alone: drawn larger and reduced, so that lines have smooth edges."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    wide, tall, large = box[2] - box[0] + 1, box[3] - box[1] + 1, _LARGER * height
    font = _font(style, large, text)
    layer = Pillow.new("RGBA", (_LARGER * wide, _LARGER * tall), (0, 0, 0, 200))
    pen = ImageDraw.Draw(layer)
    left = (layer.width - _width(style, text, font, large)) / 2
    top = (layer.height - large) / 2
    if style.icon:
        draw_icon(pen, style.acronym, font, (left, top), large, modified=modified)
        left += _icon_room(large, text)
    write(pen, text, font, (left, top), large)
    return layer.reduce(_LARGER)


def _box(
    size: tuple[int, int], text_width: float, height: int, style: LabelStyle
) -> tuple[int, int, int, int]:
    width, tall = size
    pad = height * _PADDING
    across = width if style.position == "bottom_bar" else min(width, round(text_width + 2 * pad))
    down = min(tall, round(height + 2 * pad))
    left = 0 if style.position in {"top_left", "bottom_left", "bottom_bar"} else width - across
    top = 0 if style.position in {"top_left", "top_right"} else tall - down
    return left, top, left + across - 1, top + down - 1


def _icon_room(height: int, text: str) -> float:
    return icon_width(height) + (0.5 * height if text else 0)


def _width(style: LabelStyle, text: str, font: ImageFont.FreeTypeFont, height: int) -> float:
    return width_of(text, font, height) + (_icon_room(height, text) if style.icon else 0)


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
    for letter in set(text) - set(STROKES) - {" "}:
        if bytes(found.getmask(letter)) == missing:
            raise ConfigurationError(
                f"the label font has no glyph for {letter!r}",
                hint="set a TrueType font that has the script",
            )
    font: ImageFont.FreeTypeFont = found
    return font
