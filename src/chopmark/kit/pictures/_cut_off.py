"""Files that break off: filled up, so that a decoder gives the part that is there.

A container says how long it is, or where its pixels stand. With zeros in the place of what is
missing its decoder reads on to the end: the rows above the break are those of the picture, and what
lies below means nothing. Sources: RFC 9649, 2.4 (RIFF's length); ISO/IEC 14496-12, 4.2 (boxes);
TIFF 6.0, section 3 and 15 (strips and tiles); GIF89a, 20 to 22 and appendix F (LZW).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.kit.picture_structure import declared_size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["filled_up"]

# Share of the file from which on the rest is filled up, as of a PNG's rows.
_LEAST: Final = 0.05
_BLOCK: Final = 255
_GIF_HEAD: Final = 13


def filled_up(data: bytes, kind: str) -> tuple[bytes, float] | None:
    """Return a file of the length that it says of itself, zeros at its end, and the share there is.

    Args:
        data: The file.
        kind: As `chopmark.kit.pictures.sniff` tells it.

    Returns:
        None where it is no shorter than it says, or next to nothing of it is left.
    """
    find, declared = _LENGTHS.get(kind), declared_size(data)
    if find is None or declared is None:
        return None
    # Four bytes a pixel is what no file of these kinds needs, and a bound for what zeros cost.
    most = 4 * declared.pixels + 4 * declared.height + (1 << 20)
    length = find(data, declared.pixels)
    # Of a GIF nobody knows how long it was: as much is put behind it as it can need.
    least = declared.pixels / _BLOCK if kind == "gif" else _LEAST * length
    if not len(data) < length <= most or len(data) < least:
        return None
    missing = length - len(data)
    rest = _gif_blocks(data, missing) if kind == "gif" else bytes(missing)
    return data + rest, min(len(data) / length, 0.999)


def _riff(data: bytes, _pixels: int) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _boxes(data: bytes, _pixels: int) -> int:
    at = 0
    while at + 16 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:  # "to the end", or damaged: nothing says how long it was
            return 0
        at += length
    return at


def _bmp(data: bytes, pixels: int) -> int:
    height = abs(int.from_bytes(data[22:26], "little", signed=True))
    said = int.from_bytes(data[2:6], "little")
    # Some programs leave the length out; rows end at four bytes.
    return said if said > len(data) else len(data) + 4 * pixels + 4 * height


def _tiff(data: bytes, _pixels: int) -> int:
    """Return where the last strip or tile ends; only the first folder is asked."""
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    def values(place: int) -> list[int]:
        size, count = {3: 2, 4: 4}.get(number(place + 2, 2), 0), number(place + 4, 4)
        start = place + 8 if size * count <= 4 else number(place + 8, 4)
        return [
            number(at, size) for at in range(start, start + size * min(count, 65_536), size or 1)
        ]

    at = number(4, 4)
    found = {
        number(place, 2): values(place)
        for place in range(at + 2, at + 2 + 12 * min(number(at, 2), 256), 12)
        if number(place, 2) in {273, 279, 324, 325}
    }
    starts, sizes = (
        found.get(one) or found.get(other, []) for one, other in ((273, 324), (279, 325))
    )
    return max((start + size for start, size in zip(starts, sizes, strict=False)), default=0)


def _gif(data: bytes, pixels: int) -> int:
    # One code for a pixel at least, of twelve bits at most, in blocks of 255 and their lengths.
    # In its first 13 bytes there is nothing to go on from.
    cut = len(data) > _GIF_HEAD and data[-1:] != b"\x3b"
    return len(data) + 2 * pixels + 2 * _BLOCK if cut else 0


def _gif_blocks(data: bytes, room: int) -> bytes:
    """Return blocks that end the one that is cut off, and codes of the first colour behind it."""
    at = _GIF_HEAD + _palette(data[10])
    while at + 10 < len(data) and data[at] in {0x21, 0x2C}:
        at += 2 if data[at] == 0x21 else 11 + _palette(data[at + 9])
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    block = bytes([_BLOCK]) + bytes(_BLOCK)
    # `at` stands behind the block that is cut off, and behind the zero that would have ended it.
    return bytes(max(0, at - 1 - len(data))) + block * (room // len(block) + 1) + b"\0\x3b"


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_LENGTHS: Final[dict[str, Callable[[bytes, int], int]]] = {
    "webp": _riff, "avif": _boxes, "heic": _boxes, "bmp": _bmp, "tiff": _tiff, "gif": _gif,
}  # fmt: skip
