"""The watermark benchmark's table of rates as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw_rates"]


def draw_rates(rates: dict[str, dict[str, float]], file: Path) -> None:
    """Draw a table of rates: dark green is 1, white is 0.

    Args:
        rates: By method, then by attack; all methods have the same attacks.
        file: Where to write the PNG.
    """
    attacks = list(next(iter(rates.values())))
    font = ImageFont.load_default(14)
    left, cell, line, top = 270, 150, 22, 40
    size = left + cell * len(rates) + 10, top + line * len(attacks) + 10
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for column, method in enumerate(rates):
        pen.text((left + cell * column + 8, 12), method, "black", font)
        for row, attack in enumerate(attacks):
            x, y = left + cell * column, top + line * row
            rate = rates[method][attack]
            shade = tuple(round(255 + rate * (full - 255)) for full in (26, 122, 76))
            pen.rectangle((x, y, x + cell - 3, y + line - 3), shade, (220, 220, 220))
            ink = "white" if rate > 0.6 else "black"
            pen.text((x + 52, y + 1), f"{100 * rate:.0f} %", ink, font)
    for row, attack in enumerate(attacks):
        pen.text((10, top + line * row + 1), attack, "black", font)
    picture.quantize(128).save(file, optimize=True)
