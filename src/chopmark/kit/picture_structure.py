"""How many parts a stranger's picture file has, counted before any decoder or parser sees it.

Decoders walk chunks in Python (Pillow), parsers build a tree of boxes (c2pa), and both look at each
part again and again: a file of a million empty chunks cost half a minute. One walk here costs less
than a millisecond for a file that a camera or a program wrote, and stops at the limit for others.
What is broken is not judged: the walk ends there, and whoever decodes the file says what is wrong.

Sources: PNG (W3C 3rd ed., 5.3), JPEG (ITU-T T.81, B.1.1), WebP (RFC 9649), GIF (GIF89a, 18 to 27),
TIFF 6.0 (section 2), ISO/IEC 14496-12 (4.2), ISO 19566-5 (JUMBF); where a manifest stands: C2PA
2.4, annex A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooComplex
from chopmark.kit import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.kit.limits import Limit

__all__ = ["DeclaredSize", "check_exif", "check_manifest_store", "declared_size"]

_FILL: Final = re.compile(rb"\xff+")
# Start-of-frame markers: C0 to CF without DHT, JPG and DAC (T.81, table B.1).
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_BMFF_PARENTS: Final = frozenset(
    {b"meta", b"iprp", b"ipco", b"iinf", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf"}
)
# Bytes of the values of a TIFF field, by its type (TIFF 6.0, section 2; 13 is IFD; from 16 on
# those of BigTIFF).
_FIELD_BYTES: Final = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_C2PA_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSize:
    """How large a picture says it is, in pixels; nothing was decoded to find out."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def declared_size(data: bytes) -> DeclaredSize | None:
    """Count a file's parts, and return the size that its head declares.

    ``None`` where the format is not known here, or no size is found.

    Raises:
        ImageTooComplex: It has more chunks, segments, blocks, boxes, fields or frames than is
            looked at.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return _gif(data)
    if data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return _tiff(data)
    if data[4:8] == b"ftyp":
        return _bmff(data)
    if data[:2] == b"BM" and len(data) >= 26:
        return _size(_le(data, 18, 4), abs(int.from_bytes(data[22:26], "little", signed=True)))
    return None


def check_manifest_store(store: bytes) -> None:
    """Count the boxes of a JUMBF store.

    Raises:
        ImageTooComplex: There are too many, or they are nested too deep.
    """
    count = _Count(limits.JUMBF_BOXES)
    waiting = [(0, len(store), 0)]
    while waiting:
        start, end, depth = waiting.pop()
        if depth > limits.JUMBF_DEPTH.most:
            raise _too_many(limits.JUMBF_DEPTH)
        for kind, content, stop in _boxes(store, start, end, count):
            if kind == b"jumb":
                waiting.append((content, stop, depth + 1))


def check_exif(data: bytes) -> None:
    """Count the fields of EXIF, which is a small TIFF file.

    Raises:
        ImageTooComplex: Too many, or their values are longer than all of it.
    """
    if len(data) > limits.EXIF.most:
        raise _too_many(limits.EXIF)
    _tiff(data.removeprefix(b"Exif\0\0"))


class _Count:
    """Counts up to a limit."""

    def __init__(self, limit: Limit[int]) -> None:
        self._limit = limit
        self._left = limit.most

    def more(self, number: int = 1) -> None:
        self._left -= number
        if self._left < 0:
            raise _too_many(self._limit)


def _too_many(limit: Limit[int]) -> ImageTooComplex:
    return ImageTooComplex(
        f"{limit.name}: more than {limit.most} {limit.unit}",
        hint="save the picture anew with another program",
    )


def _le(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _be(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _size(width: int, height: int) -> DeclaredSize | None:
    return DeclaredSize(width=width, height=height) if width and height else None


def _png(data: bytes) -> DeclaredSize | None:
    count, profiles, at = _Count(limits.PNG_CHUNKS), _Count(limits.PNG_PROFILES), 8
    while at + 12 <= len(data):
        count.more()
        kind, end = data[at + 4 : at + 8], at + 12 + _be(data, at, 4)
        if kind == b"eXIf":
            check_exif(data[at + 8 : end - 4])
        elif kind == b"iCCP":
            profiles.more()
        elif kind == b"caBX":
            check_manifest_store(data[at + 8 : end - 4])
        at = end
    return _size(_be(data, 16, 4), _be(data, 20, 4)) if data[12:16] == b"IHDR" else None


def _jpeg(data: bytes) -> DeclaredSize | None:
    count, at, size, store = _Count(limits.JPEG_SEGMENTS), 2, None, bytearray()
    while at + 4 <= len(data) and data[at] == 0xFF:
        # Fill bytes may precede a marker, and are counted like segments: some decoders read each.
        fill = _FILL.match(data, at)
        run = fill.end() - at if fill else 1
        count.more(run)
        at += run - 1
        marker, content = data[at + 1 : at + 2], at + 4
        number = marker[0] if marker else 0
        if number == 0xDA:
            # Within entropy-coded data FF is escaped, so that FF DA is always a scan.
            if data.count(b"\xff\xda", at) > limits.JPEG_SCANS.most:
                raise _too_many(limits.JPEG_SCANS)
            break
        if number in _STANDALONE:
            at += 2
            continue
        end = at + 2 + _be(data, at + 2, 2)
        if number in _FRAME_HEADERS:
            size = _size(_be(data, content + 3, 2), _be(data, content + 1, 2))
        elif number == 0xE1 and data.startswith(b"Exif\0\0", content):
            check_exif(data[content:end])
        elif number == 0xEB and data.startswith(b"JP", content):
            # "JP", instance (2 bytes), number (4); later parts repeat the box's own eight bytes.
            store += data[content + (16 if store else 8) : end]
        at = max(end, at + 2)
    check_manifest_store(bytes(store))
    return size


def _webp(data: bytes) -> DeclaredSize | None:
    count, at, size = _Count(limits.WEBP_CHUNKS), 12, None
    while at + 8 <= len(data):
        count.more()
        kind, content = data[at : at + 4], at + 8
        length = _le(data, at + 4, 4)
        if size is None and kind == b"VP8X":
            size = _size(_le(data, content + 4, 3) + 1, _le(data, content + 7, 3) + 1)
        elif size is None and kind == b"VP8 ":
            size = _size(_le(data, content + 6, 2) & 0x3FFF, _le(data, content + 8, 2) & 0x3FFF)
        elif size is None and kind == b"VP8L":
            bits = _le(data, content + 1, 4)
            size = _size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif kind == b"EXIF":
            check_exif(data[content : content + length])
        elif kind == b"C2PA":
            check_manifest_store(data[content : content + length])
        at = content + length + (length & 1)
    return size


def _gif(data: bytes) -> DeclaredSize | None:
    blocks, frames = _Count(limits.GIF_BLOCKS), _Count(limits.FRAMES)
    blocks.more(-(len(data) // 128))
    at = 13 + _palette(data[10:11])
    while at < len(data):
        blocks.more()
        kind = data[at]
        if kind == 0x2C:  # image: descriptor of ten bytes, local palette, code size
            frames.more()
            at += 10 + _palette(data[at + 9 : at + 10]) + 1
        elif kind == 0x21:  # extension: its label
            at += 2
        else:  # trailer, or what no GIF holds
            break
        while at < len(data) and data[at]:
            blocks.more()
            at += data[at] + 1
        at += 1
    return _size(_le(data, 6, 2), _le(data, 8, 2))


def _palette(flags: bytes) -> int:
    """Return the bytes of a palette, from the flags that announce one."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _tiff(data: bytes) -> DeclaredSize | None:
    number = _le if data[:2] == b"II" else _be
    count, seen, width, height = _Count(limits.FRAMES), set[int](), 0, 0
    # BigTIFF: counts and offsets of eight bytes, so that a field has twenty.
    wide = number(data, 2, 2) == 43
    head, offset = (8, 8) if wide else (2, 4)
    step = 4 + 2 * offset
    at = number(data, offset, offset)
    while at and at not in seen and at + head <= len(data):
        count.more()
        seen.add(at)
        fields, values = number(data, at, head), 0
        if fields > limits.TIFF_FIELDS.most:
            raise _too_many(limits.TIFF_FIELDS)
        for place in range(at + head, min(at + head + step * fields, len(data) - step + 1), step):
            tag, kind = number(data, place, 2), number(data, place + 2, 2)
            length = number(data, place + 4, offset) * _FIELD_BYTES.get(kind, 1)
            # Values that stand elsewhere do not overlap in an honest file.
            values += length if length > offset else 0
            if tag in {256, 257} and len(seen) == 1:
                value = number(data, place + 4 + offset, {3: 2, 16: 8}.get(kind, 4))
                width, height = (value, height) if tag == 256 else (width, value)
        if values > len(data):
            raise _too_many(limits.TIFF_FIELDS)
        at = number(data, at + head + step * fields, offset)
    return _size(width, height)


