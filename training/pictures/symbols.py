"""Draws the hate symbols that the network learns, and what looks like them and is none.

Everything is geometry: no picture of hatred was collected. Each function returns a mask, shape
(``SIDE``, ``SIDE``), 0 to 1, of a shape that fills the square from -1 to 1. Three families are
learned: the hooked cross, the black sun ("Sonnenrad") and the paired sig runes. Look-alikes are
more numerous on purpose: the manji and svastika of temples and rituals, tilings, windmills,
wheels, signs and letters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["FAMILIES", "LOOKALIKES", "SIDE", "draw"]

Mask: TypeAlias = "NDArray[np.float32]"
Points: TypeAlias = "NDArray[np.float64]"
#: Pixels a side of a mask.
SIDE: Final = 128
_SHIFT: Final = 4


def _empty() -> NDArray[np.uint8]:
    return np.zeros((SIDE, SIDE), np.uint8)


def _pixels(points: Points) -> NDArray[np.int32]:
    """Return points of the square -1..1 in cv2's fixed-point pixels."""
    scaled = (np.asarray(points) + 1) / 2 * (SIDE - 1) * 2**_SHIFT
    return np.rint(scaled).astype(np.int32)


def _fill(page: NDArray[np.uint8], points: Points, shade: int = 255) -> None:
    cv2.fillPoly(page, [_pixels(points)], shade, cv2.LINE_AA, _SHIFT)


def _line(page: NDArray[np.uint8], points: Points, width: float, *, closed: bool = False) -> None:
    thick = max(1, round(width * SIDE / 2))
    cv2.polylines(page, [_pixels(points)], closed, 255, thick, cv2.LINE_AA, _SHIFT)


def _ring(
    page: NDArray[np.uint8], radius: float, width: float, middle: Sequence[float] = (0, 0)
) -> None:
    at = _pixels(np.array([middle]))[0]
    thick = -1 if width <= 0 else max(1, round(width * SIDE / 2))
    reach = round(radius * (SIDE - 1) / 2 * 2**_SHIFT)
    cv2.circle(page, (int(at[0]), int(at[1])), reach, 255, thick, cv2.LINE_AA, _SHIFT)


def _turned(points: Points, angle: float) -> Points:
    c, s = math.cos(angle), math.sin(angle)
    turned: Points = np.asarray(points) @ np.array([[c, s], [-s, c]])
    return turned


def _hooked(
    page: NDArray[np.uint8], angle: float, *, right: bool, width: float, hook: float, reach: float
) -> None:
    """Four arms with hooks; ``right``: clockwise as in U+5350, else as in U+534D."""
    half, side = width / 2, 1.0 if right else -1.0
    # The arm that points up (y runs down), then its hook along the upper edge.
    arm = np.array([(-half, half), (half, half), (half, -1), (-half, -1)])
    end = np.array(
        [
            (-half * side, -1),
            (hook * side, -1),
            (hook * side, -1 + width),
            (-half * side, -1 + width),
        ]
    )
    for quarter in range(4):
        for part in (arm, end):
            _fill(page, reach * _turned(part, angle + quarter * math.pi / 2))


def hooked_cross(dice: np.random.Generator) -> Mask:
    """The hooked cross: clockwise at any angle, or anticlockwise when it stands on its corner."""
    page = _empty()
    corner = dice.random() < 0.6
    right = not corner or dice.random() < 0.8
    if corner:
        angle = math.pi / 4 + dice.uniform(-0.2, 0.2)
    else:
        angle = dice.normal(0, 0.12) if dice.random() < 0.6 else dice.uniform(0, math.pi / 2)
    away = abs((angle + math.pi / 4) % (math.pi / 2) - math.pi / 4)
    reach = 1 / (math.cos(away) + math.sin(away))
    width = dice.uniform(0.26, 0.46)
    hook = 1.0 if dice.random() < 0.7 else dice.uniform(0.7, 1.0)
    _hooked(page, angle, right=right, width=width, hook=hook, reach=reach)
    if dice.random() < 0.15:  # as an outline
        page = cv2.subtract(page, cv2.erode(page, np.ones((7, 7), np.uint8)))
    return _done(page)


