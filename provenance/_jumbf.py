"""JUMBF boxes (ISO 19566-5): as much as it takes to name the manifests of a store.

A C2PA manifest store is a superbox labelled ``c2pa`` whose children are manifests, each a superbox
labelled with the manifest's id; the last one is the active one (C2PA 2.4, 11.1.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["active_id", "active_only", "children", "contents", "part_of"]

_HEADER: Final = 8
_DESCRIPTION: Final = b"jumd"
_SUPERBOX: Final = b"jumb"
# Bounds the walk over hostile bytes; real stores hold a few dozen manifests.
_MAX_CHILDREN: Final = 1_000


def active_id(store: bytes) -> str | None:
    """Return the id of the active manifest, or None where these bytes are no manifest store."""
    found = _manifests(store)
    return found[-1][0] if found else None


def active_only(store: bytes) -> bytes | None:
    """Return a store that holds the active manifest alone, or None where there is none."""
    found = _manifests(store)
    if not found:
        return None
    # The first child describes the superbox; it is kept, so that the rest is still a store.
    description = next(_boxes(store, _HEADER, len(store)), None)
    if description is None:
        return None
    _, start, end = description
    body = store[start:end] + store[found[-1][1] : found[-1][2]]
    return (len(body) + _HEADER).to_bytes(4, "big") + _SUPERBOX + body


def part_of(store: bytes, manifest_id: str, label: str) -> bytes | None:
    """Return the content of a box within a manifest, or None where there is none.

    Args:
        store: A manifest store.
        manifest_id: Label of the manifest.
        label: Of the box in it.
    """
    if len(store) < _HEADER or store[4:8] != _SUPERBOX:
        return None
    for _, start, end in _boxes(store, _HEADER, len(store)):
        if _label(store, start, end) != manifest_id:
            continue
        for kind, inner, inner_end in _boxes(store, start + _HEADER, end):
            if kind == _SUPERBOX and _label(store, inner, inner_end) == label:
                return store[inner:inner_end]
    return None


def _manifests(store: bytes) -> list[tuple[str, int, int]]:
    if len(store) < _HEADER or store[4:8] != _SUPERBOX:
        return []
    if int.from_bytes(store[:4], "big") != len(store) or _label(store, 0, len(store)) != "c2pa":
        return []
    found = []
    for kind, start, end in _boxes(store, _HEADER, len(store)):
        if kind == _SUPERBOX:
            label = _label(store, start, end)
            # One manifest that cannot be named makes the order, and so the active one, uncertain.
            if label is None or not label.startswith("urn:"):
                return []
            found.append((label, start, end))
    return found


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes between two places; stops at one that does not fit."""
    for _ in range(_MAX_CHILDREN):
        if start + _HEADER > end:
            return
        length = int.from_bytes(data[start : start + 4], "big")
        if length < _HEADER or start + length > end:
            return
        yield data[start + 4 : start + 8], start, start + length
        start += length


def _label(data: bytes, start: int, end: int) -> str | None:
    """Return a superbox's label: after the type UUID and the toggles of its description box."""
    first = next(_boxes(data, start + _HEADER, end), None)
    if first is None or first[0] != _DESCRIPTION:
        return None
    content = data[first[1] + _HEADER : first[2]]
    # 16 bytes of type UUID, then the toggles; bit 1 says that a label follows (ISO 19566-5).
    if len(content) < 18 or not content[16] & 0x02:
        return None
    text, zero, _ = content[17:].partition(b"\0")
    try:
        return text.decode("utf-8") if zero else None
    except UnicodeDecodeError:
        return None


def children(superbox: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Yield label and bytes of each superbox within one; None for one without a label."""
    for kind, start, end in _boxes(superbox, _HEADER, len(superbox)):
        if kind == _SUPERBOX:
            yield _label(superbox, start, end), superbox[start:end]


def contents(superbox: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each box within a superbox."""
    for kind, start, end in _boxes(superbox, _HEADER, len(superbox)):
        yield kind, superbox[start + _HEADER : end]
