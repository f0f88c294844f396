"""The trained head: a small network on the sentence vector, a linear model on pieces of words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.encoder import DIMENSIONS
from chopmark.safety.text.features import BUCKETS, hashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PromptHead", "best_of", "head_file"]

_OUT: Final[int] = len(MODEL_CATEGORIES)


def head_file() -> Path:
    """Return the file of the committed head."""
    return Path(__file__).resolve().parents[1] / "weights" / "prompt_head.safetensors"


@dataclass(frozen=True, kw_only=True)
class PromptHead:
    """Weights of the head.

    Attributes:
        hidden: (384, h) and its bias (h,): the first layer on the sentence vector, then ReLU.
        out: (h, 10) and its bias (10,): the second layer.
        pieces: (65536, 10): the linear model on hashed pieces; its output is added.
        scale: (10,) and ``shift`` (10,): score = sigmoid(scale * logit + shift), set so that 0.5
            is the operating point found on the development set.
        digest: SHA-256 of the file, in hex.
    """

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    out: NDArray[np.float32]
    out_bias: NDArray[np.float32]
    pieces: NDArray[np.float16]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    digest: str

    @classmethod
    def load(cls, file: Path | None = None) -> PromptHead:
        """Read a head; without a path the committed one.

        Raises:
            GuardFailed: Missing, damaged, or made for other categories.
        """
        from safetensors.numpy import load

        path = head_file() if file is None else file
        try:
            data = path.read_bytes()
            tensors = load(data)
            length = int.from_bytes(data[:8], "little")
            meta = json.loads(data[8 : 8 + length]).get("__metadata__", {})
            names = tuple(json.loads(meta["categories"]))
            if names != MODEL_CATEGORIES:
                raise GuardFailed(f"the head {path.name} is for other categories: {names}")
            head = cls(
                hidden=tensors["hidden"].astype(np.float32),
                hidden_bias=tensors["hidden_bias"].astype(np.float32),
                out=tensors["out"].astype(np.float32),
                out_bias=tensors["out_bias"].astype(np.float32),
                pieces=tensors["pieces"].astype(np.float16),
                scale=tensors["scale"].astype(np.float32),
                shift=tensors["shift"].astype(np.float32),
                digest=hashlib.sha256(data).hexdigest(),
            )
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(
                f"the prompt head {path.name} cannot be read: {type(error).__name__}: {error}",
                hint="python -m training.safety --data DIR --out safety/weights",
            ) from error
        if head.hidden.shape[0] != DIMENSIONS or head.pieces.shape != (BUCKETS, _OUT):
            raise GuardFailed(f"the prompt head {path.name} has other shapes than this version")
        return head

    def logits(self, vector: NDArray[np.float32], text: str) -> NDArray[np.float32]:
        """Return the ten logits of one text, given its sentence vector."""
        return self.from_vector(vector) + self.from_pieces(text)

    def from_vector(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the part of the logits that the sentence vector gives, shape (10,)."""
        inner = np.maximum(vector @ self.hidden + self.hidden_bias, 0.0)
        total: NDArray[np.float32] = inner @ self.out + self.out_bias
        return total

    def from_pieces(self, text: str) -> NDArray[np.float32]:
        """Return the part of the logits that the hashed pieces of words give, shape (10,)."""
        buckets, weights = hashed(text)
        linear: NDArray[np.float32] = weights @ self.pieces[buckets].astype(np.float32)
        return linear

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return scores in 0..1 for logits of any leading shape."""
        raised = logits.astype(np.float64) * self.scale + self.shift
        result: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(raised, -60.0, 60.0)))
        return result


def best_of(
    table: NDArray[np.float64], parts: Sequence[tuple[int, int]]
) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """Return each category's largest score over the windows, shape (n, 10), and that window."""
    best = table.argmax(axis=0)
    scores = {name: round(float(table[best[i], i]), 6) for i, name in enumerate(MODEL_CATEGORIES)}
    return scores, {name: parts[best[i]] for i, name in enumerate(MODEL_CATEGORIES)}
