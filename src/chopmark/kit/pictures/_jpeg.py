"""A JPEG as a decoder needs it, and the further pictures of a camera's file.

Sources: ITU-T T.81, annex B (markers); JFIF 1.02; ICC.1:2022, annex B.4 (profiles in APP2); CIPA
DC-007 (Multi-Picture Format: the index in APP2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.kit.pictures._colour import PLAIN, Colour

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CleanJpeg", "clean_jpeg", "further_pictures"]

_ICC: Final = b"ICC_PROFILE\0"
_INDEX: Final = b"MPF\0"
_END: Final = b"\xff\xd9"
_MOST_PROFILE: Final = 4 << 20
_MOST_PICTURES: Final = 16
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
# Start-of-frame markers (table B.1): in one pass for each component, or in passes over all of them.
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1, 0xC9})
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
# Within a scan FF is followed by 00, or by a restart marker.
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanJpeg:
    """What is left of a JPEG for a decoder.

    Attributes:
        data: The file: tables, frame and scans, JFIF's and Adobe's segments.
        colour: Its ICC profile.
        exif: From the byte order on; empty where there is none.
        end: Where the picture ends in the file.
        damage: What is wrong with the file, in words.
        whole: No pass over the picture is known to be missing. Of a picture in passes that has no
            end, nobody knows: each of them covers all of it.
    """

    data: bytes = field(repr=False)
    colour: Colour = PLAIN
    exif: bytes = b""
    end: int = 0
    damage: tuple[str, ...] = ()
    whole: bool = True


def clean_jpeg(data: bytes) -> CleanJpeg:
    """Return the segments that make the picture; never raises, whatever the file holds."""
    out, exif, parts = bytearray(data[:2]), b"", dict[int, bytes]()
    damage: tuple[str, ...] = ()
    at, missing = 2, set[int]()
    for marker, start, end in _segments(data):
        content = data[start + 4 : end]
        at = end
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            exif = exif or content[6:]
        elif marker == 0xE2 and content.startswith(_ICC):
            parts.setdefault(content[12], content[14:]) if len(content) > 14 else None
        elif marker in {0xE0, 0xEE} or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            out += data[start:end]
        if marker in _PROGRESSIVE:
            missing = {-1}
        elif marker in _SEQUENTIAL:
            missing = set(content[6::3][: content[5]] if len(content) > 5 else b"")
        elif marker == 0xDA:
            missing -= set(content[1 : 1 + 2 * content[0] : 2] if content else b"")
    if not out.endswith(_END):
        damage = ("its end marker is missing",)
        out += _END
    profile = b"".join(parts[number] for number in sorted(parts))
    known = 0 < len(profile) <= _MOST_PROFILE
    return CleanJpeg(
        data=bytes(out), colour=Colour(profile=profile) if known else PLAIN,
        exif=exif, end=at, damage=damage, whole=not (damage and missing),
    )  # fmt: skip


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment, a scan with its entropy-coded data."""
    at = 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            # Bytes that belong to nothing: decoders look for the next marker.
            found = _MARKER.search(data, at)
            if found is None:
                return
            at = found.start()
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _STANDALONE or marker in {0xD8, 0xD9}:
            yield marker, at, at + 2
            if marker == 0xD9:
                return
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            found = _MARKER.search(data, min(end, len(data)))
            end = found.start() if found else len(data)
        if end <= at + 2 or end > len(data):
            return
        yield marker, at, end
        at = end


def further_pictures(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Return where a camera's further pictures stand, and how many its index names in all.

    Previews, the other eye of a stereo pair, gain maps: whoever opens the file sees one of them,
    and each program decides which.
    """
    for marker, start, end in _segments(data):
        if marker == 0xE2 and data.startswith(_INDEX, start + 4):
            return _from_index(data, start + 8, end)
        if marker == 0xDA:
            break
    return [], 0


def _from_index(data: bytes, base: int, end: int) -> tuple[list[tuple[int, int]], int]:
    order = "little" if data[base : base + 2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    folder = base + number(base + 4, 4)
    for place in range(folder + 2, folder + 2 + 12 * min(number(folder, 2), 64), 12):
        if number(place, 2) == 0xB002 and place + 12 <= end:
            entries, first = number(place + 4, 4) // 16, base + number(place + 8, 4)
            found = []
            for entry in range(first, first + 16 * min(entries, _MOST_PICTURES), 16):
                size, offset = number(entry + 4, 4), number(entry + 8, 4)
                # The first picture's offset is 0; the others count from the index on.
                if offset and data.startswith(b"\xff\xd8", base + offset):
                    found.append((base + offset, base + offset + size))
            return found, max(0, entries - 1)
    return [], 0
