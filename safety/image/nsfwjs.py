"""The second tier-0 picture model: nsfwjs MobileNetV2, through onnxruntime.

Five classes: drawing, hentai, neutral, porn, sexy. It knows drawings, which open_nsfw does not, and
it looks at the whole picture. ``scripts/convert_nsfwjs.py`` made the file from the npm package.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.image._model import open_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.kit.fingerprint import Picture

__all__ = ["NsfwJs", "resized"]

_SHA256: Final[str] = "cab3f70c94a56a48c591b526dbd3aa98940ac96843445ff3270009fb9847546f"
_SIDE: Final[int] = 224
#: Order of the outputs.
_DRAWING, _HENTAI, _NEUTRAL, _PORN, _SEXY = range(5)


class NsfwJs:
    """Scores a picture; the weights stand in ``safety/weights``."""

    def __init__(self) -> None:
        """Load the committed weights.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        file = Path(__file__).resolve().parents[1] / "weights" / "nsfwjs_mobilenet_v2.onnx"
        self._session = open_model(file, sha256=_SHA256, hint="reinstall chopmark")
        self.model = f"nsfwjs-mobilenet-v2@{_SHA256[:16]}"

    def classes(self, picture: Picture) -> NDArray[np.float32]:
        """Return the shares of drawing, hentai, neutral, porn and sexy; they add up to one.

        Args:
            picture: In RGB, or its pixels, shape (H, W, 3).
        """
        pixels = resized(np.asarray(picture), _SIDE).transpose(2, 0, 1)[None]
        result: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0][0]
        return result

    def score(self, picture: Picture) -> float:
        """Return how likely the picture shows nudity or sex, photographed or drawn, 0..1.

        "Sexy" (bare skin, underwear, swimwear) counts a quarter: alone it never reaches a block.
        """
        shares = self.classes(picture)
        return float(min(1.0, shares[_PORN] + shares[_HENTAI] + 0.25 * shares[_SEXY]))


def resized(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Scale (h, w, 3) bytes to (side, side, 3) in 0..1, exactly as the model's own program does.

    TensorFlow.js ``resizeBilinear`` with aligned corners and *without* smoothing: of a large
    picture it reads four pixels a point. Another resize would be another model.
    """
    height, width = pixels.shape[:2]
    top, down = _places(height, side)
    left, across = _places(width, side)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper, lower = pixels[top], pixels[below]
    a, b = upper[:, left].astype(np.float32), upper[:, right].astype(np.float32)
    c, d = lower[:, left].astype(np.float32), lower[:, right].astype(np.float32)
    first = a + (b - a) * across[None, :, None]
    second = c + (d - c) * across[None, :, None]
    mixed: NDArray[np.float32] = first + (second - first) * down[:, None, None]
    mixed *= np.float32(1 / 255)
    return mixed


@functools.lru_cache(maxsize=64)
def _places(size: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    exact = np.arange(side) * ((size - 1) / (side - 1))
    first = np.floor(exact).astype(np.int64)
    return first, (exact - first).astype(np.float32)
