"""The texts of EXIF that name a program or carry what it wrote, and nothing else of it.

Sources: TIFF 6.0, section 2; Exif 3.0, 4.6.5 (``UserComment`` and its character codes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.kit.limits import TIFF_FIELDS, XMP

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exif_texts", "tiff_values"]

_FOLDERS: Final = frozenset({34665})
_NAMES: Final = {
    270: "ImageDescription", 271: "Make", 272: "Model", 305: "Software", 315: "Artist",
    37510: "UserComment", 40092: "XPComment", 40094: "XPKeywords", 40091: "XPTitle",
    0x9C9F: "XPSubject",
}  # fmt: skip
_UTF16: Final = frozenset({40091, 40092, 40094, 0x9C9F})
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 13: 4, 129: 1}


def exif_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each text field; stops at what is broken."""
    for tag, value in tiff_values(data, wanted=frozenset(_NAMES)):
        text = _comment(value) if tag == 37510 else _text(value, wide=tag in _UTF16)
        if text:
            yield _NAMES[tag], text


def tiff_values(data: bytes, *, wanted: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and bytes of the wanted fields of the first folder and of its EXIF folder."""
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None:
        return

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    folders, seen = [number(4, 4)], set[int]()
    while folders and len(seen) < 4:
        at = folders.pop(0)
        if at in seen or not 8 <= at <= len(data) - 2:
            continue
        seen.add(at)
        for place in range(at + 2, at + 2 + 12 * min(number(at, 2), TIFF_FIELDS.most), 12):
            if place + 12 > len(data):
                break
            tag, size = number(place, 2), _SIZES.get(number(place + 2, 2), 0)
            length = size * number(place + 4, 4)
            if tag in _FOLDERS:
                folders.append(number(place + 8, 4))
            elif tag in wanted and 0 < length <= XMP.most:
                start = place + 8 if length <= 4 else number(place + 8, 4)
                yield tag, data[start : start + length]


def _comment(value: bytes) -> str:
    """Return ``UserComment``: eight bytes name its character code."""
    code, rest = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        return _text(rest, wide=True)
    return _text(rest if code.rstrip(b"\0 ") in {b"ASCII", b"JIS", b""} else value, wide=False)


def _text(value: bytes, *, wide: bool) -> str:
    if wide:
        # Programs write either byte order, whatever the file's own is: the zeros tell.
        if value[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            return value.decode("utf-16", "replace").strip("\0 \n")
        high = value[0::2].count(0) > value[1::2].count(0)
        return value.decode("utf-16-be" if high else "utf-16-le", "replace").strip("\0 \n")
    try:
        return value.decode("utf-8").strip("\0 \n")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip("\0 \n")
