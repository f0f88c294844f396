#!/usr/bin/env python3
"""Gather ordinary pictures from Debian packages, by slice, to see what the guard stops in vain.

    python scripts/benign_pictures.py FOLDER

Downloads five packages (273 MB, ``apt-get download``; nothing is installed), unpacks them with
``dpkg-deb`` and writes ``FOLDER/pictures.jsonl``: a slice and a path a line. Stamps lie on white,
as the guard sees them. Hard slices are drawn here: skin-tone cloth, sand, gradients, rounds.
Nothing of it is kept in this repository; licences are in the packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PACKAGES = (
    "tuxpaint-stamps-default",
    "gnome-backgrounds",
    "ukui-wallpapers",
    "mate-backgrounds",
    "lomiri-wallpapers-20.04",
)
SKIN = (
    (255, 224, 189),
    (241, 194, 125),
    (224, 172, 105),
    (198, 134, 66),
    (141, 85, 36),
    (92, 56, 30),
)


def unpack(folder: Path) -> None:
    """Download and unpack what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        if not list(folder.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "download", name], cwd=folder, check=True)
        (archive,) = sorted(folder.glob(f"{name}_*.deb"))[-1:]
        if not (folder / name).is_dir():
            subprocess.run(["dpkg-deb", "-x", str(archive), str(folder / name)], check=True)


def found(folder: Path) -> list[tuple[str, Path]]:
    """Return slice and file of every picture in the packages, in a fixed order."""
    rows: list[tuple[str, Path]] = []
    stamps = folder / PACKAGES[0] / "usr" / "share" / "tuxpaint" / "stamps"
    for file in sorted(stamps.rglob("*.png")):
        if file.stem.endswith("_mirror"):
            continue
        rows.append((f"stamps: {file.relative_to(stamps).parts[0]}", file))
    for name in PACKAGES[1:]:
        for ending in ("jpg", "png", "webp"):
            rows += [
                ("wallpapers", file)
                for file in sorted((folder / name).rglob(f"*.{ending}"))
                if file.is_file() and not file.is_symlink() and file.stat().st_size > 20_000
            ]
    return rows


def drawn(folder: Path) -> list[tuple[str, Path]]:
    """Draw the hard slices; the same pixels every time."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(60):
        dice = np.random.default_rng(number)
        tone = np.array(SKIN[number % len(SKIN)], float)
        y, x = np.mgrid[0:512, 0:512] / 512
        kind = ("cloth", "sand", "gradient", "rounds")[number % 4]
        match kind:
            case "cloth":
                waves = np.sin(40 * (x + 0.15 * np.sin(9 * y))) + np.sin(31 * y)
                pixels = tone + 14 * waves[..., None] + dice.normal(0, 3, (512, 512, 1))
            case "sand":
                dunes = 25 * np.sin(7 * (y + 0.2 * np.sin(5 * x)))
                pixels = tone + dunes[..., None] + dice.normal(0, 18, (512, 512, 1))
            case "gradient":
                pixels = tone * (0.5 + 0.6 * (x + y)[..., None] / 2)
            case _:
                pixels = np.full((512, 512, 3), 235.0)
                for _ in range(6):
                    a, b, r = (
                        dice.uniform(0.2, 0.8),
                        dice.uniform(0.2, 0.8),
                        dice.uniform(0.1, 0.25),
                    )
                    inside = (x - a) ** 2 + (y - b) ** 2 < r * r
                    shade = 1 - 0.5 * ((x - a + r) / (2 * r))
                    pixels[inside] = (tone * shade[..., None])[inside]
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        if kind == "rounds":
            picture = picture.filter(ImageFilter.GaussianBlur(3))
        path = folder / f"{kind}-{number:02}.png"
        picture.save(path)
        rows.append((f"skin tones: {kind}", path))
    return rows


def main() -> None:
    """Gather."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    unpack(folder)
    rows = found(folder) + drawn(folder / "drawn")
    with (folder / "pictures.jsonl").open("w", encoding="utf-8") as out:
        for slice_, path in rows:
            out.write(json.dumps({"slice": slice_, "image": str(path.relative_to(folder))}) + "\n")
    print(f"{len(rows)} pictures in {len({name for name, _ in rows})} slices")


if __name__ == "__main__":
    main()
