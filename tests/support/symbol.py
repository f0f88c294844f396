"""A hate symbol drawn by a test, for guards that must find it and pages that must point at it."""

from __future__ import annotations

from PIL import Image, ImageDraw

__all__ = ["hooked_cross"]


def hooked_cross(*, corner: bool, right: bool = True, size: int = 150) -> Image.Image:
    """Return a black hooked cross on a white disc, drawn with bars; nothing of the training's.

    320 x 320 pixels; ``size`` is the sign's side before it is turned.
    """
    page = Image.new("RGB", (320, 320), (170, 30, 30))
    pen = ImageDraw.Draw(page)
    pen.ellipse((50, 50, 270, 270), fill="white")
    sign = Image.new("L", (size, size))
    pen = ImageDraw.Draw(sign)
    unit = size / 5
    cells = {(2, at) for at in range(5)} | {(at, 2) for at in range(5)}
    hooks = {(3, 0), (4, 0), (4, 3), (4, 4), (1, 4), (0, 4), (0, 1), (0, 0)}
    for x, y in cells | hooks:
        pen.rectangle((x * unit, y * unit, (x + 1) * unit, (y + 1) * unit), fill=255)
    if not right:
        sign = sign.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if corner:
        sign = sign.rotate(45, expand=True, resample=Image.Resampling.BICUBIC)
    at = (160 - sign.width // 2, 160 - sign.height // 2)
    page.paste((10, 10, 10), (*at, at[0] + sign.width, at[1] + sign.height), sign)
    return page
