"""Items of metadata in AVIF and HEIC: which there are, and where their bytes stand.

Sources: ISO/IEC 14496-12, sections 8.11.1 (``meta``), 8.11.3 (``iloc``) and 8.11.6 (``iinf``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import UnreadableImage
from chopmark.kit.limits import BMFF_BOXES, BMFF_PLACES, XMP

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["heif_items"]

_XMP_TYPE: Final = b"application/rdf+xml"


def heif_items(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield ``xmp`` or ``exif`` with the item's bytes, ``unread`` for one that is out of reach.

    Raises:
        UnreadableImage: The structure is broken.
    """
    meta = next(
        ((at, end) for kind, at, end in _boxes(data, 0, len(data)) if kind == b"meta"), None
    )
    if meta is None:
        return
    inner = {kind: (at, end) for kind, at, end in _boxes(data, meta[0] + 4, meta[1])}
    kinds = dict(_kinds(data, *inner[b"iinf"])) if b"iinf" in inner else {}
    if not kinds or b"iloc" not in inner:
        return
    stored = inner.get(b"idat", (0, 0))
    for item, method, extents in _places(data, *inner[b"iloc"]):
        kind = kinds.get(item)
        if kind is None:
            continue
        size = sum(length for _, length in extents)
        if method > 1 or size > XMP.most:
            yield "unread", b""
            continue
        start, end = (0, len(data)) if method == 0 else stored
        yield kind, b"".join(data[start + at : min(start + at + n, end)] for at, n in extents)


def _kinds(data: bytes, at: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the number and kind of the items that hold metadata."""
    at += 6 if data[at] == 0 else 8
    for kind, content, stop in _boxes(data, at, end):
        if kind != b"infe" or data[content] < 2:
            continue
        wide = 2 if data[content] == 2 else 4
        item = int.from_bytes(data[content + 4 : content + 4 + wide], "big")
        named = content + 4 + wide + 2
        if data[named : named + 4] == b"Exif":
            yield item, "exif"
        elif data[named : named + 4] == b"mime":
            # Two texts that end in a zero: the item's name and its media type.
            texts = data[named + 4 : stop].split(b"\0")
            if len(texts) > 1 and texts[1] == _XMP_TYPE:
                yield item, "xmp"


def _places(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield each item's number, construction method, and its extents (place, length)."""
    version, sizes = data[at], int.from_bytes(data[at + 4 : at + 6], "big")
    offset, length, base, index = (sizes >> shift & 0xF for shift in (12, 8, 4, 0))
    wide, at, left = (4 if version == 2 else 2), at + 6, BMFF_PLACES.most

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise UnreadableImage("the list of items ends too early")
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 0xF if version else 0
        number(2)
        start, count = number(base), number(2)
        left -= count
        if left < 0:
            raise UnreadableImage("the file names too many places")
        extents = []
        for _ in range(count):
            number(index if version else 0)
            place = number(offset)
            extents.append((start + place, number(length)))
        yield item, method, extents


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box: its type, and where its content starts and ends."""
    for _ in range(BMFF_BOXES.most):
        if at + 8 > end:
            return
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif length == 0:
            length = end - at
        if length < head or at + length > end:
            return
        yield data[at + 4 : at + 8], at + head, at + length
        at += length
