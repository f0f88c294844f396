"""Places a symbol into a picture: recoloured, turned, on a badge or a flag, worn, compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import cv2
import numpy as np

from training.pictures.symbols import FAMILIES, LOOKALIKES, SIDE, draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CLASSES", "Pixels", "crop", "patch", "placed", "scene", "shape"]

Pixels: TypeAlias = "NDArray[np.uint8]"
#: What the network tells apart; "svastika" is the manji and the svastika of temples and rituals.
CLASSES: Final = ("nothing", *FAMILIES, "svastika")
_RED: Final = np.array((196.0, 20.0, 30.0))


def crop(ground: Pixels, side: int, dice: np.random.Generator) -> Pixels:
    """Return a square part of a picture, scaled to ``side`` pixels."""
    height, width = ground.shape[:2]
    size = int(min(height, width) * dice.uniform(0.25, 1.0))
    top, left = int(dice.integers(0, height - size + 1)), int(dice.integers(0, width - size + 1))
    part = ground[top : top + size, left : left + size]
    scaled: Pixels = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    return scaled


def _colours(
    name: str, dice: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the ink, and the plate behind it; no plate: straight onto the ground."""
    if dice.random() < 0.3:
        ink = np.full(3, dice.uniform(0, 40))
        return ink, np.full(3, dice.uniform(215, 255))
    if name in {"svastika", "manji"} and dice.random() < 0.5:  # gold, saffron, red, brown, green
        warm = ((200, 150, 40), (230, 120, 20), (190, 30, 30), (110, 60, 20), (30, 110, 50))
        ink = np.array(warm[int(dice.integers(0, 5))], float) + dice.normal(0, 15, 3)
        return ink, None if dice.random() < 0.4 else dice.uniform(150, 256, 3)
    while True:
        ink, plate = dice.uniform(0, 256, (2, 3))
        if np.abs(ink.mean() - plate.mean()) > 60:
            return ink, None if dice.random() < 0.35 else plate


def _placed(
    mask: NDArray[np.float32],
    side: int,
    size: float,
    middle: tuple[float, float],
    dice: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Warp a mask onto a square of ``side`` pixels, a little askew; return it and the corners."""
    half = size / 2
    square = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    askew = square * (1 + dice.uniform(-0.18, 0.0, 2) * (dice.random() < 0.6))
    askew = askew + dice.normal(0, 0.03 * size, (4, 2)) * (dice.random() < 0.6)
    corners = askew + np.array(middle)
    whole = np.array([(0, 0), (SIDE - 1, 0), (SIDE - 1, SIDE - 1), (0, SIDE - 1)], np.float32)
    blurred = cv2.GaussianBlur(mask, (0, 0), max(0.3, 0.4 * SIDE / max(size, 8.0)))
    matrix = cv2.getPerspectiveTransform(whole, corners.astype(np.float32))
    return cv2.warpPerspective(blurred, matrix, (side, side), flags=cv2.INTER_LINEAR), corners


def _painted(
    page: NDArray[np.float64],
    name: str,
    size: float,
    middle: tuple[float, float],
    dice: np.random.Generator,
    mask: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Return the page with a symbol or look-alike on it; ``mask``: drawn by somebody else."""
    side = page.shape[0]
    mask = draw(name, dice) if mask is None else mask
    ink, plate = _colours(name, dice)
    flag = name == "hooked cross" and dice.random() < 0.25
    if flag:
        ink, plate = np.full(3, dice.uniform(0, 40)), np.full(3, dice.uniform(215, 255))
        reach = size * dice.uniform(0.75, 1.3)
        low = [max(0, int(at - reach)) for at in middle]
        high = [int(at + reach) for at in middle]
        page[low[1] : high[1], low[0] : high[0]] = _RED + dice.normal(0, 12, 3)
    placed, _ = _placed(mask, side, size, middle, dice)
    if plate is not None:
        board = np.zeros((side, side), np.float32)
        kind = 0 if flag else dice.integers(0, 3)
        at = (round(middle[0] * 16), round(middle[1] * 16))
        if kind == 0:
            cv2.circle(
                board, at, round(size * dice.uniform(0.55, 0.75) * 16), 1.0, -1, cv2.LINE_AA, 4
            )
        elif kind == 1:
            reach = size * dice.uniform(0.52, 0.8)
            corner = [int(one - reach) for one in middle], [int(one + reach) for one in middle]
            cv2.rectangle(board, corner[0], corner[1], 1.0, -1)
        else:
            board[:] = 1.0
        page = page * (1 - board[..., None]) + plate * board[..., None]
    elif np.abs(page.mean(axis=(0, 1)).mean() - ink.mean()) < 60:
        # Ink that nobody would see on this ground.
        ink = np.clip(255 - page.mean(axis=(0, 1)), 0, 255)
    shade = (placed[..., None] * dice.uniform(0.75, 1.0)).astype(np.float64)
    if dice.random() < 0.25:  # worn: the ground shows through in spots
        spots = cv2.GaussianBlur(dice.random((side, side), np.float32), (0, 0), 1.5 + side / 60)
        shade = shade * (spots > np.quantile(spots, dice.uniform(0.02, 0.2)))[..., None]
    return page * (1 - shade) + ink * shade


def _finished(page: NDArray[np.float64], dice: np.random.Generator) -> Pixels:
    if dice.random() < 0.5:
        y, x = np.linspace(-1, 1, page.shape[0]), np.linspace(-1, 1, page.shape[1])
        light = 1 + dice.normal(0, 0.12) * y[:, None] + dice.normal(0, 0.12) * x[None]
        page = page * light[..., None]
    page = page * dice.uniform(0.7, 1.15) + dice.normal(0, 10)
    if dice.random() < 0.15:
        page = np.repeat(page.mean(axis=2, keepdims=True), 3, axis=2)
    if dice.random() < 0.4:
        page = page + dice.normal(0, dice.uniform(1, 12), page.shape)
    out: Pixels = np.clip(page, 0, 255).astype(np.uint8)
    if dice.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), dice.uniform(0.3, 0.9))
    if dice.random() < 0.4:
        quality = int(dice.integers(25, 95))
        data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return out


