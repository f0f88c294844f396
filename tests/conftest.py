"""Fixtures that every test may use. Each test has its own home; nothing touches the user's."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from chopmark import Pipeline, Settings
from tests.support.home import LENT, open_with

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

# No library of ours may look for a hub, in any test.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# Test processes side by side (pytest-xdist) have a core each; two threads would wait by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")


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


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A whole pipeline, with the embedded model; also the lender of ``open_pipeline``."""
    from chopmark.provenance import DevelopmentCredentialWarning

    home = tmp_path_factory.mktemp("shared") / "home"
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        with pytest.warns(DevelopmentCredentialWarning):
            _ = pipeline.parts.credential
        yield pipeline


@pytest.fixture
def open_pipeline(shared_pipeline: Pipeline, home: Path) -> Iterator[Callable[..., Pipeline]]:
    """Returns an opener of pipelines with settings of the test's own; slow parts are shared.

    ``generator`` is an instance that stands for the embedded model; ``lend`` names fewer parts.
    """
    opened: list[Pipeline] = []

    def make(
        *, lend: Collection[str] = LENT, generator: object = None, **settings: Any
    ) -> Pipeline:
        given = {} if generator is None else {"generator": generator}
        wanted = Settings(**{"home": home, **settings})
        opened.append(open_with(shared_pipeline, wanted, lend=lend, **given))
        return opened[-1]

    yield make
    for pipeline in reversed(opened):
        pipeline.close()


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
