"""Read the formats in which trust-and-safety teams exchange hashes.

CSV of our own, ThreatExchange JSON (threat_updates and threat_descriptors), NCMEC hash sharing v2
XML, StopNCII JSON. All are read from bytes; fetching them, with a deployer's credentials, is the
deployer's work. What cannot be looked up here (PhotoDNA, video hashes, MD5 and SHA-1 of files that
we never see) is counted in the report, never dropped in silence.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal
from xml.etree import ElementTree as ET

from chopmark.errors import HashListError
from chopmark.kit.files import write_public
from chopmark.safety.hashes.bank import LISTED, HashBank, HashEntry, HashKind, csv_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["FORMATS", "Format", "Imported", "detect_format", "import_list", "write_csv"]

Format = Literal["csv", "threatexchange", "ncmec", "stopncii"]
_MAX_BYTES: Final[int] = 2 * 1024**3
_KINDS: Final[dict[str, HashKind]] = {
    "HASH_PDQ": "pdq",
    "HASH_SHA256": "sha256",
    "IMAGEPDQ": "pdq",
    "PDQ": "pdq",
    "SHA256": "sha256",
    "PHASH": "phash",
}
#: SHA-256 in exchange lists is of files, ours is of pixels; only our own CSV says what it is of.
_OF_PIXELS: Final[frozenset[HashKind]] = frozenset({"pdq", "phash"})


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What one file of a list gave.

    Attributes:
        bank: The entries that can be looked up.
        retracted: References of entries that the list takes back.
        skipped: Kind of hash to how many there were that cannot be looked up here.
        next_page: Where the list goes on, as the list says it; empty at the end.
    """

    bank: HashBank
    retracted: frozenset[str] = frozenset()
    skipped: Mapping[str, int] | None = None
    next_page: str = ""

    def applied_to(self, old: HashBank) -> HashBank:
        """Return the old bank with this file's entries added and its retractions carried out."""
        fresh = {(entry.kind, entry.value): entry for entry in self.bank.entries}
        kept = [
            entry
            for entry in old.entries
            if entry.reference not in self.retracted and (entry.kind, entry.value) not in fresh
        ]
        return replace(old, entries=(*kept, *fresh.values()))


@dataclass(slots=True)
class _Made:
    entries: list[HashEntry]
    retracted: set[str]
    skipped: Counter[str]
    next_page: str = ""

    def add(self, kind: str, value: str, *, category: str, reference: str, where: str) -> None:
        known = _KINDS.get(kind.upper().replace("-", "").replace(" ", ""))
        if known is None or known not in _OF_PIXELS:
            self.skipped[kind or "unknown"] += 1
            return
        try:
            self.entries.append(
                HashEntry(kind=known, value=value.lower(), category=category, reference=reference)
            )
        except HashListError as error:
            raise HashListError(f"{where}: {error.message}", hint=error.hint) from error


