"""Small heads on the picture encoder: one linear layer each, trained by ``training/pictures``.

A score of 0.5 is where one in a hundred of the harmless drawings that were not trained on would be
flagged; what that gives on packages that were never seen is in docs/benchmarks.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from PIL.Image import Image

    from chopmark.safety.image.encoder import PictureEncoder

__all__ = ["HEADS", "HeadScore", "PictureHeads", "sigmoid"]

#: The categories that the heads score, in the order of the rows of their weights.
HEADS: Final = ("weapons",)
_SHA256: Final = "d766c41770f305fd27baaaebdb085629606eff2703cd212923076671dbd4a057"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadScore:
    """What one head says of a picture.

    Attributes:
        category: One of :data:`HEADS`.
        score: 0..1, of the part that scores highest.
        box: That part, left, top, right, bottom; ``None`` for the whole picture.
    """

    category: str
    score: float
    box: tuple[int, int, int, int] | None


class PictureHeads:
    """An encoder and the heads that stand on it. Safe for threads."""

    def __init__(self, encoder: PictureEncoder) -> None:
        """Load the committed weights.

        Raises:
            GuardFailed: The file is missing, another one, or does not load.
        """
        file = Path(__file__).resolve().parents[1] / "weights" / "picture_heads.safetensors"
        hint = "reinstall chopmark"
        try:
            from safetensors.numpy import load

            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest != _SHA256:
                raise GuardFailed(
                    f"the SHA-256 of {file.name} is {digest[:16]}…, not {_SHA256[:16]}…", hint=hint
                )
            stored = load(data)
            self._weight, self._bias = stored["weight"], stored["bias"]
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(f"{file.name} does not load: {error}", hint=hint) from error
        self._encoder = encoder
        self.models = (encoder.model, f"picture-heads@{_SHA256[:16]}")

    def scores(self, image: Image) -> list[HeadScore]:
        """Return what each head says.

        Args:
            image: In RGB.

        Raises:
            GuardFailed: The encoder gave something that is no direction.
        """
        from chopmark.safety.image.tiles import tiles

        vectors = self._encoder.vectors(image)
        shares = sigmoid(vectors @ self._weight.T + self._bias)
        boxes = tiles(image.size)
        found = []
        for name, column in zip(HEADS, shares.T, strict=True):
            best = int(column.argmax())
            box = boxes[best] if len(boxes) > 1 else None
            found.append(HeadScore(category=name, score=round(float(column[best]), 6), box=box))
        return found


def sigmoid(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return shares of one for logits."""
    return (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
