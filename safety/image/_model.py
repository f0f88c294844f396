"""A picture model from a file that is exactly the one expected."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_model"]


def open_model(file: Path, *, sha256: str, hint: str) -> Any:
    """Return an onnxruntime session of one thread.

    Args:
        file: The ONNX file.
        sha256: Its digest, lower-case hex. Another file is another model, with other scores.
        hint: What to do when it is missing or damaged.

    Raises:
        GuardFailed: The file is missing, another one, or does not load.
    """
    try:
        import onnxruntime

        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise GuardFailed(
                f"the SHA-256 of the picture model {file.name} is {digest[:16]}…,"
                f" not {sha256[:16]}…",
                hint=hint,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Weights kept as bytes become floats once, when the model is loaded, and not at each
        # picture: only then are convolutions laid out for this processor. Same numbers, and
        # nsfwjs takes 40 % of the time.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except GuardFailed:
        raise
    except Exception as error:
        raise GuardFailed(
            f"the picture model {file.name} does not load: {error}", hint=hint
        ) from error
