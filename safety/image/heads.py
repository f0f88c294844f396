"""Small heads on the picture encoder: one linear layer each, trained by ``training/pictures``.

A score of 0.5 is where two in a hundred of the harmless drawings that were not trained on would be
flagged, and three in a hundred taken for a photograph; what that gives on packages that were never
seen is in docs/benchmarks.md.
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

__all__ = ["HEADS", "ROWS", "HeadScore", "HeadsSeen", "PictureHeads", "sigmoid"]

#: The categories that the heads score, in the order of the rows of their weights.
HEADS: Final = ("weapons",)
#: All rows: behind the categories, whether the picture looks like a photograph, which is no harm.
ROWS: Final = (*HEADS, "photograph")
_SHA256: Final = "cca56cc8dd2018d16e20e0825beebd386867e5e40af1ecca0aa7f3c638435022"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsSeen:
    """What all heads say of a picture.

    Attributes:
        scores: One for each of :data:`HEADS`.
        photograph: 0..1, how much the picture looks like a photograph rather than something drawn,
            painted or rendered; the mean of its parts.
    """

    scores: tuple[HeadScore, ...]
    photograph: float


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

    def look(self, image: Image) -> HeadsSeen:
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
        # The last column is no category.
        for name, column in zip(HEADS, shares.T, strict=False):
            best = int(column.argmax())
            box = boxes[best] if len(boxes) > 1 else None
            found.append(HeadScore(category=name, score=round(float(column[best]), 6), box=box))
        return HeadsSeen(scores=tuple(found), photograph=round(float(shares[:, -1].mean()), 6))


def sigmoid(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return shares of one for logits."""
    return (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