def black_sun(dice: np.random.Generator) -> Mask:
    """Twelve bent rays between an inner and an outer ring."""
    page = _empty()
    _ring(page, 0.93, dice.uniform(0.06, 0.14))
    inner = dice.uniform(0.18, 0.36)
    if dice.random() < 0.8:
        _ring(page, inner, 0 if dice.random() < 0.4 else dice.uniform(0.05, 0.11))
    width, bend = dice.uniform(0.05, 0.11), dice.uniform(0.5, 0.66)
    aside = (1 if dice.random() < 0.7 else -1) * dice.uniform(0.2, 0.32)
    start = dice.uniform(0, 2 * math.pi)
    for ray in range(12):
        at = start + ray * math.pi / 6
        radii = (inner, bend + 0.03, bend - 0.03, 0.92)
        turns = (at, at, at + aside, at + aside)
        points = np.array(
            [(r * math.cos(t), r * math.sin(t)) for r, t in zip(radii, turns, strict=True)]
        )
        _line(page, points, width)
    return _done(page)


def _sig(x: float, slant: float, lean: float, width: float) -> Points:
    """One sig rune as a band: down, back up, down."""
    middle = np.array([(x + slant, -0.95), (x - lean, 0.12), (x + lean, -0.12), (x - slant, 0.95)])
    shift = np.array([width / 2, 0.0])
    return np.concatenate([middle - shift, (middle + shift)[::-1]])


def sig_runes(dice: np.random.Generator) -> Mask:
    """Two of them side by side."""
    page = _empty()
    width, lean = dice.uniform(0.18, 0.34), dice.uniform(0.14, 0.26)
    slant = dice.uniform(-0.05, 0.22)
    apart = dice.uniform(0.36, 0.5)
    for x in (-apart, apart):
        _fill(page, _sig(x, slant, lean, width))
    lying = math.pi / 2 * float(dice.choice([0, 0, 0, 1, 2, 3]))  # pictures are turned, too
    return _tilt(_done(page), lying + dice.normal(0, 0.12))


FAMILIES: Final[dict[str, Callable[[np.random.Generator], Mask]]] = {
    "hooked cross": hooked_cross,
    "black sun": black_sun,
    "sig runes": sig_runes,
}


def manji(dice: np.random.Generator) -> Mask:
    """The manji of temples and maps: anticlockwise and upright."""
    page = _empty()
    angle = dice.normal(0, 0.06)
    _hooked(page, angle, right=False, width=dice.uniform(0.22, 0.46), hook=1.0, reach=0.94)
    return _done(page)


def svastika(dice: np.random.Generator) -> Mask:
    """The svastika of rituals: upright, with four dots, often with round ends."""
    page = _empty()
    right = dice.random() < 0.75
    reach = dice.uniform(0.72, 0.92)
    width = dice.uniform(0.12, 0.32)
    curved = dice.random() < 0.4
    hook = dice.uniform(0.7, 1.0)
    _hooked(page, dice.normal(0, 0.06), right=right, width=width, hook=hook, reach=reach)
    if curved:
        for quarter in range(4):
            tip = _turned(np.array([(1 if right else -1, -0.98)]), quarter * math.pi / 2)[0] * reach
            _ring(page, dice.uniform(0.05, 0.1), 0, tip)
    size, out = dice.uniform(0.07, 0.14), dice.uniform(0.42, 0.54) * reach
    for x in (-out, out):
        for y in (-out, out):
            _ring(page, size, 0, (x, y))
    return _done(page)


def cross(dice: np.random.Generator) -> Mask:
    """Plain crosses, of churches, first aid and maps; with serifs or a ring some of the time."""
    page = _empty()
    width, foot = dice.uniform(0.15, 0.6), dice.uniform(-0.4, 0.0)
    half = width / 2
    _fill(page, np.array([(-half, -1), (half, -1), (half, 1), (-half, 1)]))
    _fill(
        page,
        np.array(
            [(-0.9, foot - half), (0.9, foot - half), (0.9, foot + half), (-0.9, foot + half)]
        ),
    )
    if dice.random() < 0.3:
        _ring(page, dice.uniform(0.5, 0.8), width / 2, (0, foot))
    if dice.random() < 0.3:  # paws: every arm broader at its end
        for quarter in range(4):
            paw = np.array([(-half, 0), (half, 0), (2 * half, -0.95), (-2 * half, -0.95)])
            _fill(page, _turned(paw, quarter * math.pi / 2))
    return _tilt(_done(page), math.pi / 4 if dice.random() < 0.3 else dice.normal(0, 0.2))


