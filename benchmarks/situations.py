"""Where marked pictures end up: inside a page, on a screen that somebody photographs.

Simulated, each always the same for the same picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.attacks import coded

if TYPE_CHECKING:
    from benchmarks.attacks import Attack

__all__ = ["SITUATIONS", "in_a_page", "photographed"]

_WIDTH, _HEIGHT = 1000, 1300


def in_a_page(share: float, *, seed: int = 0) -> Attack:
    """Within a page of text, with ``share`` of its area, at a place of chance; JPEG 80."""

    def attack(picture: Image.Image) -> Image.Image:
        draw = np.random.default_rng(seed + picture.width + 1000 * round(100 * share))
        page = Image.new("RGB", (_WIDTH, _HEIGHT), (250, 250, 248))
        pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
        for y in range(20, _HEIGHT - 20, 22):
            line = "".join(chr(97 + c) if c < 26 else " " for c in draw.integers(0, 31, 110))
            pen.text((30, y), line, (30, 30, 30), font)
        ratio = picture.width / picture.height
        height = min(math.sqrt(share * _WIDTH * _HEIGHT / ratio), _HEIGHT, _WIDTH / ratio)
        size = round(height * ratio), round(height)
        left = int(draw.integers(0, _WIDTH - size[0] + 1))
        top = int(draw.integers(0, _HEIGHT - size[1] + 1))
        page.paste(picture.resize(size, Image.Resampling.BICUBIC), (left, top))
        return coded("JPEG", 80)(page)

    return attack


def photographed(askew: float) -> Attack:
    """A photograph of a screen that shows the picture: what optics, grid and camera do to it.

    The screen has a grid of coloured stripes that beats with the camera's (moire), a tone curve of
    its own and light that falls off; the camera adds blur, noise of 3 grey levels and JPEG 85.

    Args:
        askew: How far each corner is off, at most, as a share of the sides.
    """
    return lambda picture: _photographed(picture, askew)


def _photographed(picture: Image.Image, askew: float) -> Image.Image:
    draw = np.random.default_rng(picture.width + picture.height)
    shown = np.asarray(picture, np.float32) / 255
    height, width = shown.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    # Stripes of 0.93 pixels of the camera: their beat has a period of some 13 pixels.
    beat = 2 * np.pi * (x * (1 / 0.93) + 0.02 * y)
    stripes = np.stack([np.cos(beat + phase) for phase in (0, 2.1, 4.2)], axis=-1)
    shown = shown**1.1 * (1 + 0.03 * stripes)
    shown *= 1 - 0.12 * (x / width)[..., None] + 0.03
    border = 0.06
    frame = np.full((round(height * (1 + 2 * border)), round(width * (1 + 2 * border)), 3), 0.12)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    off = border + draw.uniform(-askew, askew, (4, 2))
    moved = corners + (off * np.array([width, height])).astype(np.float32)
    seen = cv2.warpPerspective(
        shown,
        cv2.getPerspectiveTransform(corners, moved),
        frame.shape[1::-1],
        frame.astype(np.float32),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    seen = cv2.GaussianBlur(np.asarray(seen, np.float32), (0, 0), 0.8) * 255
    seen += draw.normal(0, 3, seen.shape)
    photograph = Image.fromarray(np.clip(np.rint(seen), 0, 255).astype(np.uint8))
    return coded("JPEG", 85)(photograph)


SITUATIONS: dict[str, Attack] = {
    "jpeg 40": coded("JPEG", 40),
    "webp 55": coded("WEBP", 55),
    "in a page, 40 %": in_a_page(0.40),
    "in a page, 25 %": in_a_page(0.25),
    "in a page, 15 %": in_a_page(0.15),
    "photograph of a screen, corners off 1 %": photographed(0.01),
    "photograph of a screen, corners off 4 %": photographed(0.04),
}
