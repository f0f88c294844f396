"""Pictures for the watermark benchmark: who sees which, and where they come from.

**Tuning** used pictures of the Debian packages ``ukui-wallpapers`` and ``lomiri-wallpapers-16.04``,
the sample pictures of scikit-image, and drawn pictures with even seeds. **Held out** are those of
``gnome-backgrounds``, ``mate-backgrounds``, ``plasma-workspace-wallpapers``,
``lomiri-wallpapers-20.04``, ``sway-backgrounds`` and ``ephoto``, and drawn pictures with odd seeds;
no decision about the method was taken by looking at them. ``--fetch`` gets the held-out packages
(about 190 MB, Debian 12) with apt-get; without them the benchmark has only drawn pictures, and
says so.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HELD_OUT", "drawn", "fetch", "held_out", "photographs"]

HELD_OUT = (
    "gnome-backgrounds",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "lomiri-wallpapers-20.04",
    "sway-backgrounds",
    "ephoto",
)
# Square roots of areas, in turn; the issue asks for 512 to 2048.
_SIDES = (512, 768, 1024, 512, 640, 768, 512, 1024, 512, 2048)
_LEAST = 300


def fetch(folder: Path) -> None:
    """Download and unpack the held-out packages into ``folder``."""
    for package in HELD_OUT:
        target = folder / package
        if target.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        (file,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", file, target], check=True)
        file.unlink()


def held_out(folder: Path, count: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield ``count`` named held-out pictures: photographs, and one drawn one in five."""
    photos = photographs(folder)
    for index in range(count):
        photo = None if index % 5 == 4 else next(photos, None)
        name, picture = photo or (f"drawn {2 * index + 1}", drawn(2 * index + 1))
        yield name, picture


def photographs(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield the distinct pictures of the packages, then their quarters, in sizes taken in turn."""
    files = sorted(
        path
        for package in HELD_OUT
        for path in (folder / package).rglob("*")
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"} and not path.is_symlink()
    )
    number = 0
    for part in ("whole", "upper left", "lower right"):
        seen: set[bytes] = set()
        for path in files:
            with Image.open(path) as opened:
                if opened.width * opened.height < _LEAST**2:
                    continue
                opened.draft("RGB", (4096, 4096))
                picture = opened.convert("RGB")
            # The same picture comes in several sizes.
            tiny = np.asarray(picture.convert("L").resize((6, 6))) // 24
            if tiny.tobytes() in seen:
                continue
            seen.add(tiny.tobytes())
            width, height = picture.size
            if part == "upper left":
                picture = picture.crop((0, 0, width // 2, height // 2))
            elif part == "lower right":
                picture = picture.crop((width // 2, height // 2, width, height))
            side = _SIDES[number % len(_SIDES)]
            yield f"{path.stem} {path.parent.name} {part}", _fitted(picture, side)
            number += 1


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    factor = side / np.sqrt(picture.width * picture.height)
    if factor >= 1:
        return picture
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.LANCZOS)


def drawn(seed: int) -> Image.Image:
    """Draw a picture: flat art as generators of emoji make it, or a gradient."""
    draw = np.random.default_rng(seed)
    return _gradient(draw) if seed % 3 == 0 else _flat_art(draw)


def _flat_art(draw: np.random.Generator, side: int = 512) -> Image.Image:
    """A few plain shapes on a plain ground, edges smoothed."""
    picture = Image.new("RGB", (2 * side, 2 * side), tuple(draw.integers(60, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(draw.integers(4, 12)):
        points = draw.integers(0, 2 * side, (3, 2))
        colour = tuple(draw.integers(0, 256, 3).tolist())
        low, high = points.min(axis=0).tolist(), (points.max(axis=0) + 2).tolist()
        match draw.integers(0, 3):
            case 0:
                pen.ellipse((*low, *high), fill=colour)
            case 1:
                pen.rounded_rectangle((*low, *high), 40, fill=colour)
            case _:
                pen.polygon([tuple(point) for point in points.tolist()], fill=colour)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _gradient(draw: np.random.Generator, width: int = 640, height: int = 480) -> Image.Image:
    """A smooth run between four colours."""
    corners = draw.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    wide = cv2.resize(corners, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    middle = wide[height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    return Image.fromarray(np.clip(np.rint(middle), 0, 255).astype(np.uint8))
