"""Pictures for a thing to stand on, drawn by code: sky, sea, meadow, snow, city and the like.

Each is one picture, the same every time: a sentence is to mean one picture. What stands on them is
drawn as on a plain ground, so they are calm where things stand.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROUNDS", "SIDE", "Ground", "draw_ground"]

#: Side of a ground in pixels; drawn at four times that.
SIDE: Final = 256
_FINE: Final = 4
Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One picture to stand on.

    Attributes:
        name: unique, a file name.
        alone: what asks for it with nothing on it.
        under: what follows a thing that stands on it.
        paint: draws it on a square of the given side.
    """

    name: str
    alone: tuple[str, ...]
    under: tuple[str, ...]
    paint: Callable[[ImageDraw.ImageDraw, int], None]


def draw_ground(ground: Ground) -> Image.Image:
    """Return a ground: RGB, ``SIDE`` pixels square."""
    side = SIDE * _FINE
    picture = Image.new("RGB", (side, side))
    ground.paint(ImageDraw.Draw(picture), side)
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)


def _fade(
    draw: ImageDraw.ImageDraw, side: int, top: Colour, bottom: Colour, start: float, end: float
) -> None:
    """Fill a band, of shares of the height, from one colour to the other."""
    first, last = round(start * side), round(end * side)
    for y in range(first, last):
        part = (y - first) / max(1, last - first - 1)
        mixed = (round(a + part * (b - a)) for a, b in zip(top, bottom, strict=True))
        draw.line((0, y, side, y), fill=tuple(mixed))


