"""The door of the watermark room: verbs, values, errors."""

from __future__ import annotations

import doctest
import io
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chopmark.errors import (
    ImageTooLarge,
    ImageTooSmall,
    InvalidRequest,
    UnknownMethod,
    UnreadableImage,
    UnsupportedImage,
)
from chopmark.provenance import watermark
from chopmark.provenance.watermark import MarkKey, detect_mark, embed_mark

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = bytes.fromhex("a3f09c1122334451")
MakeKey = Callable[..., MarkKey]
MakePicture = Callable[..., Image.Image]


@pytest.fixture
def make_key() -> MakeKey:
    """Make a key from a number."""

    def make(number: int = 0) -> MarkKey:
        return MarkKey(key_id=f"test-{number}", secret=bytes([number]) * 32)

    return make


@pytest.fixture
def make_picture() -> MakePicture:
    """Draw a textured picture with smooth and busy parts."""

    def make(width: int = 320, height: int = 256, *, seed: int = 0) -> Image.Image:
        draw = np.random.default_rng(seed)
        coarse = draw.normal(128, 60, (6, 8, 3))
        fine = draw.normal(0, 30, (height // 4 + 1, width // 4 + 1, 3))
        layers = []
        for channel in range(3):
            layer = Image.fromarray(coarse[..., channel].astype(np.float32))
            grain = Image.fromarray(fine[..., channel].astype(np.float32))
            smooth = np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
            busy = np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC))
            layers.append(smooth + busy * (np.arange(width) > width // 2))
        return Image.fromarray(np.clip(np.stack(layers, axis=-1), 0, 255).astype(np.uint8))

    return make


def test_the_example_of_the_door_runs() -> None:
    outcome = doctest.testmod(watermark)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_what_is_struck_is_read(make_key: MakeKey, make_picture: MakePicture) -> None:
    marked = embed_mark(make_picture(), PAYLOAD, key=make_key())
    result = detect_mark(marked, keys=[make_key()])
    assert result.detected
    assert result.payload == PAYLOAD
    assert result.p_value <= 1e-9
    assert result.method == "lattice"
    assert result.key_id == "test-0"
    assert result.to_dict()["payload"] == PAYLOAD.hex()


def test_another_key_does_not_read(make_key: MakeKey, make_picture: MakePicture) -> None:
    marked = embed_mark(make_picture(), PAYLOAD, key=make_key())
    result = detect_mark(marked, keys=[make_key(1)])
    assert not result.detected
    assert result.payload is None
    assert result.key_id is None


def test_one_key_among_several_reads(make_key: MakeKey, make_picture: MakePicture) -> None:
    marked = embed_mark(make_picture(), PAYLOAD, key=make_key(2))
    result = detect_mark(marked, keys=[make_key(3), make_key(2)])
    assert result.key_id == "test-2"
    assert result.payload == PAYLOAD


def test_refusals_in_words(make_key: MakeKey, make_picture: MakePicture) -> None:
    key = make_key()
    with pytest.raises(ImageTooSmall, match="63x64"):
        embed_mark(make_picture(63, 64), PAYLOAD, key=key)
    with pytest.raises(ImageTooLarge, match="8193"):
        embed_mark(Image.new("L", (8193, 64)), PAYLOAD, key=key)
    with pytest.raises(UnsupportedImage, match="mode"):
        embed_mark(Image.new("LAB", (64, 64)), PAYLOAD, key=key)
    with pytest.raises(UnknownMethod, match="stamp"):
        embed_mark(make_picture(), PAYLOAD, key=key, method="stamp")
    with pytest.raises(InvalidRequest, match="8 bytes"):
        embed_mark(make_picture(), b"short", key=key)
    with pytest.raises(InvalidRequest, match="at least one key"):
        detect_mark(make_picture(), keys=[])


def test_animated_pictures_are_refused(
    make_key: MakeKey, make_picture: MakePicture, tmp_path: Path
) -> None:
    path = tmp_path / "two.gif"
    make_picture().save(path, save_all=True, append_images=[make_picture(seed=1)])
    with Image.open(path) as animated, pytest.raises(UnsupportedImage, match="2 frames"):
        embed_mark(animated, PAYLOAD, key=make_key())


def test_a_broken_file_is_an_error_of_ours(make_key: MakeKey, make_picture: MakePicture) -> None:
    file = io.BytesIO()
    make_picture().save(file, "PNG")
    broken = Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))
    with pytest.raises(UnreadableImage, match="decoded"):
        detect_mark(broken, keys=[make_key()])


def test_the_door_is_cheap() -> None:
    script = (
        "import sys, chopmark.provenance.watermark;"
        "print([m for m in ('torch', 'cv2', 'numpy', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
