"""One picture more on a hash list, or one less: from a file, or from a record of the log."""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.raw_picture import as_image
from chopmark.service.standing import utc

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog, Desk
    from chopmark.pipeline.parts import Parts
    from chopmark.safety.hashes.bank import HashBank

__all__ = ["add_entry", "remove_entry"]

# Two changes at once would each write the list that they read.
_CHANGING: Final = threading.Lock()


def add_entry(
    parts: Parts,
    desk: Desk,
    name: str,
    *,
    image: bytes | None = None,
    record_id: str | None = None,
    category: str | None = None,
    rationale: str = "",
) -> dict[str, Any]:
    """Put one picture on a list; whoever asks next with one like it is refused.

    Args:
        parts: The lists' folder, the log, and whoever takes strangers' files apart.
        desk: Of whoever does it; it is booked there.
        name: Of the list; made when there is none.
        image: A file, which is not kept.
        record_id: Instead of a file: the pictures of this record, or one of its outputs.
        category: What the list says of it; None is ``listed``, which blocks like any other.
        rationale: Why.

    Returns:
        ``name``, ``entries`` (of the list), ``added`` (by kind of hash) and ``event``.

    Raises:
        InvalidRequest: No folder for lists is set, the list is a compiled one, or nothing of the
            record's pictures is known.
        HashListError: The category is no name of one, or the list cannot be written.
        RecordNotFound: No such record.
    """
    from chopmark.safety.hashes.bank import LISTED, HashBank, HashEntry, read_csv

    path, kind = _path(parts, name), category or LISTED
    made = [
        HashEntry(kind=what, value=value, category=kind, reference="added at the desk")
        for what, value in _values(parts, desk, image, record_id)
    ]
    with _CHANGING:
        path.parent.mkdir(parents=True, exist_ok=True)
        old = read_csv(path) if path.exists() else HashBank(name=name, entries=())
        known = {(entry.kind, entry.value) for entry in old.entries}
        fresh = tuple(one for one in made if (one.kind, one.value) not in known)
        # Booked first: a list that says more than the log would be nobody's doing.
        event = desk.hash_changed(
            "hash.added",
            name,
            category=kind,
            entries=len(fresh),
            record_id=record_id if image is None else None,
            rationale=rationale,
        )
        _write(path, replace(old, entries=(*old.entries, *fresh), source=f"{name} (the desk)"))
    return {
        "name": name,
        "entries": len(old.entries) + len(fresh),
        "added": dict(Counter(one.kind for one in fresh)),
        "category": kind,
        "event": event.to_dict(),
    }


def remove_entry(
    parts: Parts,
    desk: Desk,
    name: str,
    *,
    rationale: str,
    image: bytes | None = None,
    record_id: str | None = None,
) -> dict[str, Any]:
    """Take one picture off a list again: the very hashes, and none that are only like them.

    Args:
        parts: As for :func:`add_entry`.
        desk: Likewise.
        name: Of the list.
        rationale: Why.
        image: A file, which is not kept.
        record_id: Instead of a file.

    Returns:
        ``name``, ``entries`` (that are left), ``removed`` (by kind of hash) and ``event``.

    Raises:
        RecordNotFound: No such list, nothing of the picture is on it, or no such record.
        InvalidRequest: As for :func:`add_entry`, or no rationale.
    """
    from chopmark.safety.hashes.bank import read_csv

    path = _path(parts, name)
    gone = set(_values(parts, desk, image, record_id))
    with _CHANGING:
        old = read_csv(path).entries if path.exists() else ()
        out = [entry for entry in old if (entry.kind, entry.value) in gone]
        if not out:
            raise RecordNotFound(
                f"nothing of this picture is on the list {name}",
                hint="the file or record that was added; others are only like it",
            )
        event = desk.hash_changed(
            "hash.removed",
            name,
            category=out[0].category,
            entries=len(out),
            record_id=record_id if image is None else None,
            rationale=rationale,
        )
        left = tuple(entry for entry in old if (entry.kind, entry.value) not in gone)
        _write(path, replace(read_csv(path), entries=left, source=f"{name} (the desk)"))
    return {
        "name": name,
        "entries": len(left),
        "removed": dict(Counter(one.kind for one in out)),
        "event": event.to_dict(),
    }


def _path(parts: Parts, name: str) -> Path:
    folder = parts.settings.hash_lists
    if folder is None:
        raise InvalidRequest(
            "no folder for hash lists is set", hint="the deployer sets CHOPMARK_HASH_LISTS"
        )
    path = folder / f"{name}.csv"
    if path.with_suffix(".bank").exists():
        raise InvalidRequest(f"the list {name} is a compiled one", hint="use a list of your own")
    return path


def _values(
    parts: Parts, desk: Desk, image: bytes | None, record_id: str | None
) -> list[tuple[Any, str]]:
    if image is not None:
        return _of_file(parts, image)
    return _of_record(parts.log, desk, str(record_id))


def _write(path: Path, bank: HashBank) -> None:
    from chopmark.safety.hashes.formats import write_csv
    from chopmark.safety.hashes.state import read_state, write_state

    write_csv(bank, path)
    state = read_state(path)
    write_state(path, replace(state, version=state.version + 1, source="the desk", updated=utc()))


def _of_file(parts: Parts, image: bytes) -> list[tuple[Any, str]]:
    from chopmark.kit.fingerprint import MIN_QUALITY
    from chopmark.safety.hashes.perceptual import hash_picture

    hashes = hash_picture(as_image(parts.files.decode(image)))
    found: list[tuple[Any, str]] = [("sha256", hashes.sha256)]
    if hashes.quality >= MIN_QUALITY:
        found.append(("pdq", bytes(hashes.pdq[0]).hex()))
    return found


def _of_record(log: AuditLog, desk: Desk, any_id: str) -> list[tuple[Any, str]]:
    """Return fingerprints of a record's pictures, or of the small copies of those that stayed."""
    from PIL import Image

    from chopmark.safety.hashes.perceptual import hash_picture

    only = None if any_id.endswith("0") else any_id
    found: dict[str, str] = {}
    for record in desk.records(any_id):
        private = log.private(record.index) or {}
        hashes, copies = private.get("pdq"), private.get("looks")
        for output, copy in (copies if isinstance(copies, dict) else {}).items():
            text = copy.get("webp") if isinstance(copy, dict) else None
            try:
                data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
            except binascii.Error:
                continue
            with Image.open(io.BytesIO(data)) as picture:
                found[output] = bytes(hash_picture(picture.convert("RGB")).pdq[0]).hex()
        found |= {
            str(output): str(pdq)
            for output, pdq in (hashes if isinstance(hashes, dict) else {}).items()
            if pdq
        }
    chosen = [pdq for output, pdq in found.items() if only in {None, output}]
    if not chosen:
        raise InvalidRequest(
            f"no picture of record {any_id} is known by its fingerprint",
            hint="upload the picture instead",
        )
    return [("pdq", pdq) for pdq in dict.fromkeys(chosen)]
