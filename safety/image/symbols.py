"""Looks for three families of hate symbols, anywhere in a picture and in any colour.

Two small networks of our own. The first slides over the picture in five sizes
(:mod:`chopmark.safety.image.symbol_places`) and names up to four places, from a tenth of the longer
side up to all of it. The second reads each of them twelve times, a little larger and smaller and in
four quarter turns: a symbol stays one, what chance made of fur and leaves does not. Both were
trained on geometry that a script draws (``training/pictures``), with look-alikes in number. What
they know: the hooked cross, the black sun, paired sig runes. What they do not know: every other
symbol, number, flag, gesture and text; and what a symbol is there for, in a museum, a film or a
temple.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.image._model import open_model
from chopmark.safety.image.symbol_places import FAMILIES, Place, places, square
from chopmark.safety.image.tiles import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["AROUND", "FAMILIES", "Symbol", "SymbolFinder", "views"]

_SHA256: Final = "c9afe092eb30dbd20c010843a54692b65126894a2b61237efd37c32f96f8135d"
_CHECK_SHA256: Final = "accb9da7a7f43d44d3b3b04be383d40126f78fb5234cc4b9da1f7bff9b39d5c5"
#: Sides, over the side of the place, of the squares that the second network reads.
AROUND: Final = (0.85, 1.0, 1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """What looks most like a hate symbol.

    Attributes:
        family: One of :data:`FAMILIES`.
        score: 0..1; 0.5 is where one in a hundred pictures of a set apart is taken for a symbol.
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
            GuardFailed: A file is missing, another one, or does not load.
        """
        folder = Path(__file__).resolve().parents[1] / "weights"
        hint = "reinstall chopmark"
        self._first = open_model(folder / "symbols.onnx", sha256=_SHA256, hint=hint)
        self._second = open_model(folder / "symbol_check.onnx", sha256=_CHECK_SHA256, hint=hint)
        self.model = f"hate-symbols@{_SHA256[:8]}{_CHECK_SHA256[:8]}"

    def find(self, image: Image.Image) -> Symbol:
        """Return the place that looks most like a symbol, however little that is.

        Args:
            image: In RGB, at least 16 pixels a side.
        """
        best = Symbol(family=FAMILIES[0], score=0.0, box=(0, 0, *image.size))
        for tile in tiles(image.size):
            part = image.crop(tile)
            for place in places(self._first, part):
                family, score = self._again(part, place)
                if score > best.score:
                    best = Symbol(family=family, score=score, box=_box(place, tile))
        return best

    def _again(self, image: Image.Image, place: Place) -> tuple[str, float]:
        """Return family and score of a place, by the second network."""
        logits = self._second.run(["logits"], {"pixels": views(image, place)})[0]
        kinds = logits[1 : 1 + len(FAMILIES)]
        odds = float(np.logaddexp.reduce(kinds) - np.logaddexp(logits[0], logits[-1]))
        score = 1 / (1 + np.exp(-np.clip(odds, -60, 60)))
        return FAMILIES[int(kinds.argmax())], round(float(score), 6)


def views(image: Image.Image, place: Place) -> NDArray[np.float32]:
    """Return a place as the second network reads it, (12, 3, 63, 63) in 0..1."""
    squares = [square(image, place.middle, place.side * around) for around in AROUND]
    turned = [np.rot90(one, quarter) for one in squares for quarter in range(4)]
    pixels: NDArray[np.float32] = np.stack(turned).transpose(0, 3, 1, 2).astype(np.float32)
    pixels /= np.float32(255)
    return pixels


def _box(place: Place, tile: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top = (tile[at] + place.middle[at] - place.side / 2 for at in (0, 1))
    return (
        int(max(tile[0], left)),
        int(max(tile[1], top)),
        int(min(tile[2], left + place.side)),
        int(min(tile[3], top + place.side)),
    )
