"""The test card: a harmless drawing that every hash list of ours blocks.

It is to picture guards what the EICAR file is to virus scanners: with it a deployer can see that a
match is blocked, booked and neither marked nor signed, without holding anything that is really on
a list. ``python -m chopmark.safety.testcard FILE.png`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SIZE", "draw_test_card"]

SIZE = 512


def draw_test_card(size: int = SIZE) -> Image:
    """Return the card, RGB, ``size`` pixels square; the same pixels every time.

    Drawn with integer arithmetic alone, so no font and no renderer's version changes a pixel.
    """
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:size, 0:size].astype(np.int64) * SIZE // size
    pixels = np.empty((size, size, 3), dtype=np.uint8)
    bars = x * 8 // SIZE
    for channel, bit in enumerate((2, 1, 0)):
        pixels[..., channel] = 40 + 180 * ((bars >> bit) & 1)
    far = (x - 256) ** 2 + (y - 256) ** 2
    ring = (far < 200**2) & (far > 150**2)
    pixels[ring] = (250, 250, 250)
    pixels[far < 96**2] = (15, 15, 15)
    pixels[(abs(x - y) < 14) & (far < 200**2)] = (220, 30, 30)
    steps = (y > 440) & (x * 16 // SIZE % 2 == 0)
    pixels[steps] = (0, 0, 0)
    # A corner that is in no other corner: the card is not its own mirror picture.
    pixels[(x < 120) & (y < 60)] = (255, 200, 0)
    return Image.fromarray(pixels)


if __name__ == "__main__":  # pragma: no cover - one line of glue
    draw_test_card().save(Path(sys.argv[1]))
