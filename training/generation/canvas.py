"""Composes scenes from sprites, many at once and on any device.

A scene enters as five numbers (:func:`row_of`), so that a hundred thousand of them are a small
array and a GPU draws thousands in a second.
"""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.generation.captions import CANVAS, CELL, CELLS, LARGE, SMALL, Layout, Scene
from training.generation.data import SPRITE
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, PAINTS, STYLE_SETS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NUMBER: Final = {concept.name: number for number, concept in enumerate(CONCEPTS)}
_STYLES: Final = tuple(STYLE_SETS)
_GROUNDS: Final = tuple(BACKGROUNDS)
_PAINTS: Final = (None, *PAINTS)
_LAYOUTS: Final[tuple[Layout, ...]] = ("large", *CELLS, "front", "empty")
#: What stands where: which of a row's two sprites, the origin of its cell, and if it is large.
_PLACES: Final[dict[Layout, tuple[tuple[int, int, int, bool], ...]]] = {
    "large": ((0, 0, 0, True),),
    **{
        layout: tuple(
            (place % 2 if layout in {"pair", "above"} else 0, left, top, False)
            for place, (left, top) in enumerate(cells)
        )
        for layout, cells in CELLS.items()
    },
    # The second thing is large and behind the first.
    "front": ((1, 0, 0, True), (0, (CANVAS - CELL) // 2, CANVAS - CELL, False)),
    "empty": (),
}
#: Folders of a zip file of sprites that hold more than the vocabulary.
MORE: Final = "more/"
GROUND: Final = "ground/"
#: Luma of ITU-R BT.601.
_LUMA: Final = (0.299, 0.587, 0.114)


def row_of(scene: Scene) -> tuple[int, int, int, int, int]:
    """Return (first sprite, second sprite, layout, ground, paint) of a scene."""
    style = _STYLES.index(scene.style)
    sprites = [_NUMBER[name] * len(_STYLES) + style for name in scene.concepts]
    return (
        sprites[0],
        sprites[-1],
        _LAYOUTS.index(scene.layout),
        _GROUNDS.index(scene.background),
        _PAINTS.index(scene.paint),
    )


def number_of(layout: Layout) -> int:
    """Return the number of a layout in a row."""
    return _LAYOUTS.index(layout)


def rows_of(scenes: Sequence[Scene]) -> Tensor:
    """Return the rows of many scenes, shape (n, 5), int64."""
    return torch.tensor([row_of(scene) for scene in scenes], dtype=torch.long)


class Canvas:
    """Draws scenes.

    Args:
        sprites: (concepts * styles and more, 4, ``SPRITE``, ``SPRITE``) uint8, RGBA, colour times
            alpha.
        scenery: (n, 3, 2 * ``CANVAS``, 2 * ``CANVAS``) uint8, further grounds, numbered after the
            colours.
        device: where to draw.
    """

    def __init__(
        self, sprites: Tensor, scenery: Tensor | None = None, *, device: str = "cpu"
    ) -> None:
        self.device = device
        if scenery is None:
            scenery = torch.zeros(0, 3, 2 * CANVAS, 2 * CANVAS, dtype=torch.uint8)
        self._scenery = {2: scenery.to(device)}
        self._scenery[1] = _halve(self._scenery[2]) if len(scenery) else self._scenery[2]
        self._sprites = {SPRITE: sprites.to(device)}
        for side in (SPRITE // 2, SPRITE // 4):
            self._sprites[side] = _halve(self._sprites[side * 2])
        self._grounds = _colours(list(BACKGROUNDS.values()), device)
        self._paints = _colours([(0, 0, 0), *PAINTS.values()], device)
        self._gamma, self._natural = self._measure()

    @classmethod
    def load(cls, file: Path, *, device: str = "cpu") -> Canvas:
        """Open the zip file that :func:`.data.render_all` wrote."""
        names = [f"{style}/{concept.name}.webp" for concept in CONCEPTS for style in STYLE_SETS]
        with zipfile.ZipFile(file) as archive:
            # In the order in which they were written: a scene names them by their number.
            names += [name for name in archive.namelist() if name.startswith(MORE)]
            files = [archive.read(name) for name in names]
            grounds = [archive.read(n) for n in archive.namelist() if n.startswith(GROUND)]
        with ThreadPoolExecutor() as pool:
            arrays = list(pool.map(_premultiplied, files))
            pictures = [array[..., :3] for array in pool.map(_premultiplied, grounds)]
        scenery = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) if pictures else None
        return cls(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2), scenery, device=device)

    def compose(self, rows: Tensor, *, scale: int = 2) -> Tensor:
        """Draw scenes.

        Args:
            rows: (n, 5) as :func:`rows_of` gives them.
            scale: 1 draws on ``CANVAS`` pixels, 2 on twice as many.

        Returns:
            (n, 3, side, side), float32, -1 to 1.
        """
        rows = rows.to(self.device)
        pictures = self._under(rows[:, 3], scale)
        for number, layout in enumerate(_LAYOUTS):
            chosen = (rows[:, 2] == number).nonzero()[:, 0]
            if len(chosen) == 0:
                continue
            for which, left, top, large in _PLACES[layout]:
                margin = (CANVAS - LARGE if large else CELL - SMALL) // 2
                width = (LARGE if large else SMALL) * scale
                sprite = self._painted(rows[chosen, which], rows[chosen, 4], width)
                x, y = (left + margin) * scale, (top + margin) * scale
                window = pictures[chosen, :, y : y + width, x : x + width]
                window = window * (1.0 - sprite[:, 3:]) + sprite[:, :3]
                pictures[chosen, :, y : y + width, x : x + width] = window
        return pictures.mul_(2.0).sub_(1.0)

    def _under(self, numbers: Tensor, scale: int) -> Tensor:
        """Return grounds, (n, 3, side, side), in 0 to 1: of one colour, or a picture."""
        side, colours = CANVAS * scale, len(self._grounds)
        plain = self._grounds[numbers.clamp(max=colours - 1)][:, :, None, None]
        pictures = plain.expand(-1, -1, side, side).clone()
        drawn = (numbers >= colours).nonzero()[:, 0]
        if len(drawn):
            pictures[drawn] = self._scenery[scale][numbers[drawn] - colours].float().div(255.0)
        return pictures

    def _painted(self, numbers: Tensor, paints: Tensor, side: int) -> Tensor:
        """Return sprites, (n, 4, side, side), in 0 to 1, painted where asked."""
        sprites = self._sprites[side][numbers].float().div_(255.0)
        # What has the asked colour already keeps its own shades ("a red apple").
        wanted = ((paints > 0) & (paints != self._natural[numbers])).nonzero()[:, 0]
        if len(wanted):
            sprites[wanted] = self._paint(sprites[wanted], numbers[wanted], paints[wanted])
        return sprites

    def _paint(self, sprites: Tensor, numbers: Tensor, paints: Tensor) -> Tensor:
        """Exchange the colours for shades of one: black to the paint to white, by luma."""
        alpha = sprites[:, 3:]
        luma = _luma(sprites).clamp(1e-3, 1.0).pow(self._gamma[numbers][:, None, None, None])
        paint = self._paints[paints][:, :, None, None]
        dark, light = luma * 2.0 * paint, paint + (luma * 2.0 - 1.0) * (1.0 - paint)
        shades = torch.where(luma < 0.5, dark, light)
        return torch.cat([shades * alpha, alpha], dim=1)

    def _measure(self) -> tuple[Tensor, Tensor]:
        """Return for each sprite the exponent that brings its mean luma to a half, and its paint.

        The paint is the one whose hue most of the sprite has already, or 0.
        """
        sprites = self._sprites[SPRITE // 4].float().div(255.0)
        alpha, luma = sprites[:, 3:], _luma(sprites)
        inner = alpha * ((luma > 0.08) & (luma < 0.95))
        mean = (luma * inner).sum((1, 2, 3)) / inner.sum((1, 2, 3)).clamp(min=1.0)
        gamma = (np.log(0.5) / mean.clamp(0.05, 0.95).log()).clamp(0.4, 4.0)
        colour = sprites[:, :3] / alpha.clamp(min=1e-3)
        hue, chroma = _hue(colour)
        vivid = alpha[:, 0] * (chroma > 0.25)
        paints, _ = _hue(self._paints[1:, :, None, None])
        distance = (hue[:, None] - paints[:, 0, 0][None, :, None, None]).abs()
        near = torch.minimum(distance, 6.0 - distance) < 0.35
        share = (near * vivid[:, None]).sum((2, 3)) / alpha.sum((1, 2, 3))[:, None].clamp(min=1.0)
        best, which = share.max(dim=1)
        return gamma, torch.where(best > 0.5, which + 1, 0)


def _premultiplied(content: bytes) -> np.ndarray:
    array = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"), dtype=np.float32)
    array = array.copy()
    array[..., :3] *= array[..., 3:] / 255.0
    return (array + 0.5).astype(np.uint8)


def _halve(sprites: Tensor) -> Tensor:
    parts = [
        functional.avg_pool2d(part.float(), 2).round_().byte() for part in torch.split(sprites, 256)
    ]
    return torch.cat(parts)


def _colours(values: list[tuple[int, int, int]], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device) / 255.0


def _luma(sprites: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA, device=sprites.device)[None, :, None, None]
    return (sprites[:, :3] * weights).sum(1, keepdim=True) / sprites[:, 3:].clamp(min=1e-3)


def _hue(colour: Tensor) -> tuple[Tensor, Tensor]:
    """Return hue in 0 to 6 and chroma in 0 to 1 of (n, 3, h, w)."""
    top, which = colour.max(dim=1)
    chroma = top - colour.min(dim=1).values
    red, green, blue = colour.unbind(1)
    safe = chroma.clamp(min=1e-6)
    sectors = torch.stack(
        [(green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4]
    )
    return sectors.gather(0, which[None])[0] % 6.0, chroma
