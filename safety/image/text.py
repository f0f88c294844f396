"""Read the text in a picture and judge it: PP-OCR through the optional package rapidocr.

``pip install chopmark[ocr]``. Its models lie in the wheel; nothing is downloaded. Reading costs
about as much as thirty looks of a small model, so it is done in the review band and where the words
that led to the picture ask for writing.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from PIL.Image import Image

    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.text.guard import PromptGuard
    from chopmark.safety.verdict import Verdict

__all__ = ["TextReader", "ocr_installed"]

#: Left, top, right, bottom.
Box: TypeAlias = tuple[int, int, int, int]
#: Longest side that is read; above, small writing is lost and the reader sees ghosts.
_SIDE: Final[int] = 640
#: Below this confidence a line is a ghost of texture more often than writing.
_SURE: Final[float] = 0.7


def ocr_installed() -> bool:
    """Tell whether the optional package is there."""
    return find_spec("rapidocr") is not None


class TextReader:
    """Reads a picture's lines and has the prompt guard judge them. Safe for threads."""

    def __init__(self, guard: PromptGuard) -> None:
        """Load the reader.

        Raises:
            GuardFailed: rapidocr is not installed or does not load.
        """
        spec = find_spec("rapidocr")
        if spec is None or not spec.submodule_search_locations:
            raise GuardFailed(
                "the package rapidocr, which reads text in pictures, is not installed",
                hint="pip install 'chopmark[ocr]', or CHOPMARK_PICTURE_TEXT=never",
            )
        models = Path(next(iter(spec.submodule_search_locations))) / "models"
        try:
            from rapidocr import RapidOCR

            logging.getLogger("RapidOCR").setLevel(logging.ERROR)
            self._engine: Any = RapidOCR(
                params={
                    "Global.log_level": "error",
                    "Global.max_side_len": _SIDE,
                    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                }
            )
            digest = hashlib.sha256()
            for file in sorted(models.glob("*.onnx")):
                digest.update(file.read_bytes())
        except Exception as error:
            raise GuardFailed(
                f"the reader of text in pictures does not load: {type(error).__name__}: {error}",
                hint="pip install --force-reinstall 'chopmark[ocr]'",
            ) from error
        self._guard = guard
        self._lock = threading.Lock()
        self.model = f"pp-ocr@{digest.hexdigest()[:16]}"

    def lines(self, image: Image) -> list[tuple[str, Box]]:
        """Return the lines that stand in a picture, top to bottom, and where, in its pixels."""
        small = image
        if max(image.size) > _SIDE:
            small = image.copy()
            small.thumbnail((_SIDE, _SIDE))
        scale = image.width / small.width
        # The engine keeps state while it reads.
        with self._lock:
            found = self._engine(np.asarray(small.convert("RGB"))[:, :, ::-1])
        if found.txts is None:
            return []
        read = []
        for text, sure, corners in zip(found.txts, found.scores, found.boxes, strict=True):
            if sure >= _SURE and len(text.strip()) > 1:
                left, top = np.asarray(corners).min(axis=0) * scale
                right, bottom = np.asarray(corners).max(axis=0) * scale
                read.append((str(text), (int(left), int(top), int(right), int(bottom))))
        return read

    def judge(self, image: Image, policy: Policy, /) -> Verdict | None:
        """Return the text policy's verdict on the writing, or ``None`` where there is none."""
        lines = self.lines(image)
        if not lines:
            return None
        verdict = self._guard.judge("\n".join(text for text, _ in lines), policy)
        ends = np.cumsum([len(text) + 1 for text, _ in lines])
        return replace(
            verdict,
            scores=dict(verdict.scores),
            evidence=tuple(
                item
                if item.start is None
                else replace(item, box=lines[int(np.searchsorted(ends, item.start, "right"))][1])
                for item in verdict.evidence
            ),
        )
