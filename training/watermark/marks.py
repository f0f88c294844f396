"""Marked frames of pictures that the benchmark does not measure with, each under a key of its own.

Clip art that is not in the benchmark (Debian's ``openclipart-png``, public domain), drawn shapes,
pictures of the embedded model from sentences of its own training (never the benchmark's), and the
wallpapers, paintings and screenshots of the tuning set.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from benchmarks import watermark_sets
from benchmarks.pictures import FOLDER, TUNING, drawn, load, pictures
from chopmark.provenance.watermark._pixels import Plane, luma_of, opened
from chopmark.provenance.watermark.lattice._code import PAYLOAD_BITS, encode
from chopmark.provenance.watermark.lattice._embed import _pattern, _shaped
from chopmark.provenance.watermark.lattice._frame import canonical
from chopmark.provenance.watermark.lattice._layout import CODEBOOK, PERIOD, layout_of
from training.generation.captions import describe, sample_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["SHARES", "Marked", "kinds", "struck"]

#: How often a piece is cut from each kind, and how many pictures of it there are.
SHARES: Final = {"clip art": 0.42, "shapes": 0.10, "own": 0.24, "natural": 0.24}
_COUNTS: Final = {"clip art": 220, "shapes": 70, "own": 88, "natural": 70}
_SIDE: Final = 512
_FIRST_SHAPE: Final = 1000
_FIRST_SEED: Final = 100_000
_ORDER_SEED: Final = 77


@dataclass(frozen=True, kw_only=True)
class Marked:
    """One marked frame.

    Attributes:
        luma: Grey levels, uint8, shape (H, W).
        tile: One period of the unshaped mark as it lies from the first pixel, shape (128, 128).
    """

    luma: NDArray[np.uint8]
    tile: Plane


def kinds() -> dict[str, Iterator[Image.Image]]:
    """The pictures of each kind, RGB."""
    return {
        "clip art": _clip_art(_COUNTS["clip art"]),
        "shapes": _shapes(_COUNTS["shapes"]),
        "own": _own(_COUNTS["own"]),
        "natural": (load(named) for named in pictures(TUNING)[: _COUNTS["natural"]]),
    }


def struck(some: Iterable[Image.Image], seed: int) -> Iterator[Marked]:
    """Mark each of these pictures with a payload of chance under a key of chance."""
    draw = np.random.default_rng(seed)
    for picture in some:
        frame = canonical(luma_of(opened(picture)), 0)
        layout = layout_of(draw.bytes(32))
        entry = int(draw.integers(CODEBOOK))
        bits = draw.integers(0, 2, PAYLOAD_BITS).astype(np.uint8)
        values = layout.payload_values(entry, encode(bits))
        whole = frame + _shaped(frame, layout, values, entry)
        yield Marked(
            luma=np.clip(np.rint(whole), 0, 255).astype(np.uint8),
            tile=_pattern(frame.shape, layout, values, entry)[:PERIOD, :PERIOD].copy(),
        )


def _clip_art(count: int) -> Iterator[Image.Image]:
    tests = set(watermark_sets._clips())
    files = sorted(
        file for file in (FOLDER / "openclipart-png").rglob("*.png") if file not in tests
    )
    random.Random(_ORDER_SEED).shuffle(files)
    number = 0
    for file in files:
        try:
            with Image.open(file) as found:
                if min(found.size) < 60 or not 200 <= max(found.size) <= 2500:
                    continue
                picture = found.convert("RGBA")
        except OSError:  # a few of the package are broken
            continue
        dice = random.Random(number)
        side = dice.choice([460, 460, 500, 380, 300])
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        plain = tuple(dice.randrange(40, 256) for _ in range(3))
        page = Image.new("RGBA", (_SIDE, _SIDE), "white" if dice.random() < 0.7 else plain)
        page.alpha_composite(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
        yield page.convert("RGB")
        number += 1
        if number == count:
            return


def _shapes(count: int) -> Iterator[Image.Image]:
    for seed in range(_FIRST_SHAPE, _FIRST_SHAPE + count):
        yield drawn(seed if seed % 8 else 3 * seed)  # one in eight is a gradient for certain


def _own(count: int) -> Iterator[Image.Image]:
    from benchmarks.regeneration import generated  # loads torch

    dice = random.Random(_FIRST_SEED)
    for number in range(count):
        yield generated(describe(sample_scene(dice), dice), seed=_FIRST_SEED + number)
