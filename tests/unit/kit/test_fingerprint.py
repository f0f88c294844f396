"""Fingerprints of turned, large and half clear pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from chopmark.errors import UnreadableImage
from chopmark.kit.fingerprint import dihedral, distance, fingerprint
from chopmark.kit.pdq import DIHEDRAL

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside-down mirrored": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned 180": Image.Transpose.ROTATE_180,
    "transposed": Image.Transpose.TRANSPOSE,
    "turned 270": Image.Transpose.ROTATE_90,  # Pillow turns against the clock
    "turned 90": Image.Transpose.ROTATE_270,
    "anti-transposed": Image.Transpose.TRANSVERSE,
}


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("size", [(300, 200), (1400, 900)], ids=["small", "scaled-down"])
def test_each_orientation_is_that_of_the_turned_picture(
    make_picture: Callable[..., Image.Image], name: str, size: tuple[int, int]
) -> None:
    picture = make_picture(*size, seed=4)
    expected, _ = fingerprint(picture.transpose(TURNS[name]))
    found = dihedral(picture)[0][DIHEDRAL.index(name)]
    # To the bit where nothing is scaled; scaling rounds pixels, turned before or after.
    assert distance(found, expected) <= (0 if max(size) <= 512 else 4)


def test_the_picture_as_it_stands_comes_first(make_picture: Callable[..., Image.Image]) -> None:
    picture = make_picture(640, 480)
    turned, quality = dihedral(picture)
    assert (turned[0], quality) == fingerprint(picture)
    assert len(turned) == len(DIHEDRAL)


def test_what_is_clear_is_hashed_as_white(make_picture: Callable[..., Image.Image]) -> None:
    picture = make_picture(256, 256).convert("RGBA")
    clear = Image.new("RGBA", (256, 100), (0, 0, 0, 0))
    white = Image.new("RGBA", (256, 100), (255, 255, 255, 255))
    on_white = picture.copy()
    picture.paste(clear, (0, 0))
    on_white.paste(white, (0, 0))
    assert dihedral(picture) == dihedral(on_white.convert("RGB"))


def test_a_picture_without_pixels_has_none() -> None:
    for work in (fingerprint, dihedral):
        with pytest.raises(UnreadableImage):
            work(Image.new("RGB", (0, 5)))