def shape(
    name: str, glyphs: Sequence[NDArray[np.float32]], dice: np.random.Generator
) -> NDArray[np.float32]:
    """Return a symbol or look-alike: by our script or by a font, three in ten as by hand.

    Args:
        name: Of :data:`FAMILIES` or :data:`LOOKALIKES`.
        glyphs: Manji of fonts, anticlockwise (:mod:`training.pictures.glyphs`); mirrored or on its
            corner one is a hooked cross.
        dice: Chance.
    """
    if name in {"hooked cross", "manji"} and dice.random() < 0.4:
        mask = glyphs[int(dice.integers(0, len(glyphs)))]
        if name == "hooked cross":
            mask = _cornered(mask, dice)
    else:
        mask = draw(name, dice)
    return _by_hand(mask, dice) if dice.random() < 0.3 else mask


def _by_hand(mask: NDArray[np.float32], dice: np.random.Generator) -> NDArray[np.float32]:
    """Bend a shape a little, so that its strokes are uneven as a hand or a brush makes them."""
    waves = [
        cv2.resize(dice.normal(0, 4.5, (5, 5)).astype(np.float32), (SIDE, SIDE)) for _ in range(2)
    ]
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bent: NDArray[np.float32] = cv2.remap(
        mask, columns + waves[0], rows + waves[1], cv2.INTER_LINEAR
    )
    return bent


def _cornered(mask: NDArray[np.float32], dice: np.random.Generator) -> NDArray[np.float32]:
    """Return a manji mirrored, or on its corner, or both."""
    corner = dice.random() < 0.5
    if not corner or dice.random() < 0.8:
        mask = np.ascontiguousarray(mask[:, ::-1])
    degrees, reach = (45.0, 0.72) if corner else (0.0, 0.95)
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees + dice.normal(0, 7), reach)
    turned: NDArray[np.float32] = cv2.warpAffine(mask, matrix, (SIDE, SIDE))
    return turned


def patch(
    kind: int, side: int, grounds: Sequence[Pixels], dice: np.random.Generator
) -> tuple[Pixels, int]:
    """Return what the network learns from: a square of ``side`` pixels and its class.

    Args:
        kind: 0: a part of an ordinary picture; 1 a symbol; 2 a look-alike; 3 half of a symbol or
            one that is too small or too far off to count, which is "nothing".
        side: Pixels.
        grounds: Ordinary pictures, (H, W, 3).
        dice: Chance.
    """
    ground = grounds[int(dice.integers(0, len(grounds)))]
    page = crop(ground, side, dice).astype(np.float64)
    if dice.random() < 0.25:
        page[:] = dice.uniform(0, 256, 3)
    if kind == 0:
        return _finished(page, dice), 0
    names = [*FAMILIES] if kind in {1, 3} else [*LOOKALIKES]
    name = names[int(dice.integers(0, len(names)))]
    if kind == 2 and dice.random() < 0.3:
        name = "manji" if dice.random() < 0.5 else "svastika"
    middle, label = side / 2 + dice.uniform(-5, 5, 2), 0
    size = side * dice.uniform(0.55, 0.97)
    if kind == 3:
        away = side * dice.uniform(0.42, 0.7)
        turn = dice.uniform(0, 2 * np.pi)
        middle = side / 2 + away * np.array([np.cos(turn), np.sin(turn)])
    elif name in FAMILIES:
        label = CLASSES.index(name)
    elif name in {"manji", "svastika"}:
        label = CLASSES.index("svastika")
    page = _painted(page, name, size, (float(middle[0]), float(middle[1])), dice)
    return _finished(page, dice), label


def scene(
    name: str,
    ground: Pixels,
    share: float,
    dice: np.random.Generator,
    mask: NDArray[np.float32] | None = None,
) -> Pixels:
    """Return a square picture with one symbol or look-alike; arguments as for `placed`."""
    return placed(name, ground, share, dice, mask)[0]


def placed(
    name: str,
    ground: Pixels,
    share: float,
    dice: np.random.Generator,
    mask: NDArray[np.float32] | None = None,
) -> tuple[Pixels, tuple[float, float]]:
    """Return a square picture with one symbol or look-alike, and where its middle is.

    Args:
        name: Of :data:`FAMILIES` or :data:`LOOKALIKES`; it also chooses the usual colours.
        ground: The picture, (H, W, 3).
        share: Size of the symbol over the short side.
        dice: Chance.
        mask: The shape, where another than ours is wanted.
    """
    height, width = ground.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    page = ground[top : top + side, left : left + side].astype(np.float64)
    size = share * side
    room = (side - size) / 2
    x, y = side / 2 + dice.uniform(-room, room, 2)
    middle = float(x), float(y)
    return _finished(_painted(page, name, size, middle, dice, mask), dice), middle
