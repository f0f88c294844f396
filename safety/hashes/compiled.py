"""A large list, compiled: arrays in files that are mapped into memory, so that ten million fit.

A bank of ten million PDQ hashes takes about 900 MB of address space, and of memory what is looked
at; processes share it. Compiling is done once, by ``chopmark hashes compile``.
"""

from __future__ import annotations

import itertools
import json
import shutil
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from chopmark.errors import HashListError
from chopmark.kit.files import install_folder
from chopmark.kit.fingerprint import MIN_QUALITY
from chopmark.safety.hashes.bank import HashEntry, HashKind, HashMatch
from chopmark.safety.hashes.index import HammingIndex
from chopmark.safety.hashes.perceptual import PHASH_MATCH, PictureHashes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CompiledBank", "compile_bank"]

_KINDS: Final[tuple[HashKind, ...]] = ("pdq", "sha256", "phash")
_WIDTH: Final[dict[HashKind, int]] = {"pdq": 32, "sha256": 32, "phash": 8}
_CHUNK: Final[int] = 100_000
#: An entry's category is kept as one byte, the place in the list's own table of categories.
_MOST_CATEGORIES: Final[int] = 256


def compile_bank(entries: Iterable[HashEntry], folder: Path) -> int:
    """Write entries as arrays; the folder appears whole or not at all, an old one is replaced.

    Args:
        entries: Read once, in chunks: a generator of ten million is fine.
        folder: ``NAME.bank``.

    Returns:
        How many entries there are.

    Raises:
        HashListError: The folder cannot be written, or there are over 256 categories.
    """
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    categories: dict[str, int] = {}
    values: dict[HashKind, list[NDArray[np.uint8]]] = {kind: [] for kind in _KINDS}
    marks: dict[HashKind, list[NDArray[np.uint8]]] = {kind: [] for kind in _KINDS}
    ends: dict[HashKind, list[int]] = {kind: [0] for kind in _KINDS}
    texts: dict[HashKind, BinaryIO] = {}
    try:
        part.mkdir(parents=True)
        for kind in _KINDS:
            texts[kind] = (part / f"{kind}.references").open("wb")
        stream = iter(entries)
        while chunk := list(itertools.islice(stream, _CHUNK)):
            for kind in _KINDS:
                mine = [entry for entry in chunk if entry.kind == kind]
                raw = bytes.fromhex("".join(entry.value for entry in mine))
                values[kind].append(np.frombuffer(raw, np.uint8).reshape(-1, _WIDTH[kind]))
                numbers = [categories.setdefault(e.category, len(categories)) for e in mine]
                if len(categories) > _MOST_CATEGORIES:
                    raise HashListError(f"more than {_MOST_CATEGORIES} categories on one list")
                marks[kind].append(np.asarray(numbers, np.uint8))
                for entry in mine:
                    reference = entry.reference.encode("utf-8", "replace")
                    texts[kind].write(reference)
                    ends[kind].append(ends[kind][-1] + len(reference))
        for kind in _KINDS:
            texts[kind].close()
            rows = (
                np.concatenate(values[kind])
                if values[kind]
                else np.zeros((0, _WIDTH[kind]), np.uint8)
            )
            values[kind] = []
            number = np.concatenate(marks[kind]) if marks[kind] else np.zeros(0, np.uint8)
            np.save(part / f"{kind}.categories.npy", number)
            np.save(part / f"{kind}.ends.npy", np.asarray(ends[kind], np.uint64))
            _write(kind, rows, part)
        sizes = {kind: len(ends[kind]) - 1 for kind in _KINDS}
        meta = {"categories": list(categories), "sizes": sizes}
        (part / "bank.json").write_text(json.dumps(meta), "utf-8")
    except OSError as error:
        raise HashListError(f"{folder.name} cannot be written: {error}") from error
    finally:
        for text in texts.values():
            text.close()
    install_folder(part, folder, replace=True, error=HashListError)
    return sum(sizes.values())


def _write(kind: HashKind, rows: NDArray[np.uint8], part: Path) -> None:
    match kind:
        case "pdq":
            HammingIndex.build(rows).save(part / "pdq")
        case "sha256":
            words = rows.view(">u8").reshape(-1, 4)
            order = np.lexsort(words.T[::-1]).astype(np.uint32)
            np.save(part / "sha256.npy", rows[order])
            np.save(part / "sha256.order.npy", order)
        case "phash":
            np.save(part / "phash.npy", rows.view(np.uint64).ravel())


