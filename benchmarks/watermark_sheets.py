"""Sheets to look at: what the mark does to a picture of each kind, at twice its size.

Each row is one part of one picture: as it was, marked, and the difference times ten on grey. Two
parts of each picture are shown, unless they are the same: where the mark is strongest, and where it
is strongest beside what hides it there. Only pictures that may be shown anywhere: of our own,
drawn, public domain, CC0 and Expat; photographs of the benchmark have licences that ask for more
than a sheet can say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import HELD_OUT, load, pictures
from benchmarks.watermark_marked import KEY, PAYLOAD, psnr
from benchmarks.watermark_sets import Subject
from chopmark.provenance.watermark import get_method

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw_sheet"]

_PART = 144
_ZOOM = 2
_TIMES = 10
_LINE = 20
_FREE = {"mypaint-data-extras": "texture", "sway-backgrounds": "wallpaper"}


def draw_sheet(file: Path) -> None:
    """Write the sheet as a JPEG of little loss; some ten seconds of CPU.

    Args:
        file: Where to write it.
    """
    rows = [
        (title, *part)
        for title, picture in _examples().items()
        for part in _parts(picture, get_method("lattice").embed(picture, PAYLOAD, KEY))
    ]
    side = _PART * _ZOOM
    sheet = Image.new("RGB", (3 * side + 8, len(rows) * (side + _LINE + 4)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (title, where, *panels) in enumerate(rows):
        top = number * (side + _LINE + 4)
        pen.text((2, top + 2), f"{title}: {where}", "black", font)
        for column, panel in enumerate(panels):
            shown = Image.fromarray(panel).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(shown, (column * (side + 4), top + _LINE))
    sheet.save(file, "JPEG", quality=85, subsampling=0, optimize=True)


def _examples() -> dict[str, Image.Image]:
    """One picture of each kind that may be shown, by its title."""
    found = {
        "our own": Subject(name="own", kind="own", number=0).load(),
        "clip art": Subject(name="clip art", kind="flat", number=0).load(),
        "drawn shapes": Subject(name="shapes", kind="flat", number=2).load(),
        "gradient": load(next(one for one in pictures(HELD_OUT) if _is_gradient(one.part))),
    }
    for package, title in _FREE.items():
        named = next(one for one in pictures(HELD_OUT) if package in one.name)
        picture = load(named)
        picture.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
        found[title] = picture
    return found


def _is_gradient(part: str) -> bool:
    return part.isdigit() and int(part) % 3 == 0


def _parts(
    picture: Image.Image, marked: Image.Image
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Two parts of a picture: what is shown, and the panels."""
    before, after = (np.asarray(each, np.float32) for each in (picture, marked))
    difference = after - before
    energy = cv2.boxFilter((difference**2).mean(axis=2), -1, (_PART, _PART))
    grey = before.mean(axis=2)
    detail = (grey - cv2.GaussianBlur(grey, (0, 0), 4)) ** 2
    hidden = cv2.boxFilter(detail, -1, (_PART, _PART))
    cost = f"{psnr(picture, marked):.1f} dB"
    found: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    places: list[tuple[int, int]] = []
    for where, worth in (
        ("where it is strongest", energy),
        ("where least hides it", energy / (hidden + 1)),
    ):
        top, left = _best(worth)
        if any(max(abs(top - one), abs(left - other)) < _PART // 2 for one, other in places):
            continue
        places.append((top, left))
        cut = slice(top, top + _PART), slice(left, left + _PART)
        loud = np.clip(128 + _TIMES * difference[cut], 0, 255)
        was, now, loud = (each.astype(np.uint8) for each in (before[cut], after[cut], loud))
        found.append((f"{where}, {cost}", was, now, loud))
    return found


def _best(worth: np.ndarray) -> tuple[int, int]:
    """Top and left of the part with the greatest worth, which stands at the part's centre."""
    half = _PART // 2
    inside = worth[half : worth.shape[0] - half + 1, half : worth.shape[1] - half + 1]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(row), int(column)
