"""A PNG in a third of the time that Pillow takes.

What costs is zlib's search for repetitions. Pillow lets it search at level 6 and tries five filters
for each row; OpenCV takes one filter and any of zlib's strategies. Which pay depends on the
picture, and a few of its rows tell (``dev/LOG.md`` has the figures, with the mark in the picture):

* Where neighbouring pixels differ at random (a photograph, a painting), there is nothing to find:
  runs only (``Z_RLE``) over the Paeth filter give files as small as level 6 does, within 4 %.
* Where they hardly differ (flat art, a screen), the watermark itself repeats, with the period of
  its tiles: a short search (level 3) finds it, in rows that were subtracted from each other. Files
  are a tenth to a fifth larger, the smallest of them by up to two fifths.

Sources: PNG (W3C 3rd ed.), section 9 for the filters, 11.3.2.3 for ``iCCP``; zlib's manual for
its strategies.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from chopmark.errors import UnsupportedImage
from chopmark.provenance._boxes import png_chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["png_bytes"]

#: Bits a byte of the difference between neighbouring rows, from which on it is noise.
_NOISE: Final = 2.5
_ROWS: Final = 32
# Where the header chunk ends: signature 8, length 4, type 4, content 13, checksum 4.
_AFTER_HEADER: Final = 33
_CHUNK: Final = 1 << 17


def png_bytes(image: Image.Image, profile: bytes | None = None) -> bytes:
    """Return the picture as PNG, every pixel as it is, with nothing but its colour profile.

    Args:
        image: Grey, RGB or RGBA, 8 bits a channel.
        profile: ICC.

    Raises:
        UnsupportedImage: Another mode, or no pixels.
    """
    import cv2
    import numpy as np

    if image.mode not in {"L", "RGB", "RGBA"} or not min(image.size):
        raise UnsupportedImage(f"{image.mode} of {image.size} cannot be written as PNG")
    pixels = np.asarray(image)
    if _entropy(pixels) >= _NOISE:
        level, strategy, kind = 1, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_PAETH
    else:
        level, strategy, kind = 3, cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_FILTER_UP
    if image.mode == "RGB":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    elif image.mode == "RGBA":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA)
    # The level first: setting it sets the strategy back.
    options = [
        cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_STRATEGY, strategy,
        cv2.IMWRITE_PNG_FILTER, kind, cv2.IMWRITE_PNG_ZLIBBUFFER_SIZE, _CHUNK,
    ]  # fmt: skip
    data = cv2.imencode(".png", pixels, options)[1].tobytes()
    if not profile:
        return data
    content = b"ICC Profile\0\0" + zlib.compress(profile)
    return data[:_AFTER_HEADER] + png_chunk(b"iCCP", content) + data[_AFTER_HEADER:]


def _entropy(pixels: NDArray[np.uint8]) -> float:
    """Return how many bits a byte the difference of some rows from those above them has, 0..8."""
    import numpy as np

    height = len(pixels)
    if height < 2:
        return 0.0
    rows = np.unique(np.linspace(1, height - 1, _ROWS).astype(int))
    steps = (pixels[rows] - pixels[rows - 1]).ravel()  # modulo 256, as the filter has it
    shares = np.bincount(steps, minlength=256) / steps.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
