"""Vectors of many texts by the int8 encoder, kept in a file for a second calibration."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from chopmark.safety.text.encoder import DIMENSIONS, MAX_TOKENS, SentenceEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["VectorStore"]


class VectorStore:
    """Text to the vector of its beginning, in half precision; what is missing is computed."""

    def __init__(self, file: Path, encoder: SentenceEncoder) -> None:
        """Read the file if it is there and was made by this encoder."""
        self._file, self.encoder = file, encoder
        self._vectors: dict[bytes, NDArray[np.float16]] = {}
        if file.is_file():
            with np.load(file) as held:
                if str(held["model"]) == encoder.model:
                    pairs = zip(held["keys"], held["vectors"], strict=True)
                    self._vectors = {key.tobytes(): vector for key, vector in pairs}

    def vectors(self, texts: Sequence[str], edits: Sequence[bool]) -> NDArray[np.float32]:
        """Return the vectors of texts, shape (n, 384).

        Args:
            texts: In the form that the guard reads.
            edits: Of each, whether it is asked of an edit.
        """
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        pairs = list(zip(texts, edits, strict=True))
        keys = [
            hashlib.blake2b(f"{edit} {text}".encode("utf-8", "replace"), digest_size=16).digest()
            for text, edit in pairs
        ]
        missing = {k: pair for k, pair in zip(keys, pairs, strict=True) if k not in self._vectors}
        for done, (key, (text, edit)) in enumerate(missing.items(), start=1):
            ids = self.encoder.read(text).ids[:MAX_TOKENS]
            self._vectors[key] = self.encoder.vector(ids, edit=edit).astype(np.float16)
            if done % 2000 == 0:
                print(f"  encoded {done} of {len(missing)}", flush=True)
                self._save()
        if missing:
            self._save()
        return np.stack([self._vectors[key] for key in keys]).astype(np.float32)

    def _save(self) -> None:
        keys = np.frombuffer(b"".join(self._vectors), np.uint8).reshape(-1, 16)
        vectors = np.stack(list(self._vectors.values()))
        np.savez(self._file, keys=keys, vectors=vectors, model=np.array(self.encoder.model))
