"""Sentence vectors of many texts, kept in a file so that a second fit starts at once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from chopmark.safety.text.encoder import DIMENSIONS, SentenceEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Encodes", "VectorStore"]


class Encodes(Protocol):
    """An encoder of one text."""

    def embed(self, text: str, /) -> NDArray[np.float32]:
        """Return its vector, shape (384,)."""
        ...


class VectorStore:
    """Text to vector; what is not there yet is computed. Half precision: the head needs no more."""

    def __init__(
        self, file: Path | None = None, *, encoder: Callable[[], Encodes] = SentenceEncoder
    ) -> None:
        """Read the file if it is there; the encoder is made when a text is missing in it."""
        self._file, self._make = file, encoder
        self._vectors: dict[bytes, NDArray[np.float16]] = {}
        if file is not None and file.is_file():
            with np.load(file) as held:
                keys, vectors = held["keys"], held["vectors"]
                self._vectors = {k.tobytes(): v for k, v in zip(keys, vectors, strict=True)}

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, shape (n, 384)."""
        keys = [
            hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
            for text in texts
        ]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors
        }
        if missing:
            encoder = self._make()
            for done, (key, text) in enumerate(missing.items(), start=1):
                self._vectors[key] = encoder.embed(text).astype(np.float16)
                if done % 2000 == 0:
                    print(f"  encoded {done} of {len(missing)}", flush=True)
                    self.save()
            self.save()
        if not keys:
            return np.zeros((0, DIMENSIONS), np.float32)
        return np.stack([self._vectors[key] for key in keys]).astype(np.float32)

    def save(self) -> None:
        """Write the file, if there is one."""
        if self._file is None:
            return
        keys = np.frombuffer(b"".join(self._vectors), np.uint8).reshape(-1, 16)
        np.savez(self._file, keys=keys, vectors=np.stack(list(self._vectors.values())))
