"""blind-watermark 0.4.4 (MIT) behind our seam, for the watermark benchmark alone.

    pip install --no-deps blind-watermark==0.4.4 PyWavelets==1.9.0

Its declared dependency on a GUI build of OpenCV is not needed, hence ``--no-deps``. It has
neither a check nor a score, so it gets what ``dwtDct`` gets here: 64 bits of payload and a 40-bit
keyed check under a keyed stream, 104 bits in all.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from chopmark.errors import ConfigurationError
from chopmark.provenance.watermark import MarkKey, MarkResult, register_method
from chopmark.provenance.watermark._invisible import _open_word, _word

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BlindWatermark", "register_peers"]

_BITS = 104
_P_VALUE = 2.0**-40


class BlindWatermark:
    """The package's default: DWT, DCT and SVD of 4 x 4 blocks, in all three channels."""

    name = "blind-watermark"
    blind = True

    def embed(self, image: Image.Image, payload: bytes, key: MarkKey) -> Image.Image:
        """Return a marked copy, RGB."""
        marker = _marker()
        marker.read_img(img=np.asarray(image.convert("RGB"))[..., ::-1].copy())
        marker.read_wm(_word(self.name, key, payload).astype(bool), mode="bit")
        bgr = np.clip(np.rint(marker.embed()), 0, 255).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))

    def detect(
        self,
        image: Image.Image,
        key: MarkKey,
        *,
        candidates: Sequence[bytes] | None = None,  # noqa: ARG002 - it reads blindly
        original: Image.Image | None = None,  # noqa: ARG002 - it cannot use it
    ) -> MarkResult:
        """Return what is read; not one of the 104 bits may be wrong."""
        bgr = np.asarray(image.convert("RGB"))[..., ::-1].copy()
        try:
            soft = _marker().extract(embed_img=bgr, wm_shape=_BITS, mode="bit")
        except (IndexError, ValueError, AssertionError):  # too small for its blocks
            soft = np.zeros(_BITS)
        payload = _open_word(self.name, key, (np.asarray(soft) > 0.5).astype(np.uint8))
        found = payload is not None
        p_value = _P_VALUE if found else 1.0
        return MarkResult(detected=found, payload=payload, p_value=p_value, method=self.name)


def register_peers() -> None:
    """Register ``blind-watermark`` as a method.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        _marker()
    except ImportError as error:
        raise ConfigurationError(
            f"blind-watermark cannot be loaded: {error}",
            hint="pip install --no-deps blind-watermark==0.4.4 PyWavelets==1.9.0",
        ) from error
    register_method("blind-watermark", BlindWatermark)


def _marker() -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints an advertisement
        return importlib.import_module("blind_watermark").WaterMark(password_img=1, password_wm=1)