def import_list(path: Path, *, kind: Format | None = None, category: str | None = None) -> Imported:
    """Read a list.

    Args:
        path: The file; its stem is the bank's name.
        kind: Its format; told from the content when it is not given.
        category: The category of its entries; NCMEC's are ``sexual/minors`` and StopNCII's
            ``sexual`` unless another is given, all others ``listed``.

    Raises:
        HashListError: Not readable, not that format, or an entry that is no hash.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise HashListError(f"{path.name} is larger than {_MAX_BYTES} bytes", hint="split it")
        data = path.read_bytes()
    except OSError as error:
        raise HashListError(f"{path.name} cannot be read: {error.strerror}") from error
    made = _Made(entries=[], retracted=set(), skipped=Counter())
    FORMATS[kind or detect_format(data)](data, made, path.name, category)
    bank = HashBank(name=path.stem, source=str(path), entries=tuple(made.entries))
    return Imported(
        bank=bank,
        retracted=frozenset(made.retracted),
        skipped=dict(made.skipped),
        next_page=made.next_page,
    )


def detect_format(data: bytes) -> Format:
    """Tell a list's format from its first bytes and its members.

    Raises:
        HashListError: None of them.
    """
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return "ncmec"
    if start.startswith((b"{", b"[")):
        return "stopncii" if b'"hashRecords"' in data else "threatexchange"
    if b"," in start:
        return "csv"
    raise HashListError("not a hash list of a known format", hint=", ".join(FORMATS))


def _csv(data: bytes, made: _Made, name: str, category: str | None) -> None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HashListError(f"{name}: not UTF-8: {error}") from error
    for entry in csv_entries(text, name):
        made.entries.append(entry if category is None else replace(entry, category=category))


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HashListError(f"{name}: not JSON: {error}") from error


def _rows(value: Any, member: str, name: str) -> list[dict[str, Any]]:
    rows = value.get(member) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HashListError(f"{name}: no list of objects in {member!r}")
    return rows


def _threatexchange(data: bytes, made: _Made, name: str, category: str | None) -> None:
    """``{"data": [{"id", "indicator", "type", "should_delete"}], "paging": {"next"}}``."""
    page = _json(data, name)
    for number, row in enumerate(_rows(page, "data", name), start=1):
        indicator = row.get("raw_indicator", row.get("indicator"))
        kind = row.get("type")
        if isinstance(indicator, dict):
            kind, indicator = indicator.get("type", kind), indicator.get("indicator")
        reference = str(row.get("id", ""))
        if row.get("should_delete") is True or row.get("status") == "NON_MALICIOUS":
            made.retracted.add(reference)
            continue
        if not isinstance(indicator, str) or not isinstance(kind, str):
            raise HashListError(f"{name}: data[{number - 1}] has no indicator and type")
        made.add(
            kind,
            indicator,
            category=category or LISTED,
            reference=reference,
            where=f"{name}:{number}",
        )
    paging = page.get("paging") if isinstance(page, dict) else None
    made.next_page = str(paging.get("next", "")) if isinstance(paging, dict) else ""


def _stopncii(data: bytes, made: _Made, name: str, category: str | None) -> None:
    """``{"hashRecords": [{"hashValue", "hashStatus", "signalType"}], "nextPageToken"}``."""
    page = _json(data, name)
    for number, row in enumerate(_rows(page, "hashRecords", name), start=1):
        value, kind = row.get("hashValue"), row.get("signalType")
        if not isinstance(value, str) or not isinstance(kind, str):
            raise HashListError(
                f"{name}: hashRecords[{number - 1}] has no hashValue and signalType"
            )
        if str(row.get("hashStatus", "Active")).lower() not in {"active", "1"}:
            made.retracted.add(value.lower())
            continue
        made.add(
            kind,
            value,
            category=category or "sexual",
            reference=value.lower(),
            where=f"{name}:{number}",
        )
    token = page.get("nextPageToken") if isinstance(page, dict) else None
    made.next_page = str(token or "")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _ncmec(data: bytes, made: _Made, name: str, category: str | None) -> None:
    """``queryResult`` of v2: images with fingerprints, deletedImages, paging/next."""
    if re.search(rb"<!\s*(?:DOCTYPE|ENTITY)", data[:1_000_000], re.IGNORECASE):
        raise HashListError(f"{name}: a DOCTYPE is not allowed", hint="the service sends none")
    try:
        root = ET.fromstring(data)  # noqa: S314 - no DOCTYPE, so no entities
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise HashListError(f"{name}: not XML: {error}") from error
    if _local(root.tag) != "queryResult":
        raise HashListError(f"{name}: {_local(root.tag)!r} is no queryResult", hint="NCMEC v2")
    for group in root:
        group_name = _local(group.tag)
        if group_name == "paging":
            made.next_page = next((e.text or "" for e in group if _local(e.tag) == "next"), "")
            continue
        for number, item in enumerate(group, start=1):
            parts = {_local(part.tag): part for part in item}
            reference = (parts["id"].text or "").strip() if "id" in parts else ""
            if group_name.startswith("deleted"):
                made.retracted.add(reference)
                continue
            for print_ in parts.get("fingerprints", ()):
                made.add(
                    _local(print_.tag),
                    (print_.text or "").strip(),
                    category=category or "sexual/minors",
                    reference=reference,
                    where=f"{name}: {group_name}[{number - 1}]",
                )


FORMATS: Final[dict[Format, Callable[[bytes, _Made, str, str | None], None]]] = {
    "csv": _csv,
    "threatexchange": _threatexchange,
    "ncmec": _ncmec,
    "stopncii": _stopncii,
}


def write_csv(bank: HashBank, path: Path) -> None:
    """Write a bank as CSV, atomically: a guard that reads the folder sees the old file or the new.

    Raises:
        HashListError: The file cannot be written.
    """
    lines = [f"# {bank.name}; from {bank.source}"]
    for entry in bank.entries:
        reference = re.sub(r'[",\r\n]', " ", entry.reference)
        lines.append(f"{entry.kind},{entry.value},{entry.category},{reference}")
    write_public(path, ("\n".join(lines) + "\n").encode(), error=HashListError)