def windmill(dice: np.random.Generator) -> Mask:
    """Three to six sails around a middle, full, curved or as triangles."""
    page = _empty()
    count, start = int(dice.integers(3, 7)), dice.uniform(0, 2 * math.pi)
    wide, kind = dice.uniform(0.2, 0.9), dice.integers(0, 3)
    for sail in range(count):
        at = start + 2 * math.pi * sail / count
        if kind == 0:
            points = np.array([(0, 0), (0.95, 0), (0.95 * math.cos(wide), 0.95 * math.sin(wide))])
        elif kind == 1:
            turn = np.linspace(0, wide * 1.6, 12)
            points = np.stack(
                [np.linspace(0, 0.95, 12) * np.cos(turn), np.linspace(0, 0.95, 12) * np.sin(turn)],
                1,
            )
            back = points[::-1] * 0.92 + np.array([0.0, 0.12])
            points = np.concatenate([points, back])
        else:
            points = np.array([(0.15, -0.08), (0.95, -0.1 - wide / 4), (0.95, 0.1), (0.15, 0.08)])
        _fill(page, _turned(points, at))
    return _done(page)


def tiling(dice: np.random.Generator) -> Mask:  # noqa: PLR0912  one branch a pattern
    """Greek keys, brick bonds, squares of two sizes, chessboards, hash signs and grids."""
    page = _empty()
    kind, step = dice.integers(0, 5), dice.uniform(0.25, 0.6)
    width = dice.uniform(0.05, 0.14)
    places = np.arange(-1.2, 1.2, step)
    if kind == 0:  # Greek key
        for y in np.arange(-1.0, 1.0, step * 1.2):
            for x in places:
                s = step * 0.8
                key = np.array(
                    [(0, s), (0, 0), (s, 0), (s, 0.7 * s), (0.4 * s, 0.7 * s), (0.4 * s, 0.35 * s)]
                )
                _line(page, key + np.array((x, y)), width)
    elif kind == 1:  # squares of two sizes: its lines form hooks
        big, small = step, step * dice.uniform(0.3, 0.6)
        for i in range(-6, 7):
            for j in range(-6, 7):
                at = np.array([i * big - j * small, i * small + j * big])
                _line(
                    page,
                    np.array([(0, 0), (big, 0), (big, big), (0, big)]) + at,
                    width,
                    closed=True,
                )
    elif kind == 2:  # hash signs, grids
        for at in places[:: 1 if dice.random() < 0.5 else 2]:
            _line(page, np.array([(at, -1), (at + dice.normal(0, 0.02), 1)]), width)
            _line(page, np.array([(-1, at), (1, at)]), width)
    elif kind == 3:
        for i, x in enumerate(places):
            for j, y in enumerate(places):
                if (i + j) % 2:
                    _fill(
                        page, np.array([(x, y), (x + step, y), (x + step, y + step), (x, y + step)])
                    )
    else:
        for j, y in enumerate(places):
            _line(page, np.array([(-1, y), (1, y)]), width)
            for x in places:
                seam = x + (step / 2 if j % 2 else 0)
                _line(page, np.array([(seam, y), (seam, y + step)]), width)
    return _tilt(_done(page), dice.choice([0, math.pi / 4, dice.normal(0, 0.3)]))


def wheel(dice: np.random.Generator) -> Mask:
    """Wheels, cogs, suns, clocks and flowers: straight rays, of any number."""
    page = _empty()
    count = int(dice.choice([4, 6, 8, 8, 10, 12, 12, 16, 24]))
    inner, outer = dice.uniform(0.0, 0.5), dice.uniform(0.7, 0.98)
    width = dice.uniform(0.03, 0.16)
    if dice.random() < 0.75:
        _ring(page, dice.uniform(0.65, 0.95), dice.uniform(0.04, 0.18))
    if dice.random() < 0.6:
        _ring(page, max(0.1, inner), 0 if dice.random() < 0.5 else width)
    taper = dice.random() < 0.4
    for ray in range(count):
        at = 2 * math.pi * ray / count
        if taper:
            ends = np.array([(inner, -width), (outer, 0), (inner, width)])
            _fill(page, _turned(ends, at))
        else:
            _line(page, _turned(np.array([(inner, 0), (outer, 0)]), at), width)
    return _done(page)


def bolts(dice: np.random.Generator) -> Mask:
    """One flash of lightning or three, zigzags, chevrons, and pairs that are no runes."""
    page = _empty()
    kind = dice.integers(0, 5)
    width, lean, slant = dice.uniform(0.16, 0.4), dice.uniform(0.1, 0.3), dice.uniform(-0.05, 0.3)
    if kind == 0:
        _fill(page, _sig(0, slant, lean, width))
    elif kind == 1:
        for x in (-0.66, 0.0, 0.66):
            _fill(page, _sig(x, slant / 2, lean / 2, width / 2))
    elif kind == 2:  # the usual pictogram, thick above and pointed below
        flash = np.array(
            [
                (0.1, -1),
                (-0.5, 0.15),
                (-0.05, 0.15),
                (-0.25, 1),
                (0.5, -0.25),
                (0.05, -0.25),
                (0.4, -1),
            ]
        )
        _fill(page, flash)
    elif kind == 3:  # slashes, bars, a pair of plain strokes
        for x in (-0.4, 0.4):
            _line(page, np.array([(x + slant, -0.9), (x - slant, 0.9)]), width)
    else:
        teeth = np.array([(-0.9 + 0.3 * k, -0.3 if k % 2 else 0.3) for k in range(7)])
        _line(page, teeth, width / 2)
    return _tilt(_done(page), dice.normal(0, 0.15))


