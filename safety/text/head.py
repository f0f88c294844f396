"""The trained head: a linear layer on the sentence vector, its calibration, and the screen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.encoder import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GROUPS", "Group", "PromptHead", "group_of", "head_file", "looks", "score_of"]

_OUT: Final[int] = len(MODEL_CATEGORIES)
#: Kinds of text, each with a calibration of its own: English or another language, a name of a few
#: tokens or more, asked of a picture or of an edit.
Group: TypeAlias = Literal["en-short", "en", "other-short", "other", "en-edit", "other-edit"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
#: Tokens of a short text at most: some three words.
_SHORT: Final[int] = 6
#: Where the score 0.5 lies, and how much of the logarithm of the odds a unit of it is: so that 0.5 is a
#: probability of .9 and 0.3 one of .3, of a text in use, where nine in ten are harmless.
_SLOPE: Final[float] = 0.2783
_OFFSET: Final[float] = -0.6115


def head_file() -> Path:
    """Return the file of the committed head."""
    return Path(__file__).resolve().parents[1] / "weights" / "prompt_head.safetensors"


def group_of(*, english: bool, tokens: int, edit: bool) -> Group:
    """Return which calibration holds for a text."""
    if edit:
        return "en-edit" if english else "other-edit"
    if tokens <= _SHORT:
        return "en-short" if english else "other-short"
    return "en" if english else "other"


@dataclass(frozen=True, kw_only=True)
class PromptHead:
    """Weights of the head.

    Attributes:
        out: (384, 11) and its bias (11,): what the encoder was trained with.
        scale: (6, 11) and ``shift`` (6, 11), a row for each of :data:`GROUPS`: the logarithm of the
            odds that a text of this logit is harmful, among texts of which nine in ten are harmless.
        screen: (768, s), with ``screen_bias`` (s,), ``screen_out`` (s,), ``screen_shift`` (1,): the screen of
            parts of a long text, a network on :func:`looks`; 0 is its bar of doubt.
        encoder: SHA-256 (hex) of the encoder's file: a head fits one encoder only.
        digest: SHA-256 of the head's own file, in hex.
    """

    out: NDArray[np.float32]
    out_bias: NDArray[np.float32]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    screen: NDArray[np.float32]
    screen_bias: NDArray[np.float32]
    screen_out: NDArray[np.float32]
    screen_shift: NDArray[np.float32]
    encoder: str
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
            tensors = {name: value.astype(np.float32) for name, value in load(data).items()}
            length = int.from_bytes(data[:8], "little")
            meta = json.loads(data[8 : 8 + length]).get("__metadata__", {})
            names = tuple(json.loads(meta["categories"]))
            if names != MODEL_CATEGORIES:
                raise GuardFailed(f"the head {path.name} is for other categories: {names}")
            head = cls(**tensors, encoder=meta["encoder"], digest=hashlib.sha256(data).hexdigest())
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(
                f"the prompt head {path.name} cannot be read: {type(error).__name__}: {error}",
                hint="python -m training.safety --data DIR --out safety/weights",
            ) from error
        if head.out.shape != (DIMENSIONS, _OUT) or head.scale.shape != (len(GROUPS), _OUT):
            raise GuardFailed(f"the prompt head {path.name} has other shapes than this version")
        return head

    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of sentence vectors of shape (..., 384), shape (..., 11)."""
        total: NDArray[np.float32] = vectors @ self.out + self.out_bias
        return total

    def odds(self, logits: NDArray[np.float32], group: Group) -> NDArray[np.float64]:
        """Return the logarithm of the odds of harm, shape (..., 11)."""
        row = GROUPS.index(group)
        raised: NDArray[np.float64] = logits.astype(np.float64) * self.scale[row] + self.shift[row]
        return raised

    def screened(self, looks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the screen says of parts with these looks, shape (n, 768)."""
        inner = np.maximum(looks @ self.screen + self.screen_bias, 0.0)
        said: NDArray[np.float32] = inner @ self.screen_out + self.screen_shift
        return said


def looks(
    words: NDArray[np.float32], parts: Sequence[tuple[int, int, bool]]
) -> NDArray[np.float32]:
    """Return the mean and the largest of the word vectors of each part, shape (n, 768).

    Args:
        words: Of a whole text, shape (tokens, 384).
        parts: Half-open spans of tokens, none empty, each with whether it is cut.
    """
    made: NDArray[np.float32] = np.stack(
        [np.concatenate([words[a:b].mean(axis=0), words[a:b].max(axis=0)]) for a, b, _ in parts]
    )
    return made


def score_of(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores in 0..1 for logarithms of odds: 0.3 for a probability of .3, 0.5 for one of .9."""
    raised = np.clip(odds * _SLOPE + _OFFSET, -60.0, 60.0)
    made: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-raised))
    return made
