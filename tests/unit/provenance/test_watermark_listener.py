"""The network that hears the mark where edges and lossy files drown it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from chopmark.errors import ConfigurationError
from chopmark.provenance.watermark import MarkKey, detect_mark, embed_mark
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice import _listener
from chopmark.provenance.watermark.lattice._detect import LOG_P_DETECT, _aligned, _heard, _test
from chopmark.provenance.watermark.lattice._frames import Frames, HeardFrames
from chopmark.provenance.watermark.lattice._layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = MarkKey(key_id="test", secret=bytes(range(32)))
PAYLOAD = bytes.fromhex("a3f09c1122334451")
cv2.setNumThreads(1)


def flat() -> Image.Image:
    """Clip art: many plain shapes with hard edges on white."""
    draw = np.random.default_rng(8)
    picture = Image.new("RGB", (1024, 1024), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(24):
        left, top = draw.integers(100, 800, 2).tolist()
        wide, high = draw.integers(60, 300, 2).tolist()
        colour = tuple(draw.integers(0, 256, 3).tolist())
        pen.ellipse((left, top, left + wide, top + high), fill=colour, outline="black", width=6)
    return picture.resize((512, 512), Image.Resampling.LANCZOS)


def coded(picture: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def marked() -> Image.Image:
    return embed_mark(flat(), PAYLOAD, key=KEY)


@pytest.fixture
def closed() -> Iterator[None]:
    """The session is opened anew before and after."""
    _listener._opened.cache_clear()
    yield
    _listener._opened.cache_clear()


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 30), ("WEBP", 55)])
def test_flat_graphics_are_read_where_the_plain_residual_is_not(
    marked: Image.Image, kind: str, quality: int
) -> None:
    seen = coded(marked, kind, quality)
    layout, luma = layout_of(KEY.secret), luma_of(seen)
    plain, listened = Frames(luma), HeardFrames(luma)
    without = [
        _test(lock, plain, layout, None).log_p
        for locks in _aligned(plain, layout)
        for lock in locks
    ]
    heard = [
        _test(lock, listened, layout, None).log_p
        for locks in _heard(listened, layout)
        for lock in locks
    ]
    assert min(without, default=0.0) > LOG_P_DETECT
    assert min(heard) <= LOG_P_DETECT
    assert detect_mark(seen, keys=[KEY]).payload == PAYLOAD


@pytest.mark.parametrize("shape", [(96, 128), (97, 131)])
def test_what_is_heard_has_the_shape_of_the_frame_and_is_the_same_each_time(
    shape: tuple[int, int],
) -> None:
    frame = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
    heard = _listener.heard(frame)
    assert heard.shape == shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert (heard == _listener.heard(frame)).all()


def test_a_mark_under_another_key_is_heard_and_not_read(marked: Image.Image) -> None:
    other = MarkKey(key_id="other", secret=bytes(range(1, 33)))
    assert not detect_mark(coded(marked, "JPEG", 30), keys=[other]).detected


def test_other_weights_are_refused_and_missing_ones_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: None
) -> None:
    frame = np.zeros((64, 64), np.float32)
    monkeypatch.setattr(_listener, "WEIGHTS", tmp_path / "listener.onnx")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        _listener.heard(frame)
    _listener.WEIGHTS.write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="not the file that this version was made with"):
        _listener.heard(frame)
