"""The manji as fonts draw it, which is not how our script does; for training alone.

The fonts that :mod:`benchmarks.picture_heads` measures with are others, and none here is made from
one of those. A mirrored manji is a hooked cross.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.pictures.symbols import SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FONTS", "fetch", "manji", "masks"]

FONTS: Final = (
    "fonts-baekmuk",
    "fonts-cwtex-ming",
    "fonts-noto-cjk",
    "fonts-sawarabi-mincho",
    "fonts-unfonts-core",
)
_MANJI: Final = "\u534d"


def fetch(folder: Path, names: tuple[str, ...] = FONTS) -> None:
    """Download and unpack fonts that are not there yet (Debian's packages, never installed)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (folder / name).is_dir():
            continue
        subprocess.run(["apt-get", "download", name], cwd=folder, check=True)
        (archive,) = sorted(folder.glob(f"{name}_*.deb"))[-1:]
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder / name)], check=True)


def masks(
    folder: Path, text: str, names: tuple[str, ...] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield what fonts make of a text, (``SIDE``, ``SIDE``) in 0..1; no shape twice.

    Args:
        folder: Where the packages are unpacked.
        text: Some characters; a font that lacks the first is left out.
        names: The packages; None: whatever is there.
    """
    seen = set()
    roots = [folder / name for name in names] if names else sorted(folder.glob("fonts-*"))
    for file in (file for root in roots for file in sorted(root.glob("**/*.[to]t[fc]"))):
        font = ImageFont.truetype(str(file), 100)
        if bytes(font.getmask(text[0])) == bytes(font.getmask("\U0010fffe")):
            continue
        page = Image.new("L", (400, 300))
        ImageDraw.Draw(page).text((60, 60), text, 255, font)
        box = page.getbbox()
        if box is None:
            continue
        wide = max(box[2] - box[0], box[3] - box[1])
        square = Image.new("L", (wide, wide))
        cut = page.crop(box)
        square.paste(cut, ((wide - cut.width) // 2, (wide - cut.height) // 2))
        mask = (np.asarray(square.resize((SIDE, SIDE))) / 255).astype(np.float32)
        if (mask > 0.5).tobytes() not in seen:
            seen.add((mask > 0.5).tobytes())
            yield mask


def manji(folder: Path) -> list[NDArray[np.float32]]:
    """Return the manji of :data:`FONTS`, anticlockwise and upright."""
    return list(masks(folder, _MANJI, FONTS))
