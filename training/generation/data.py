"""Drawings to learn from: pinned npm icon sets, rendered to one file of sprites.

The icon sets are pinned by version and SHA-256, and only sets under permissive licences are used.
Nothing is downloaded at run time of the product: this module belongs to training alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from training.generation.vocabulary import CONCEPTS, STYLE_SETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Side of a sprite in pixels: a large thing on a canvas of 256.
SPRITE: Final = 224


@dataclass(frozen=True)
class Package:
    """One pinned npm package of drawings."""

    name: str
    version: str
    sha256: str
    licence: str
    source: str
    owner: str

    @property
    def tarball(self) -> str:
        """File name that ``npm pack`` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES: Final[dict[str, Package]] = {
    "fluent-emoji-3d": Package(
        name="@lobehub/fluent-emoji-3d",
        version="1.1.0",
        sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        licence="MIT",
        source="https://github.com/microsoft/fluentui-emoji",
        owner="Microsoft Corporation",
    ),
    "fluent-emoji-flat": Package(
        name="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        licence="MIT",
        source="https://github.com/microsoft/fluentui-emoji",
        owner="Microsoft Corporation",
    ),
    "noto": Package(
        name="@iconify-json/noto",
        version="1.2.9",
        sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        licence="Apache-2.0",
        source="https://github.com/googlefonts/noto-emoji",
        owner="Google LLC",
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


def render_all(
    cache: Path, file: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write every concept in every style to a zip file of WebP pictures, ``STYLE/NAME.webp``.

    Args:
        cache: folder for the npm tarballs.
        file: where the sprites go.
        progress: called with the sprites done and in all.
    """
    done, total = 0, len(STYLE_SETS) * len(CONCEPTS)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as sprites:
        for style, set_name in STYLE_SETS.items():
            package = PACKAGES[set_name]
            tarball = fetch(package, cache)
            kind = Renders if "3d" in set_name else Outlines
            drawings = kind(tarball)
            for concept in CONCEPTS:
                stream = io.BytesIO()
                drawings.draw(concept.emoji).save(stream, "WEBP", quality=95, alpha_quality=100)
                sprites.writestr(f"{style}/{concept.name}.webp", stream.getvalue())
                done += 1
                if progress is not None:
                    progress(done, total)


def _codepoints(emoji: str) -> str:
    # U+FE0F only asks for the coloured form; the sets disagree about writing it.
    return "-".join(f"{ord(char):x}" for char in emoji if char != "\ufe0f")


def _plain(code: str) -> str:
    return "-".join(part for part in code.split("-") if part != "fe0f")


class Outlines:
    """Drawings of an Iconify package: SVG, found by their Unicode sequence."""

    def __init__(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            self._icons = read_member(archive, "icons.json")
            names: dict[str, str] = read_member(archive, "chars.json")
        self._names = {_plain(code): name for code, name in names.items()}

    def draw(self, emoji: str) -> Image.Image:
        """Render the drawing of ``emoji``.

        Returns:
            RGBA, ``SPRITE`` pixels square.

        Raises:
            TrainingDataError: there is none, or resvg-py, which only training needs, is not there.
        """
        try:
            import resvg_py
        except ImportError as error:
            message = "rendering the drawings needs resvg-py: pip install -e '.[train]'"
            raise TrainingDataError(message) from error
        name = self._names.get(_codepoints(emoji), "")
        icons, aliases = self._icons["icons"], self._icons.get("aliases", {})
        icon = icons.get(name) or icons.get(aliases.get(name, {}).get("parent"))
        if icon is None:
            message = f"the icon set {self._icons['prefix']} has no drawing of {emoji}"
            raise TrainingDataError(message)
        width = icon.get("width", self._icons.get("width", 16))
        height = icon.get("height", self._icons.get("height", 16))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{SPRITE}" height="{SPRITE}" viewBox="{box}">{icon["body"]}</svg>'
        )
        content = bytes(resvg_py.svg_to_bytes(svg_string=svg))
        return Image.open(io.BytesIO(content)).convert("RGBA")


class Renders:
    """Pictures of a package that holds one WebP file for each Unicode sequence."""

    def __init__(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            self._files = {
                _plain(member.name.rpartition("/")[2].removesuffix(".webp")): _bytes(
                    archive, member.name
                )
                for member in archive
                if member.name.endswith(".webp")
            }

    def draw(self, emoji: str) -> Image.Image:
        """Return the picture of ``emoji``: RGBA, ``SPRITE`` pixels square.

        Raises:
            TrainingDataError: there is none.
        """
        content = self._files.get(_codepoints(emoji))
        if content is None:
            message = f"there is no render of {emoji}"
            raise TrainingDataError(message)
        picture = Image.open(io.BytesIO(content)).convert("RGBA")
        return picture.resize((SPRITE, SPRITE), Image.Resampling.LANCZOS)


def _bytes(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        message = f"{archive.name!r} holds no {name}"
        raise TrainingDataError(message)
    return stream.read()


def read_member(archive: tarfile.TarFile, name: str) -> Any:
    """Return what a JSON file of an npm package says."""
    return json.loads(_bytes(archive, f"package/{name}"))