def _disc(
    draw: ImageDraw.ImageDraw, side: int, x: float, y: float, radius: float, colour: Colour
) -> None:
    box = ((x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side)
    draw.ellipse(box, fill=colour)


def _cloud(draw: ImageDraw.ImageDraw, side: int, x: float, y: float, size: float) -> None:
    for dx, dy, radius in ((-0.6, 0.1, 0.4), (0, -0.1, 0.55), (0.6, 0.1, 0.4), (0.15, 0.2, 0.42)):
        _disc(draw, side, x + dx * size, y + dy * size, radius * size, (255, 255, 255))


def _hills(
    draw: ImageDraw.ImageDraw, side: int, tops: list[tuple[float, float]], colour: Colour
) -> None:
    """Fill what is below a line of corners, in shares of the side."""
    corners = [(x * side, y * side) for x, y in tops]
    draw.polygon([(0, side), *corners, (side, side)], fill=colour)


def _sky(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (84, 160, 232), (196, 228, 250), 0, 1)
    for x, y, size in ((0.16, 0.14, 0.13), (0.82, 0.2, 0.15), (0.2, 0.88, 0.16), (0.86, 0.82, 0.1)):
        _cloud(draw, side, x, y, size)


def _sea(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (140, 200, 244), (214, 238, 252), 0, 0.5)
    _fade(draw, side, (44, 132, 200), (16, 84, 156), 0.5, 1)
    for row, y in enumerate((0.6, 0.72, 0.84, 0.96)):
        for x in range(-1, 7):
            left = (x / 6 + (row % 2) / 12) * side
            box = (left, (y - 0.02) * side, left + side / 8, (y + 0.02) * side)
            draw.arc(box, 200, 340, fill=(140, 200, 240), width=side // 90)


def _sunset(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (92, 64, 140), (252, 160, 84), 0, 0.55)
    _disc(draw, side, 0.5, 0.52, 0.17, (255, 220, 110))
    _fade(draw, side, (220, 110, 84), (60, 44, 108), 0.55, 1)
    for y, half in ((0.6, 0.16), (0.68, 0.11), (0.76, 0.07), (0.84, 0.04)):
        box = ((0.5 - half) * side, y * side, (0.5 + half) * side, (y + 0.03) * side)
        draw.rectangle(box, fill=(255, 206, 120))


def _meadow(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (150, 208, 248), (220, 240, 252), 0, 0.6)
    _cloud(draw, side, 0.2, 0.16, 0.12)
    _hills(draw, side, [(0, 0.6), (0.3, 0.54), (0.65, 0.6), (1, 0.55)], (120, 196, 92))
    _hills(draw, side, [(0, 0.72), (0.4, 0.68), (1, 0.74)], (92, 172, 72))


def _hill(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (150, 208, 248), (224, 242, 252), 0, 1)
    draw.ellipse((-0.25 * side, 0.66 * side, 1.25 * side, 1.7 * side), fill=(98, 178, 78))


def _snow(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (150, 178, 212), (210, 224, 240), 0, 0.72)
    _hills(draw, side, [(0, 0.66), (0.35, 0.6), (0.7, 0.68), (1, 0.62)], (244, 248, 255))
    dice = random.Random(3)
    for _ in range(70):
        _disc(draw, side, dice.random(), dice.random() * 0.6, 0.008, (255, 255, 255))


def _city(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (170, 204, 236), (226, 236, 246), 0, 0.85)
    dice = random.Random(5)
    for number in range(8):
        left, width = number / 8, 0.115
        height = dice.uniform(0.35, 0.72)
        shade = dice.choice(((112, 124, 148), (136, 148, 170), (96, 108, 132)))
        draw.rectangle(
            (left * side, (0.85 - height) * side, (left + width) * side, 0.85 * side), fill=shade
        )
        for row in range(int(height / 0.09)):
            for column in range(2):
                x, y = left + 0.022 + 0.045 * column, 0.85 - height + 0.03 + 0.09 * row
                box = (x * side, y * side, (x + 0.025) * side, (y + 0.04) * side)
                draw.rectangle(box, fill=(250, 232, 160))
    draw.rectangle((0, 0.85 * side, side, side), fill=(92, 94, 102))


def _night(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (10, 14, 48), (44, 52, 108), 0, 1)
    dice = random.Random(8)
    for _ in range(60):
        size = dice.choice((0.005, 0.007, 0.01))
        _disc(draw, side, dice.random(), dice.random(), size, (255, 248, 220))


def _beach(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (130, 204, 248), (210, 238, 252), 0, 0.42)
    _fade(draw, side, (40, 150, 200), (110, 206, 220), 0.42, 0.7)
    _hills(draw, side, [(0, 0.62), (0.3, 0.66), (0.7, 0.62), (1, 0.66)], (240, 220, 166))


def _desert(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (248, 206, 130), (252, 236, 196), 0, 0.66)
    _hills(draw, side, [(0, 0.62), (0.35, 0.54), (0.6, 0.62), (1, 0.56)], (226, 174, 100))
    _hills(draw, side, [(0, 0.72), (0.5, 0.78), (1, 0.7)], (208, 152, 82))


def _forest(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (190, 222, 206), (220, 238, 220), 0, 0.75)
    for number, x in enumerate((0.02, 0.2, 0.38, 0.56, 0.74, 0.92)):
        top = (0.12, 0.2, 0.06)[number % 3]
        for y in (top, top + 0.16, top + 0.32):
            corners = ((x, y), (x - 0.12, y + 0.28), (x + 0.12, y + 0.28))
            draw.polygon([(a * side, b * side) for a, b in corners], fill=(40, 118, 76))
    draw.rectangle((0, 0.72 * side, side, side), fill=(98, 146, 76))


def _mountains(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (136, 190, 238), (216, 234, 248), 0, 0.8)
    for x, top, wide in ((0.2, 0.3, 0.34), (0.75, 0.24, 0.4), (0.48, 0.42, 0.3)):
        corners = ((x, top), (x - wide, 0.8), (x + wide, 0.8))
        draw.polygon([(a * side, b * side) for a, b in corners], fill=(116, 124, 142))
        cap = ((x, top), (x - wide * 0.26, top + 0.13), (x + wide * 0.26, top + 0.13))
        draw.polygon([(a * side, b * side) for a, b in cap], fill=(250, 252, 255))
    draw.rectangle((0, 0.78 * side, side, side), fill=(110, 170, 92))


def _room(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((0, 0, side, 0.72 * side), fill=(238, 222, 196))
    draw.rectangle((0, 0.72 * side, side, side), fill=(168, 116, 74))
    draw.rectangle((0, 0.7 * side, side, 0.73 * side), fill=(250, 246, 236))


def _table(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((0, 0, side, 0.66 * side), fill=(206, 222, 226))
    draw.rectangle((0, 0.66 * side, side, side), fill=(176, 120, 70))
    draw.rectangle((0, 0.66 * side, side, 0.69 * side), fill=(206, 150, 96))


def _water(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (70, 184, 220), (10, 62, 128), 0, 1)
    _hills(draw, side, [(0, 0.9), (0.4, 0.86), (1, 0.92)], (214, 190, 130))
    for x, y, size in ((0.1, 0.3, 0.02), (0.14, 0.2, 0.014), (0.9, 0.4, 0.02), (0.86, 0.28, 0.014)):
        _disc(draw, side, x, y, size, (190, 232, 246))


def _space(draw: ImageDraw.ImageDraw, side: int) -> None:
    _fade(draw, side, (12, 8, 30), (36, 18, 70), 0, 1)
    dice = random.Random(2)
    for _ in range(40):
        _disc(draw, side, dice.random(), dice.random(), 0.006, (255, 255, 255))
    _disc(draw, side, 0.86, 0.16, 0.09, (226, 150, 96))


GROUNDS: Final = (
    Ground(name="sky", alone=("the sky", "a blue sky", "clouds in the sky"),
           under=("in the sky", "in a blue sky", "among the clouds"), paint=_sky),
    Ground(name="sea", alone=("the sea", "the ocean", "a calm sea"),
           under=("on the sea", "on the ocean", "on the water", "on a lake", "by the sea"),
           paint=_sea),
    Ground(name="sunset", alone=("a sunset over the sea", "the sun sets"),
           under=("at sunset", "in front of a sunset", "in the evening"), paint=_sunset),
    Ground(name="meadow", alone=("a meadow", "green grass", "a green field", "a garden lawn"),
           under=("on the grass", "in a meadow", "in a field", "in the garden", "in a park"),
           paint=_meadow),
    Ground(name="hill", alone=("a hill", "a green hill"),
           under=("on a hill", "on top of a hill", "on a green hill"), paint=_hill),
    Ground(name="snow", alone=("snow", "a snowy field", "a winter landscape"),
           under=("in the snow", "in winter", "on the snow"), paint=_snow),
    Ground(name="city", alone=("a street in the city", "houses and windows", "a city street"),
           under=("in the city", "in the street", "in town"), paint=_city),
    Ground(name="night", alone=("a night sky", "stars at night", "a sky full of stars"),
           under=("at night", "under the stars", "in the night sky"), paint=_night),
    Ground(name="beach", alone=("a sandy beach", "the seaside"),
           under=("on the beach", "on the sand", "at the seaside"), paint=_beach),
    Ground(name="desert", alone=("sand dunes", "a hot desert"),
           under=("in the desert", "on sand dunes"), paint=_desert),
    Ground(name="forest", alone=("a forest", "the woods", "many trees"),
           under=("in the forest", "in the woods", "between trees"), paint=_forest),
    Ground(name="mountains", alone=("snowy mountains", "mountains under a blue sky", "the alps"),
           under=("in the mountains", "in front of mountains"), paint=_mountains),
    Ground(name="room", alone=("an empty room", "a wall and a floor"),
           under=("in a room", "at home", "on the floor"), paint=_room),
    Ground(name="table", alone=("an empty table",),
           under=("on a table", "on a desk", "on the table"), paint=_table),
    Ground(name="water", alone=("under the sea", "the bottom of the sea"),
           under=("under water", "in the water", "at the bottom of the sea"), paint=_water),
    Ground(name="space", alone=("outer space", "space with a planet"),
           under=("in space", "in outer space", "among the planets"), paint=_space),
)  # fmt: skip
