"""Exact lookup of 256-bit hashes within a Hamming distance of 31, in numpy.

Multi-index hashing (Norouzi, Punjani, Fleet: "Fast exact search in Hamming space with multi-index
hashing", 2014): cut each hash into b bands; two hashes that differ in at most 31 bits differ in at
most ``31 // b`` bits of some band (pigeonhole). So looking up every band value within that many
bits finds every match; what is found is compared in full. Nothing is approximate.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.errors import HashListError
from chopmark.kit.fingerprint import MATCH_DISTANCE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["HammingIndex"]

_BITS: Final[int] = 256
_REACH: Final[int] = MATCH_DISTANCE
#: Up to here 16 bands of 16 bits; above, 12 bands of 21 and 22 bits: a third of the candidates.
_SMALL: Final[int] = 2_000_000
_FILES: Final[tuple[str, ...]] = ("hashes", "starts", "order", "bands")


class HammingIndex:
    """An immutable index over rows of 32 bytes.

    >>> rows = np.zeros((3, 32), np.uint8)
    >>> rows[1, 0] = 0b111
    >>> [list(map(int, part)) for part in HammingIndex.build(rows).search(rows[0], 2)]
    [[0, 2], [0, 0]]
    """

    def __init__(
        self,
        hashes: NDArray[np.uint64],
        bands: NDArray[np.int64],
        starts: NDArray[np.uint32],
        order: NDArray[np.uint32],
    ) -> None:
        """Take the arrays of :meth:`build`; use that or :meth:`open`."""
        self._hashes, self._bands, self._starts, self._order = hashes, bands, starts, order
        widths = bands[:, 1]
        self._offsets = np.concatenate([[0], np.cumsum((1 << widths) + 1)]).astype(np.int64)
        flips = _REACH // len(bands)
        masks = [_masks(int(width), flips) for width in widths]
        # The probes of all bands, end to end: one look-up in each array instead of one a band.
        counts = [len(part) for part in masks]
        self._probes = np.concatenate(masks)
        self._of_band = np.repeat(np.arange(len(bands)), counts)
        self._places = self._offsets[self._of_band]
        self._shift = self._of_band * len(hashes)

    @classmethod
    def build(cls, rows: NDArray[np.uint8], *, bands: int | None = None) -> HammingIndex:
        """Index hashes, shape (n, 32) uint8; the row number is what a search returns.

        Raises:
            HashListError: Another shape.
        """
        if rows.ndim != 2 or rows.shape[1] != _BITS // 8:
            raise HashListError(f"hashes of shape {rows.shape}", hint="(n, 32) is asked for")
        count = bands or (16 if len(rows) <= _SMALL else 12)
        cuts = _cuts(count)
        plain = np.ascontiguousarray(rows, np.uint8)
        starts, order = [], []
        for first, width in cuts:
            keys = _keys(plain, int(first), int(width))
            order.append(np.argsort(keys, kind="stable").astype(np.uint32))
            sizes = np.bincount(keys, minlength=1 << int(width))
            starts.append(np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint32))
        return cls(
            plain.view(np.uint64).reshape(-1, 4),
            cuts,
            np.concatenate(starts),
            np.concatenate(order) if order else np.zeros(0, np.uint32),
        )

    def __len__(self) -> int:
        """The number of hashes."""
        return len(self._hashes)

    def row(self, number: int) -> bytes:
        """Return a listed hash, 32 bytes."""
        value: bytes = self._hashes[number].tobytes()
        return value

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in (self._hashes, self._starts, self._order))

    def save(self, folder: Path) -> None:
        """Write the arrays as ``.npy`` files that :meth:`open` maps into memory."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: tuple[NDArray[np.generic], ...] = (
            self._hashes,
            self._starts,
            self._order,
            self._bands,
        )
        for name, array in zip(_FILES, arrays, strict=True):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def open(cls, folder: Path) -> HammingIndex:
        """Map a saved index; pages are read when they are needed and shared between processes.

        Raises:
            HashListError: A file is missing or does not belong to the others.
        """
        try:
            hashes, starts, order, bands = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in _FILES
            )
            bands = np.asarray(bands)
            room = int(((1 << bands[:, 1]) + 1).sum())
            whole = len(order) == len(hashes) * len(bands) and len(starts) == room
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise HashListError(
                f"the hash index {folder.name!r} cannot be read: {error}", hint="build it again"
            ) from error
        if not whole or hashes.shape[1:] != (4,) or int(bands[:, 1].sum()) != _BITS:
            raise HashListError(f"the hash index {folder.name!r} is damaged", hint="build it again")
        return cls(hashes, bands, starts, order)

    def search(
        self, row: NDArray[np.uint8], reach: int = _REACH
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows within ``reach`` (0..31) bits of a hash, and their distances, ascending.

        Raises:
            HashListError: A reach for which the index would not be exact.
        """
        if not 0 <= reach <= _REACH:
            raise HashListError(f"distance {reach} is not in 0..{_REACH}")
        wanted = np.ascontiguousarray(row, np.uint8).reshape(1, -1)
        full = wanted.view(np.uint64)
        keys = np.asarray(
            [_keys(wanted, int(first), int(width))[0] for first, width in self._bands], np.int64
        )
        places = self._places + (keys[self._of_band] ^ self._probes)
        begins = self._starts[places].astype(np.int64)
        sizes = self._starts[places + 1].astype(np.int64) - begins
        full_ones = np.flatnonzero(sizes)
        if not len(full_ones):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        sizes, begins = sizes[full_ones], begins[full_ones] + self._shift[full_ones]
        # Ranges begin..begin+size, laid end to end without a loop.
        ends = np.cumsum(sizes)
        rows = self._order[np.arange(ends[-1]) + np.repeat(begins - (ends - sizes), sizes)]
        distances = np.bitwise_count(self._hashes[rows] ^ full).sum(axis=1).astype(np.int64)
        near = distances <= reach
        rows, where = np.unique(rows[near], return_index=True)
        distances = distances[near][where]
        nearest = np.lexsort((rows, distances))
        return rows[nearest], distances[nearest]


def _cuts(count: int) -> NDArray[np.int64]:
    """Return (first bit, width) of each band; widths differ by one bit at most."""
    width, wider = divmod(_BITS, count)
    widths = [width + (band < wider) for band in range(count)]
    firsts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    return np.stack([firsts, np.asarray(widths)], axis=1).astype(np.int64)


def _keys(rows: NDArray[np.uint8], first: int, width: int) -> NDArray[np.int64]:
    """Return bits ``first`` to ``first + width`` of each row as one number."""
    begin, end = first // 8, (first + width + 7) // 8
    value = np.zeros(len(rows), np.int64)
    for byte in range(begin, end):
        value = (value << 8) | rows[:, byte]
    return (value >> (end * 8 - first - width)) & ((1 << width) - 1)


def _masks(width: int, flips: int) -> NDArray[np.int64]:
    """Return every mask of at most ``flips`` set bits among ``width``."""
    masks = [
        sum(1 << bit for bit in bits)
        for count in range(flips + 1)
        for bits in itertools.combinations(range(width), count)
    ]
    return np.asarray(masks, np.int64)
