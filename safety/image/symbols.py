"""Looks for three families of hate symbols, anywhere in a picture and in any colour.

A small network of our own reads squares of 63 pixels; it slides over the picture in six sizes, so
that a symbol is found from a tenth of the picture's longer side up to all of it. It was trained on
geometry that a script draws (``training/pictures``), with look-alikes in number. What it knows: the
hooked cross, the black sun, paired sig runes. What it does not know: every other symbol, number,
flag, gesture and text; and what a symbol is there for, in a museum, a film or a temple.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from chopmark.safety.image._model import open_model
from chopmark.safety.image.tiles import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FAMILIES", "Symbol", "SymbolFinder"]

#: What it tells apart besides "nothing" and the manji or svastika of temples and rituals.
FAMILIES: Final = ("hooked cross", "black sun", "sig runes")
_SHA256: Final = "b63d628f0c08f41a46fc598023f002cc2032b30704d80d7b126cc2b306ab6630"
_WINDOW: Final = 63
_STEP: Final = 8
#: Longer sides at which a picture is read. Each is 1.4 times the last, as the sizes within a
#: window that the network has learned reach from half to all of it.
_SIDES: Final = (64, 90, 128, 180, 256)
#: Pixels added on every side, of the colour at the edge: a symbol may fill the picture.
_MARGIN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """What looks most like a hate symbol.

    Attributes:
        family: One of :data:`FAMILIES`.
        score: 0..1, calibrated by nobody: what it means is in the model card.
        box: Left, top, right, bottom, in pixels of the picture.
    """

    family: str
    score: float
    box: tuple[int, int, int, int]


class SymbolFinder:
    """Finds the surest symbol of a picture. Safe for threads."""

    def __init__(self) -> None:
        """Load the committed weights.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        file = Path(__file__).resolve().parents[1] / "weights" / "symbols.onnx"
        self._session = open_model(file, sha256=_SHA256, hint="reinstall chopmark")
        self.model = f"hate-symbols@{_SHA256[:16]}"

    def find(self, image: Image.Image) -> Symbol:
        """Return the place that looks most like a symbol, however little that is.

        Args:
            image: In RGB, at least 16 pixels a side.
        """
        parts = tiles(image.size)
        if len(parts) == 1:
            return self._find(image)
        found = []
        for box in parts:
            one = self._find(image.crop(box))
            left, top, right, bottom = one.box
            x, y = box[:2]
            found.append(replace(one, box=(left + x, top + y, right + x, bottom + y)))
        return max(found, key=lambda one: one.score)

    def _find(self, image: Image.Image) -> Symbol:
        best = Symbol(family=FAMILIES[0], score=0.0, box=(0, 0, *image.size))
        whole, longer = image, max(image.size)
        for side in sorted(_SIDES, reverse=True):
            if side > 1.5 * longer and side != _SIDES[0]:
                continue  # it would only be blown up
            scale = side / longer
            size = max(8, round(image.width * scale)), max(8, round(image.height * scale))
            # Each size is made from the last, larger one: that saves most of the work.
            whole = whole.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
            found = self._read(np.asarray(whole))
            if found is None or found[1] <= best.score:
                continue
            family, score, row, column, left, top = found
            x, y = column * _STEP - left, row * _STEP - top
            box = tuple(
                int(np.clip(value / scale, 0, most))
                for value, most in zip(
                    (x, y, x + _WINDOW, y + _WINDOW), (*image.size, *image.size), strict=True
                )
            )
            best = Symbol(family=FAMILIES[family], score=round(score, 6), box=box)  # type: ignore[arg-type]
        return best

    def _read(self, pixels: NDArray[np.uint8]) -> tuple[int, float, int, int, int, int] | None:
        """Return family, score, row, column, and what was added on the left and above."""
        pads = [
            _MARGIN + max(0, _WINDOW - 2 * _MARGIN - side + 1) // 2 for side in pixels.shape[:2]
        ]
        top, left = pads
        padded = np.pad(pixels, ((top, top + 1), (left, left + 1), (0, 0)), mode="edge")
        planes = padded.transpose(2, 0, 1)[None].astype(np.float32) / 255
        logits = self._session.run(["logits"], {"pixels": planes})[0][0]
        shares = np.exp(logits - logits.max(axis=0, keepdims=True))
        shares /= shares.sum(axis=0, keepdims=True)
        hate = shares[1 : 1 + len(FAMILIES)].sum(axis=0)
        row, column = np.unravel_index(int(hate.argmax()), hate.shape)
        family = int(shares[1 : 1 + len(FAMILIES), row, column].argmax())
        return family, float(hate[row, column]), int(row), int(column), left, top
