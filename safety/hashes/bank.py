"""Banks of hashes: what is listed, by whom, and whether a picture is on it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from chopmark.errors import HashListError
from chopmark.kit.fingerprint import MIN_QUALITY
from chopmark.safety.categories import CATEGORIES, FORM, closest, is_category
from chopmark.safety.hashes.index import HammingIndex
from chopmark.safety.hashes.perceptual import PHASH_MATCH, PictureHashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "LISTED",
    "HashBank",
    "HashEntry",
    "HashKind",
    "HashMatch",
    "csv_entries",
    "iter_csv",
    "read_csv",
    "test_bank",
]

HashKind = Literal["sha256", "pdq", "phash"]
#: The category of a list that names none. It is no policy category: a match always blocks.
LISTED: Final[str] = "listed"
_DIGITS: Final[dict[HashKind, int]] = {"sha256": 64, "pdq": 64, "phash": 16}
_MAX_BYTES: Final[int] = 4 * 1024**3


@dataclass(frozen=True, kw_only=True)
class HashEntry:
    """One hash on a list.

    Attributes:
        kind: Which hash.
        value: Lower-case hex.
        category: ``listed``, one of ours or one of the deployer's; none that is nearly one of ours.
        reference: What the list calls this entry; shown to analysts, never to users.
    """

    kind: HashKind
    value: str
    category: str = LISTED
    reference: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no such hash.

        Raises:
            HashListError: Wrong length, not hex, or no category.
        """
        digits = _DIGITS.get(self.kind)
        if digits is None:
            raise HashListError(
                f"no hash of the kind {self.kind!r}", hint="sha256, pdq and phash are looked up"
            )
        if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", self.value):
            raise HashListError(
                f"{self.value[:80]!r} is no {self.kind}", hint=f"{digits} lower-case hex digits"
            )
        if self.category in CATEGORIES:
            return
        if not is_category(self.category):
            raise HashListError(f"{self.category[:80]!r} is no category's name", hint=FORM)
        near = closest(self.category)
        if near is not None:
            # A match blocks in any category, but only the right one goes the path of its kind:
            # `sexual/minor` would not be sealed.
            raise HashListError(f"unknown category {self.category!r}", hint=f"{near!r}, perhaps?")


@dataclass(frozen=True, kw_only=True)
class HashMatch:
    """A picture's hash is on a list, exactly or within the distance that counts as the same."""

    bank: str
    entry: HashEntry
    distance: int


