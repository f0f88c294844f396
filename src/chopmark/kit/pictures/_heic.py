"""HEIC, with the extra ``chopmark[heic]``: pi-heif, or pillow-heif where that is installed.

Both are one project. The wheel of pillow-heif also brings x265 for writing, which is under the
GPL; pi-heif only reads (libheif and libde265, LGPL-3.0), which is all that is wanted here.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["available", "opened", "preload"]

_READERS: Final = (("pi_heif", "HeifImageFile"), ("pillow_heif", "HeifImageFile"))


def available() -> bool:
    """Whether the extra is installed."""
    return any(importlib.util.find_spec(name) is not None for name, _ in _READERS)


def preload() -> None:
    """Load the reader now, where the extra is installed: later a process may be confined."""
    for name, _ in _READERS:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(f"{name}.as_plugin")
            return


def opened(data: bytes) -> Image.Image:
    """Return an HEIC file as Pillow has pictures.

    Raises:
        ModuleNotFoundError: The extra is not installed; ask `available` first.
    """
    for name, _ in _READERS:
        if importlib.util.find_spec(name) is not None:
            plugin = importlib.import_module(f"{name}.as_plugin")
            return cast("Image.Image", plugin.HeifImageFile(io.BytesIO(data)))
    raise ModuleNotFoundError("pi_heif")