def _bmff(data: bytes) -> DeclaredSize | None:
    count, size = _Count(limits.BMFF_BOXES), None
    waiting = [(0, len(data))]
    while waiting:
        start, end = waiting.pop()
        for kind, content, stop in _boxes(data, start, end, count):
            if kind in _BMFF_PARENTS:
                # `meta` is a full box, `iinf` one that counts its children with 16 or 32 bits.
                skip = {b"meta": 4, b"iinf": 6 if data[content : content + 1] == b"\0" else 8}
                waiting.append((content + skip.get(kind, 0), stop))
            elif kind == b"ispe":
                found = _size(_be(data, content + 4, 4), _be(data, content + 8, 4))
                # Tiles and thumbnails have sizes of their own; the largest is the picture's.
                if found and (size is None or found.pixels > size.pixels):
                    size = found
            elif kind == b"uuid" and data.startswith(_C2PA_UUID, content):
                # Version and flags, the purpose up to its zero byte, eight bytes (C2PA 2.4, A.5.1).
                zero = data.find(b"\0", content + 20, content + 84)
                check_manifest_store(data[zero + 9 : stop] if zero > 0 else b"")
    return size


def _boxes(data: bytes, start: int, end: int, count: _Count) -> Iterator[tuple[bytes, int, int]]:
    """Walk boxes: their type, and where content starts and ends; stops at one that is broken."""
    while start + 8 <= end:
        count.more()
        length, content = _be(data, start, 4), start + 8
        if length == 1:
            length, content = _be(data, content, 8), start + 16
        elif length == 0:  # to the end
            length = end - start
        stop = start + length
        if stop < content or stop > end:
            return
        yield data[start + 4 : start + 8], content, stop
        start = stop
