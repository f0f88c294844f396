"""Our own mark taken back, so that a picture can carry another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chopmark.provenance import MarkKey, detect_mark, embed_mark
from chopmark.provenance.watermark import without_mark

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = [bytes([7, number]) * 4 for number in range(4)]


@pytest.mark.parametrize("secret", [2, 8, 11])  # keys that wrote over a mark in vain before
@pytest.mark.parametrize("painted", [0.02, 0.1])
def test_a_picture_painted_on_and_marked_again_has_the_newest_mark(
    make_picture: Callable[..., Image.Image], secret: int, painted: float
) -> None:
    key = MarkKey(key_id="k", secret=bytes([secret + 50]) * 32)
    picture = embed_mark(make_picture(384, 384, seed=5), IDS[0], key=key)
    for payload in IDS[1:]:
        pixels = np.array(picture)
        pixels[:, : int(384 * painted)] = (20, 90, 160)
        found = detect_mark(Image.fromarray(pixels), keys=[key], methods=["lattice"])
        picture = embed_mark(
            without_mark(Image.fromarray(pixels), found, key=key), payload, key=key
        )
        assert detect_mark(picture, keys=[key], methods=["lattice"]).payload == payload


def test_nothing_is_left_to_read(make_picture: Callable[..., Image.Image]) -> None:
    key = MarkKey(key_id="k", secret=b"5" * 32)
    plain = make_picture(384, 384, seed=5)
    marked = embed_mark(plain, IDS[0], key=key)
    found = detect_mark(marked, keys=[key], methods=["lattice"])
    bare = without_mark(marked, found, key=key)
    assert not detect_mark(bare, keys=[key], methods=["lattice"]).detected
    assert np.abs(np.asarray(bare, np.int16) - np.asarray(plain, np.int16)).mean() < 1
    nothing = detect_mark(plain, keys=[key], methods=["lattice"])
    assert without_mark(plain, nothing, key=key) is plain