@dataclass(frozen=True, kw_only=True)
class HashBank:
    """A named list. Frozen: an update is a new bank that takes the old one's place at once."""

    name: str
    entries: tuple[HashEntry, ...]
    source: str = ""
    enabled: bool = True
    _exact: dict[str, HashEntry] = field(init=False, repr=False, compare=False)
    _near: HammingIndex | None = field(init=False, repr=False, compare=False)
    _near_entries: tuple[HashEntry, ...] = field(init=False, repr=False, compare=False)
    _small: NDArray[np.uint64] = field(init=False, repr=False, compare=False)
    _small_entries: tuple[HashEntry, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the lookups."""
        by_kind: dict[HashKind, list[HashEntry]] = {"sha256": [], "pdq": [], "phash": []}
        for entry in self.entries:
            by_kind[entry.kind].append(entry)
        rows = _bytes(by_kind["pdq"]).reshape(-1, 32)
        object.__setattr__(self, "_exact", {entry.value: entry for entry in by_kind["sha256"]})
        object.__setattr__(self, "_near", HammingIndex.build(rows) if len(rows) else None)
        object.__setattr__(self, "_near_entries", tuple(by_kind["pdq"]))
        object.__setattr__(self, "_small", _bytes(by_kind["phash"]).view(np.uint64))
        object.__setattr__(self, "_small_entries", tuple(by_kind["phash"]))

    def match(self, hashes: PictureHashes) -> tuple[HashMatch, ...]:
        """Return the entries that a picture matches, nearest first; one per entry."""
        if not self.enabled:
            return ()
        found: dict[tuple[str, str], HashMatch] = {}

        def note(entry: HashEntry, distance: int) -> None:
            known = found.get((entry.kind, entry.value))
            if known is None or distance < known.distance:
                match = HashMatch(bank=self.name, entry=entry, distance=distance)
                found[entry.kind, entry.value] = match

        exact = self._exact.get(hashes.sha256)
        if exact is not None:
            note(exact, 0)
        if self._near is not None and hashes.quality >= MIN_QUALITY:
            for turned in hashes.pdq:
                for at, distance in zip(*self._near.search(turned), strict=True):
                    note(self._near_entries[int(at)], int(distance))
        if self._small_entries and hashes.quality >= MIN_QUALITY:
            for small in hashes.phash:
                distances = np.bitwise_count(self._small ^ small)
                for at in np.flatnonzero(distances <= PHASH_MATCH):
                    note(self._small_entries[int(at)], int(distances[at]))
        return tuple(sorted(found.values(), key=lambda match: (match.distance, match.entry.value)))


def _bytes(entries: list[HashEntry]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(entry.value for entry in entries)), np.uint8)


#: The hashes of `chopmark.safety.testcard`, which are on the built-in list and on no other.
_TEST_SHA256: Final[str] = "f8934e3de6be7ffe667c8dc400e87035055b9d819d761a5e2a45fdf97857b586"
_TEST_PDQ: Final[str] = "09e2e49837d8abe8d64ce8e17c64bab3e1b11e070783d313380fd753807dd717"


def test_bank() -> HashBank:
    """Return the built-in list that holds the test card, and nothing else."""
    return HashBank(
        name="chopmark-test",
        source="built in; chopmark.safety.testcard draws what it holds",
        entries=(
            HashEntry(kind="sha256", value=_TEST_SHA256, reference="test card"),
            HashEntry(kind="pdq", value=_TEST_PDQ, reference="test card"),
        ),
    )


test_bank.__test__ = False  # type: ignore[attr-defined]  # no pytest test, whatever its name says


def read_csv(path: Path) -> HashBank:
    """Read a bank from CSV: ``kind,value[,category[,reference]]``, ``#`` begins a comment line.

    Raises:
        HashListError: The file cannot be read or a line is wrong; the line's number is said.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise HashListError(f"{path.name} is larger than {_MAX_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HashListError(
            f"the hash list {path.name!r} cannot be read: {error}", hint="UTF-8 text is asked for"
        ) from error
    return HashBank(name=path.stem, source=str(path), entries=tuple(csv_entries(text, path.name)))


def iter_csv(path: Path) -> Iterator[HashEntry]:
    """Yield a file's entries without holding it whole in memory.

    Raises:
        HashListError: The file cannot be read or a line is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv_entries(lines, path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise HashListError(f"the hash list {path.name!r} cannot be read: {error}") from error


def csv_entries(text: str | Iterable[str], name: str) -> Iterable[HashEntry]:
    """Return the entries of a CSV text or its lines; ``name`` is what errors call it.

    Raises:
        HashListError: A line is wrong; its number is said.
    """
    try:
        for number, row in enumerate(
            csv.reader(io.StringIO(text) if isinstance(text, str) else text, strict=True), start=1
        ):
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#") or cells[0].lower() == "kind":
                continue
            if len(cells) < 2:
                raise HashListError(f"{name}:{number}: a kind and a hash are asked for")
            kind, value, category, reference, *_ = [*cells, "", ""]
            try:
                yield HashEntry(
                    kind=kind.lower(),  # type: ignore[arg-type]  # HashEntry checks it
                    value=value.lower(),
                    category=category or LISTED,
                    reference=reference,
                )
            except HashListError as error:
                raise HashListError(f"{name}:{number}: {error.message}", hint=error.hint) from error
    except csv.Error as error:
        raise HashListError(f"{name}: not CSV: {error}", hint="kind,value[,category]") from error
