"""Fixtures that every test may use. Each test has its own home; nothing touches the user's."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chopmark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# No library of ours may look for a hub, in any test.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh CHOPMARK_HOME."""
    for name in [name for name in os.environ if name.startswith("CHOPMARK_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "home"
    monkeypatch.setenv("CHOPMARK_HOME", str(path))
    return path


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home)


@pytest.fixture
def make_picture() -> Callable[..., Image.Image]:
    """Returns a factory of deterministic pictures with edges, gradients and texture."""

    def make(width: int = 256, height: int = 256, *, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width] / max(width, height)
        base = np.stack([x, y, 1 - x], axis=-1) * 140 + 50
        cx, cy, r = rng.uniform(0.3, 0.7, 3) * (1, 1, 0.5)
        base[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(30, 225, 3)
        noise = rng.normal(0, 4, (height, width, 1))
        return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))

    return make


@pytest.fixture
def to_bytes() -> Callable[..., bytes]:
    """Returns an encoder of pictures."""

    def encode(picture: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
        out = io.BytesIO()
        picture.save(out, fmt, **options)
        return out.getvalue()

    return encode
