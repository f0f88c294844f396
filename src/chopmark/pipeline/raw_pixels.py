"""Pictures between processes: size, mode and raw pixels. Nothing of them is parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import WorkerLost

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["from_raw", "to_raw"]

#: Bytes a pixel.
_MODES: Final = {"L": 1, "RGB": 3, "RGBA": 4}


def to_raw(picture: Image.Image) -> tuple[dict[str, Any], bytes]:
    """Return what a picture is, and its pixels row by row."""
    if picture.mode not in _MODES:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return {"mode": picture.mode, "size": list(picture.size)}, picture.tobytes()


def from_raw(what: Any, data: bytes) -> Image.Image:
    """Return the picture.

    Raises:
        WorkerLost: The pixels are not what was said of them.
    """
    from PIL import Image

    try:
        mode, (width, height) = str(what["mode"]), what["size"]
        fits = len(data) == _MODES[mode] * int(width) * int(height) > 0
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise WorkerLost("a worker's answer is no picture")
    return Image.frombuffer(mode, (width, height), data, "raw", mode, 0, 1)
