"""Debian's ``openclipart-svg``: 8,121 drawings in the public domain, with titles and keywords.

apt-get download openclipart-svg && dpkg-deb -x openclipart-svg_*.deb out/openclipart
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image

from training.generation.data import TrainingDataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Drawing", "drawings"]

_TITLE: Final = re.compile(r"<(?:dc:)?title[^>]*>\s*([^<]{1,200}?)\s*</", re.IGNORECASE)
_WORDS: Final = re.compile(r"<rdf:li[^>]*>\s*([^<]{1,60}?)\s*</", re.IGNORECASE)
#: Beyond this a file is a map or a scene of thousands of paths.
_MOST_BYTES: Final = 200_000


@dataclass(frozen=True)
class Drawing:
    """One file.

    Attributes:
        path: of the SVG.
        title: as its author gave it; empty where there is none.
        keywords: in lower case.
    """

    path: Path
    title: str
    keywords: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether it is kept for tests: one in ten, by its name."""
        return hashlib.sha256(self.path.name.encode()).digest()[0] < 26

    def render(self, side: int) -> Image.Image | None:
        """Return it as RGBA within ``side`` pixels square; ``None`` where it cannot be drawn.

        Raises:
            TrainingDataError: resvg-py, which only training needs, is not there.
        """
        try:
            import resvg_py
        except ImportError as error:
            message = "rendering the drawings needs resvg-py: pip install -e '.[train]'"
            raise TrainingDataError(message) from error
        try:
            content = bytes(resvg_py.svg_to_bytes(svg_path=str(self.path), width=side))
            picture = Image.open(io.BytesIO(content)).convert("RGBA")
        except (OSError, ValueError, RuntimeError):
            return None
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        # A blank sheet is what comes of parts that the renderer does not know.
        covered = picture.getchannel("A").getextrema()
        return picture if isinstance(covered[1], int) and covered[1] > 0 else None


def drawings(folder: Path) -> Iterator[Drawing]:
    """Yield the drawings under ``folder`` in the order of their paths.

    Raises:
        TrainingDataError: there is none.
    """
    files = sorted(folder.rglob("*.svg"))
    if not files:
        message = f"no SVG under {folder}: apt-get download openclipart-svg, then dpkg-deb -x"
        raise TrainingDataError(message)
    for file in files:
        if file.stat().st_size > _MOST_BYTES:
            continue
        text = file.read_text("utf-8", "replace")
        title = _TITLE.search(text)
        yield Drawing(
            path=file,
            title=title.group(1) if title else "",
            keywords=tuple(dict.fromkeys(word.lower() for word in _WORDS.findall(text))),
        )