def letters(dice: np.random.Generator) -> Mask:
    """Letters and figures in cv2's stroke fonts: SS, 44, ZZ, HH, FF and what chance gives."""
    page = _empty()
    known = (
        "SS",
        "44",
        "ZZ",
        "77",
        "HH",
        "##",
        "F",
        "LL",
        "NN",
        "55",
        "X",
        "+",
        "25",
        "SZ",
        "Y",
        "&",
    )
    text = (
        str(dice.choice(known))
        if dice.random() < 0.6
        else "".join(chr(int(code)) for code in dice.integers(48, 91, dice.integers(1, 4)))
    )
    font = int(
        dice.choice(
            [
                cv2.FONT_HERSHEY_SIMPLEX,
                cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_COMPLEX,
                cv2.FONT_HERSHEY_TRIPLEX,
                cv2.FONT_HERSHEY_SIMPLEX | cv2.FONT_ITALIC,
            ]
        )
    )
    thick = int(dice.integers(2, 16))
    (wide, high), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = (SIDE - 2 * thick) / max(wide, high)
    start = (int((SIDE - wide * scale) / 2), int((SIDE + high * scale) / 2))
    cv2.putText(page, text, start, font, scale, 255, thick, cv2.LINE_AA)
    return _tilt(_done(page), dice.normal(0, 0.15))


def spiral(dice: np.random.Generator) -> Mask:
    """Square spirals, arrows that go round, three legs, pinwheels of four L's, knots."""
    page = _empty()
    kind, width = dice.integers(0, 4), dice.uniform(0.1, 0.24)
    if kind == 0:
        points, tip, reach = [np.zeros(2)], np.zeros(2), 0.3
        for turn in range(int(dice.integers(5, 9))):
            step = (
                np.array([(1, 0), (0, 1), (-1, 0), (0, -1)][turn % 4])
                * reach
                * (1 + turn // 2)
                * 0.6
            )
            tip = tip + step
            points.append(tip)
        _line(page, np.array(points) / max(1, np.abs(points).max() / 0.9), width)
    elif kind == 1:  # arrows round, as on bins
        count = int(dice.choice([2, 3, 4]))
        for part in range(count):
            at = 2 * math.pi * part / count
            arc = np.linspace(at, at + 1.5 * math.pi / count, 12)
            _line(page, 0.7 * np.stack([np.cos(arc), np.sin(arc)], 1), width)
            head = np.array([(0.45, 0), (0.95, 0), (0.7, 0.35)])
            _fill(page, _turned(head, float(arc[-1])))
    elif kind == 2:  # three legs
        for leg in range(3):
            bent = np.array([(0, 0), (0, -0.5), (0.45, -0.85)])
            _line(page, _turned(bent, 2 * math.pi * leg / 3), width)
    else:  # four L's that do not meet
        gap = dice.uniform(0.12, 0.3)
        for quarter in range(4):
            bent = np.array([(gap, -0.9), (gap, -gap), (0.9, -gap)])
            _line(page, _turned(bent, quarter * math.pi / 2), width)
    return _tilt(_done(page), dice.choice([0, math.pi / 4, dice.normal(0, 0.3)]))


LOOKALIKES: Final[dict[str, Callable[[np.random.Generator], Mask]]] = {
    "manji": manji,
    "svastika": svastika,
    "cross": cross,
    "windmill": windmill,
    "tiling": tiling,
    "wheel": wheel,
    "bolts": bolts,
    "letters": letters,
    "spiral": spiral,
}


def draw(name: str, dice: np.random.Generator) -> Mask:
    """Return the mask of a symbol or a look-alike by name."""
    return (FAMILIES.get(name) or LOOKALIKES[name])(dice)


def _tilt(mask: Mask, angle: float) -> Mask:
    matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), math.degrees(angle), 1.0)
    turned: Mask = cv2.warpAffine(mask, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return turned


def _done(page: NDArray[np.uint8]) -> Mask:
    return (page / 255).astype(np.float32)
