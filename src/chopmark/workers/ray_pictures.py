"""Pictures on their way through Ray's object store: raw pixels in arrays, no file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

__all__ = ["Packed", "pack_pictures", "pictures_of"]

#: Mode, size, number of pictures of its batch, and the pixels as bytes in an array.
Packed: TypeAlias = "tuple[str, tuple[int, int], int, Any]"


def pack_pictures(pictures: Sequence[Image.Image]) -> list[Packed]:
    """Return pictures as arrays with what is needed to make pictures of them again."""
    from chopmark.generation import batch_size

    return [
        (one.mode, one.size, batch_size(one), np.frombuffer(one.tobytes(), np.uint8))
        for one in pictures
    ]


def pictures_of(packed: Sequence[Packed]) -> list[Image.Image]:
    """Return the pictures that :func:`pack_pictures` packed."""
    from PIL import Image

    from chopmark.generation.interface import set_batch_size

    pictures = []
    for mode, size, batch, pixels in packed:
        picture = Image.frombytes(mode, size, pixels.tobytes())
        set_batch_size(picture, batch)
        pictures.append(picture)
    return pictures
