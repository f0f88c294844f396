"""Adds what :mod:`training.generation.wide` knows to a training set."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Final

from training.generation.canvas import GROUND, MORE
from training.generation.data import (
    PACKAGES,
    Outlines,
    Renders,
    TrainingDataError,
    fetch,
    read_member,
)
from training.generation.vocabulary import STYLE_SETS
from training.generation.wide.clipart import open_clipart
from training.generation.wide.grounds import GROUNDS, draw_ground
from training.generation.wide.lettering import WRITTEN, draw_written
from training.generation.wide.things import Sprite, sprites

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

__all__ = ["CLIPART", "add_drawings", "emoji_named"]

#: Where Debian's package openclipart-svg puts its drawings.
CLIPART: Final = "/usr/share/openclipart/svg"
_NAMES: Final = "fluent-emoji-flat"


def emoji_named(tarball: Path) -> dict[str, str]:
    """Return the emoji of each drawing's name in an Iconify package."""
    with tarfile.open(tarball) as archive:
        codes: dict[str, str] = read_member(archive, "chars.json")
    return {
        name: "".join(chr(int(part, 16)) for part in code.split("-"))
        for code, name in sorted(codes.items(), reverse=True)
    }


def add_drawings(
    cache: Path,
    clipart: Path,
    file: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write every further drawing, word and ground into a zip file of sprites.

    Args:
        cache: folder for the npm tarballs.
        clipart: folder with openclipart-svg's drawings.
        file: what :func:`training.generation.data.render_all` wrote.
        progress: called with the drawings done and in all.

    Raises:
        TrainingDataError: a package or a drawing is not there, cannot be rendered, or is not in
            the public domain.
    """
    tarballs = {name: fetch(PACKAGES[name], cache) for name in STYLE_SETS.values()}
    emoji = emoji_named(tarballs[_NAMES])
    sets = {
        style: (Renders if "3d" in name else Outlines)(tarballs[name])
        for style, name in STYLE_SETS.items()
    }
    drawings = open_clipart(clipart)

    def draw(sprite: Sprite) -> Image.Image:
        (name, *_) = sprite.thing.drawings
        if sprite.style is None:
            return drawings.draw(name)
        if name not in emoji:
            message = f"{_NAMES} has no drawing {name}"
            raise TrainingDataError(message)
        return sets[sprite.style].draw(emoji[name])

    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for done, sprite in enumerate(sprites(), start=1):
            archive.writestr(sprite.file, _webp(draw(sprite)))
            if progress is not None:
                progress(done, len(sprites()))
        for text in WRITTEN:
            archive.writestr(f"{MORE}written/{text}.webp", _webp(draw_written(text)))
        for ground in GROUNDS:
            archive.writestr(f"{GROUND}{ground.name}.webp", _webp(draw_ground(ground)))


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=95, alpha_quality=100)
    return stream.getvalue()
