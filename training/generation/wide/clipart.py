"""Drawings of Debian's package openclipart-svg, by file name.

Most files are in the public domain and say so; a file that does not is refused. resvg knows no
entities, which Adobe's programs write for namespaces, and wants a size: both are seen to here.
"""

from __future__ import annotations

import functools
import io
import re
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from training.generation.data import SPRITE, TrainingDataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Clipart", "expanded", "fitted", "is_public_domain"]

_LICENCE: Final = re.compile(r"<(?:\w+:)?license\s+(?:\w+:)?resource\s*=\s*\"([^\"]*)\"")
_PUBLIC_DOMAIN: Final = frozenset(
    {
        "http://web.resource.org/cc/PublicDomain",
        "http://creativecommons.org/licenses/publicdomain/",
    }
)
_DOCTYPE: Final = re.compile(r"<!DOCTYPE[^\[>]*(?:\[(.*?)\]\s*)?>", re.DOTALL)
_ENTITY: Final = re.compile(r"<!ENTITY\s+([\w.-]+)\s+\"([^\"]*)\"\s*>")
_ROOT: Final = re.compile(r"<svg\b[^>]*>")
#: Rendered at this size first, then cut to what is drawn.
_FIRST: Final = 448
#: Share of a sprite's side that a drawing fills.
_FILL: Final = 0.94


def is_public_domain(svg: str) -> bool:
    """Tell whether a file's own metadata put it in the public domain."""
    found = _LICENCE.search(svg)
    return found is not None and found[1] in _PUBLIC_DOMAIN


def expanded(svg: str) -> str:
    """Return the text of a drawing without a document type, its entities written out."""
    declared = _DOCTYPE.search(svg)
    if declared is None:
        return svg
    svg = _DOCTYPE.sub("", svg, count=1)
    for name, value in _ENTITY.findall(declared[1] or ""):
        svg = svg.replace(f"&{name};", value)
    return svg


def fitted(drawn: Image.Image) -> Image.Image:
    """Return a drawing cut to what is seen and centred in a sprite.

    Args:
        drawn: RGBA, any size.

    Returns:
        RGBA, ``SPRITE`` pixels square.

    Raises:
        TrainingDataError: there is nothing to be seen.
    """
    box = drawn.getchannel("A").point(lambda value: 255 * (value > 8)).getbbox()
    if box is None:
        raise TrainingDataError("the drawing is empty")
    drawn = drawn.crop(box)
    scale = _FILL * SPRITE / max(drawn.size)
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    # Colours under full transparency must not bleed into the edge.
    array = np.asarray(drawn, np.float32)
    array = np.dstack([array[..., :3] * array[..., 3:] / 255, array[..., 3]])
    small = Image.fromarray(array.round().astype(np.uint8), "RGBA").resize(
        size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    )
    array = np.asarray(small, np.float32)
    colour = array[..., :3] * 255 / np.maximum(array[..., 3:], 1)
    array = np.dstack([colour.clip(0, 255), array[..., 3]])
    sprite = Image.new("RGBA", (SPRITE, SPRITE), (0, 0, 0, 0))
    place = ((SPRITE - size[0]) // 2, (SPRITE - size[1]) // 2)
    sprite.paste(Image.fromarray(array.round().astype(np.uint8), "RGBA"), place)
    return sprite


class Clipart:
    """The drawings under one folder.

    Args:
        folder: with SVG files at any depth.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        for file in sorted(folder.rglob("*.svg")):
            self._files.setdefault(file.stem.lower(), file)
        if not self._files:
            message = f"there is no drawing in {folder}: apt-get install openclipart-svg"
            raise TrainingDataError(message)

    def draw(self, stem: str) -> Image.Image:
        """Render one drawing.

        Args:
            stem: file name without folder and ending; case does not count.

        Returns:
            RGBA, ``SPRITE`` pixels square.

        Raises:
            TrainingDataError: there is none, its file does not put it in the public domain, it
                cannot be rendered, or resvg-py, which only training needs, is not there.
        """
        try:
            import resvg_py
        except ImportError as error:
            message = "rendering the drawings needs resvg-py: pip install -e '.[train]'"
            raise TrainingDataError(message) from error
        file = self._files.get(stem.lower())
        if file is None:
            message = f"there is no drawing {stem} in {self._folder}"
            raise TrainingDataError(message)
        svg = file.read_text("utf-8", errors="replace")
        if not is_public_domain(svg):
            message = f"{file} does not say that it is in the public domain"
            raise TrainingDataError(message)
        try:
            content = bytes(resvg_py.svg_to_bytes(svg_string=expanded(svg), width=_FIRST, dpi=96))
        except ValueError as error:
            message = f"{file} cannot be rendered: {error}"
            raise TrainingDataError(message) from error
        return fitted(Image.open(io.BytesIO(content)).convert("RGBA"))


@functools.cache
def open_clipart(folder: Path) -> Clipart:
    """Return the drawings of a folder, listed once a process."""
    return Clipart(folder)
