"""The manifest's box in an AVIF file, put in and taken out as c2pa-rs does.

Sources: ISO/IEC 14496-12, sections 4.2 (boxes) and 8.11.3 (``iloc``); C2PA 2.4, A.5.1 (the ``uuid``
box of a manifest). Items are found by their place in the file, so whatever stands before them and
changes its size moves every place that ``iloc`` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooComplex, UnreadableImage, UnsupportedImage
from chopmark.kit.limits import BMFF_PLACES
from chopmark.provenance._boxes import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["avif_with_manifest", "avif_without_manifest"]

_USER_TYPE: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
# Version and flags, the box's purpose, and the place of Merkle trees, of which a picture has none.
_PURPOSE: Final = bytes(4) + b"manifest\0" + bytes(8)
# A second one is legal for updates; more are somebody's game with our time.
_MAX_MANIFESTS: Final = 8


def avif_with_manifest(data: bytes, manifest: bytes) -> bytes:
    """Return the file with this manifest store after its first box.

    Raises:
        UnreadableImage: The structure is broken.
        UnsupportedImage: A sequence: its samples have places of their own.
    """
    content = _USER_TYPE + _PURPOSE + manifest
    box = (8 + len(content)).to_bytes(4, "big") + b"uuid" + content
    place = next(_boxes(data, 0, len(data))).end
    moved = _moved(data, place, len(box))
    return moved[:place] + box + moved[place:]


def avif_without_manifest(data: bytes) -> bytes:
    """Return the file without its manifests; a file that has none comes back as it is.

    Raises:
        UnreadableImage: The structure is broken.
        UnsupportedImage: A sequence.
    """
    for _ in range(_MAX_MANIFESTS):
        found = next(
            (box for box in _boxes(data, 0, len(data)) if _holds_manifest(data, box)), None
        )
        if found is None:
            return data
        moved = _moved(data, found.start, found.start - found.end)
        data = moved[: found.start] + moved[found.end :]
    raise UnreadableImage(f"the AVIF file holds more than {_MAX_MANIFESTS} manifests")


def _holds_manifest(data: bytes, box: Segment) -> bool:
    return box.type == b"uuid" and data.startswith(_USER_TYPE, box.content)


def _boxes(data: bytes, start: int, end: int) -> Iterator[Segment]:
    position = start
    while position + 8 <= end:
        size, content = int.from_bytes(data[position : position + 4], "big"), position + 8
        # 1 announces a 64-bit size, 0 "to the end" (ISO/IEC 14496-12, 4.2).
        if size == 1:
            size, content = int.from_bytes(data[content : content + 8], "big"), content + 8
        elif size == 0:  # to the end of the file
            size = end - position
        if size < content - position or position + size > end:
            raise UnreadableImage("an AVIF box reaches beyond the end of what holds it")
        yield Segment(data[position + 4 : position + 8], position, content, position + size)
        position += size
    if position != end:
        raise UnreadableImage("there are bytes after the last AVIF box")


def _moved(data: bytes, place: int, by: int) -> bytes:
    """Return the data with what ``iloc`` names behind ``place`` named ``by`` bytes further on."""
    out = bytearray(data)
    for box in _boxes(data, 0, len(data)):
        if box.type == b"moov":
            raise UnsupportedImage("an AVIF sequence cannot take its manifest back")
        if box.type != b"meta":
            continue
        # `meta` is a full box: four bytes of version and flags come before its children.
        for inner in _boxes(data, box.content + 4, box.end):
            if inner.type == b"iloc":
                _move_items(out, _Reader(data, inner.content, inner.end), place, by)
    return bytes(out)


def _move_items(out: bytearray, read: _Reader, place: int, by: int) -> None:
    version = read.number(1)
    read.number(3)
    # Four nibbles: widths of offset, length, base offset and (versions 1 and 2) index.
    sizes = read.number(2)
    offset, length, base, index = (sizes >> shift & 0xF for shift in (12, 8, 4, 0))
    # Version 2 counts and names items with 32 bits.
    wide = 4 if version == 2 else 2
    places = 0
    for _ in range(read.number(wide)):
        read.number(wide)
        method = read.number(2) & 0xF if version else 0
        read.number(2)
        at, start = read.position, read.number(base)
        # Places within other items (construction methods 1 and 2) do not move.
        moves = method == 0
        if moves and start:
            # With a base offset the extents are relative to it, so only the base moves.
            _add(out, at, base, by if start >= place else 0)
        extents = read.number(2)
        # Where offsets and lengths have no bytes, the list's own length does not bound it.
        places += extents
        if places > BMFF_PLACES.most:
            raise ImageTooComplex(f"the AVIF file names more than {BMFF_PLACES.most} places")
        for _ in range(extents):
            if version and index:
                read.number(index)
            at, extent = read.position, read.number(offset)
            if moves and not start and extent >= place:
                _add(out, at, offset, by)
            read.number(length)


def _add(out: bytearray, at: int, size: int, by: int) -> None:
    value = int.from_bytes(out[at : at + size], "big") + by
    if not 0 <= value < 1 << (8 * size):
        raise UnreadableImage("an AVIF item lies at a place that cannot be")
    out[at : at + size] = value.to_bytes(size, "big")


class _Reader:
    """Reads big-endian numbers one after the other, and never beyond the end."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data, self.position, self._end = data, position, end

    def number(self, size: int) -> int:
        at = self.position
        self.position += size
        if self.position > self._end:
            raise UnreadableImage("the AVIF file's list of items ends too early")
        return int.from_bytes(self._data[at : self.position], "big")
