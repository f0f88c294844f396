"""Sizes that nobody named to the pixel: of given proportions, and within the bounds."""

from __future__ import annotations

import math

from chopmark.kit import limits

__all__ = ["size_for"]


def size_for(wide: float, high: float, *, pixels: int, step: int = 16) -> tuple[int, int]:
    """Return width and height of about these proportions and this many pixels.

    What is over a bound becomes the nearest that is not: fewer pixels where a side would be over
    ``limits.SIDE``, other proportions beyond ``limits.RATIO``. The result is never one that
    ``check_request`` refuses, unless the model gives out less.

    >>> size_for(16, 9, pixels=1024**2), size_for(16, 9, pixels=4096**2)
    ((1360, 768), (4096, 2304))

    Args:
        wide: Width of the proportions, over 0.
        high: Height of them, over 0.
        pixels: How many are wanted in all.
        step: Both sides are multiples of it, 1 to 64.
    """
    least = math.ceil(limits.SIDE.least / step) * step
    most = limits.SIDE.most // step * step
    ratio = min(max(wide / high, 1 / limits.RATIO.most), float(limits.RATIO.most))
    sides = [math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)]
    smaller = min(1.0, most / max(sides))
    larger = max(1.0, least / (min(sides) * smaller))
    width, height = (
        min(most, max(least, round(side * smaller * larger / step) * step)) for side in sides
    )
    # Rounding may have made it longer than is taken.
    shortest = math.ceil(max(width, height) / limits.RATIO.most / step) * step
    return max(width, shortest), max(height, shortest)