class CompiledBank:
    """A compiled list behind the interface of :class:`~chopmark.safety.hashes.bank.HashBank`.

    Attributes:
        name: Of the list.
    """

    def __init__(self, folder: Path) -> None:
        """Map the arrays.

        Raises:
            HashListError: A file is missing or does not belong to the others.
        """
        self.name = folder.stem
        try:
            meta: Any = json.loads((folder / "bank.json").read_bytes())
            self._categories = tuple(map(str, meta["categories"]))
            self._sizes = {kind: int(meta["sizes"][kind]) for kind in _KINDS}
            self._index = HammingIndex.open(folder / "pdq")
            self._arrays = {
                name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in (
                    "sha256",
                    "sha256.order",
                    "phash",
                    *(f"{kind}.{what}" for kind in _KINDS for what in ("categories", "ends")),
                )
            }
            self._texts = {kind: _mapped(folder / f"{kind}.references") for kind in _KINDS}
            whole = len(self._index) == self._sizes["pdq"] and all(
                len(self._arrays[f"{kind}.ends"]) == self._sizes[kind] + 1 for kind in _KINDS
            )
        except HashListError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise HashListError(
                f"the compiled list {folder.name!r} cannot be read: {error}",
                hint="compile it again",
            ) from error
        if not whole:
            raise HashListError(
                f"the compiled list {folder.name!r} is damaged", hint="compile it again"
            )

    def __len__(self) -> int:
        """The number of entries."""
        return sum(self._sizes.values())

    @property
    def categories(self) -> dict[str, int]:
        """How many entries each category has."""
        counts = sum(
            np.bincount(self._arrays[f"{kind}.categories"], minlength=len(self._categories) or 1)
            for kind in _KINDS
        )
        return {name: int(np.asarray(counts)[at]) for at, name in enumerate(self._categories)}

    def match(self, hashes: PictureHashes) -> tuple[HashMatch, ...]:
        """Return the entries that a picture matches, nearest first; one per entry."""
        found: dict[tuple[HashKind, int], int] = {}

        def note(kind: HashKind, row: int, distance: int) -> None:
            found[kind, row] = min(distance, found.get((kind, row), 256))

        row = self._exact(bytes.fromhex(hashes.sha256))
        if row is not None:
            note("sha256", row, 0)
        if hashes.quality >= MIN_QUALITY:
            for turned in hashes.pdq if self._sizes["pdq"] else ():
                for at, distance in zip(*self._index.search(turned), strict=True):
                    note("pdq", int(at), int(distance))
            for small in hashes.phash if self._sizes["phash"] else ():
                distances = np.bitwise_count(self._arrays["phash"] ^ small)
                for at in np.flatnonzero(distances <= PHASH_MATCH):
                    note("phash", int(at), int(distances[at]))
        matches = [
            HashMatch(bank=self.name, entry=self._entry(kind, row), distance=distance)
            for (kind, row), distance in found.items()
        ]
        return tuple(sorted(matches, key=lambda match: (match.distance, match.entry.value)))

    def _exact(self, wanted: bytes) -> int | None:
        rows = self._arrays["sha256"]
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) // 2
            here = rows[middle].tobytes()
            if here == wanted:
                return int(self._arrays["sha256.order"][middle])
            low, high = (middle + 1, high) if here < wanted else (low, middle)
        return None

    def _entry(self, kind: HashKind, row: int) -> HashEntry:
        begin, end = (int(self._arrays[f"{kind}.ends"][at]) for at in (row, row + 1))
        text = self._texts[kind][begin:end].tobytes()
        match kind:
            case "pdq":
                value = self._index.row(row)
            case "phash":
                value = self._arrays["phash"][row].tobytes()
            case "sha256":
                value = self._of_order(row)
        return HashEntry(
            kind=kind,
            value=value.hex(),
            category=self._categories[int(self._arrays[f"{kind}.categories"][row])],
            reference=text.decode("utf-8", "replace"),
        )

    def _of_order(self, row: int) -> bytes:
        at = int(np.flatnonzero(self._arrays["sha256.order"] == row)[0])
        value: bytes = self._arrays["sha256"][at].tobytes()
        return value


def _mapped(file: Path) -> NDArray[np.uint8]:
    # An empty file cannot be mapped.
    return np.memmap(file, np.uint8, "r") if file.stat().st_size else np.zeros(0, np.uint8)
