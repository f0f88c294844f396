"""A PNG as a decoder needs it: its picture's chunks and no others, each with a right checksum.

Texts, profiles and private chunks never reach the decoder, so that none of them can keep us from
the pixels; colours are told apart. Source: PNG (W3C 3rd ed.), sections 5.3 (chunks), 7 (rows and
passes) and 11.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.kit.pictures._colour import PLAIN, Colour

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CleanPng", "clean_png", "mended_png"]

_START: Final = b"\x89PNG\r\n\x1a\n"
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"})
_COLOURS: Final = frozenset({b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP"})
_MOST_PROFILE: Final = 4 << 20
# First column, first row, step across, step down (section 8.2).
_PASSES: Final = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE: Final = 16 * 1024
# Share of the rows from which on the rest is filled up.
_LEAST: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPng:
    """What is left of a PNG for a decoder.

    Attributes:
        data: The file.
        colour: What the rest said of its colours.
        exif: Its ``eXIf`` chunk; empty where there is none.
        damage: What is wrong with the file, in words.
        end: Where the picture ends in the file.
    """

    data: bytes = field(repr=False)
    colour: Colour = PLAIN
    exif: bytes = b""
    damage: tuple[str, ...] = ()
    end: int = 0


def clean_png(data: bytes) -> CleanPng:
    """Return the chunks that make the picture; never raises, whatever the file holds."""
    out, said, exif = bytearray(_START), dict[bytes, bytes](), b""
    damage: dict[str, None] = {}
    kinds: set[bytes] = set()
    end = len(_START)
    for kind, content, checksum in _chunks(data):
        end += 12 + len(content)
        if checksum is None:
            damage["it is cut off"] = None
        wrong = checksum is not None and checksum != zlib.crc32(content, zlib.crc32(kind))
        if kind in _KEPT and not (kind == b"IHDR" and kind in kinds):
            if wrong:
                damage[f"the checksum of a {kind.decode()} chunk is wrong"] = None
            out += _chunk(kind, content)
        elif kind == b"pHYs" and len(content) == 9 and not wrong:
            out += _chunk(kind, content)  # the size in print, for whoever writes a copy
        elif wrong:
            # As decoders do: what is not needed and damaged counts as not there.
            damage["a checksum beside the picture's own chunks is wrong"] = None
        elif kind in _COLOURS and checksum is not None:
            said.setdefault(kind, content)
        elif kind == b"eXIf" and checksum is not None:
            exif = content
        kinds.add(kind)
        if kind == b"IEND":
            break
    if b"IEND" not in kinds:
        damage.setdefault("its end marker is missing", None)
        out += _chunk(b"IEND", b"")
    return CleanPng(data=bytes(out), colour=_colour(said), exif=exif, damage=tuple(damage), end=end)


def mended_png(data: bytes, *, most: int) -> tuple[bytes, float] | None:
    """Return a PNG that decodes, made of the rows that can still be unpacked, and their share.

    Args:
        data: As `clean_png` returns it.
        most: Bytes of rows that are unpacked.

    Returns:
        None where next to nothing of the picture is left.
    """
    head, stream, others = b"", [], []
    for kind, content, _ in _chunks(data):
        if kind == b"IHDR":
            head = content
        elif kind == b"IDAT":
            stream.append(content)
        elif kind in {b"PLTE", b"tRNS"}:
            others.append(_chunk(kind, content))
    size = _size_of_rows(head)
    if size is None or size > most:
        return None
    rows = _unpacked(b"".join(stream), size)
    # A head may promise what would cost more to fill up than to say that it is not there.
    if len(rows) < _LEAST * size:
        return None
    packed = zlib.compress(rows + bytes(size - len(rows)), 1)
    whole = _START + _chunk(b"IHDR", head) + b"".join(others) + _chunk(b"IDAT", packed)
    return whole + _chunk(b"IEND", b""), len(rows) / size


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Yield type, content and checksum of each chunk; a checksum of None: it is cut off."""
    at = len(_START)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            yield kind, data[at + 8 : end], None
            return
        yield kind, data[at + 8 : end], int.from_bytes(data[end : end + 4], "big")
        at = end + 4


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _colour(said: dict[bytes, bytes]) -> Colour:
    if len(said.get(b"cICP", b"")) == 4:
        return Colour.coded(*said[b"cICP"][:2])
    if b"iCCP" in said:
        packed = said[b"iCCP"].partition(b"\0")[2][1:]
        unpack = zlib.decompressobj()
        try:
            profile = unpack.decompress(packed, _MOST_PROFILE)
        except zlib.error:
            return Colour(unknown="its colour profile is damaged")
        return Colour(profile=profile)
    if b"sRGB" in said:
        return PLAIN
    gamma = int.from_bytes(said.get(b"gAMA", b"")[:4], "big") / 100_000
    places = said.get(b"cHRM", b"")
    primaries = None
    if len(places) == 32:
        numbers = [value / 100_000 for value in struct.unpack(">8I", places)]
        primaries = (
            numbers[0], numbers[1], numbers[2], numbers[3],
            numbers[4], numbers[5], numbers[6], numbers[7],
        )  # fmt: skip
    return Colour(gamma=gamma or None, primaries=primaries)


def _size_of_rows(head: bytes) -> int | None:
    """Return how many bytes the unpacked rows of a picture have, filter bytes among them."""
    if len(head) != 13:
        return None
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    if kind not in _SAMPLES or not width or not height:
        return None
    bits = depth * _SAMPLES[kind]
    total = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _unpacked(stream: bytes, most: int) -> bytes:
    """Return what can be unpacked before the stream breaks."""
    unpack, out = zlib.decompressobj(), bytearray()
    for start in range(0, len(stream), _PIECE):
        if len(out) >= most or unpack.eof:
            break
        piece, before = stream[start : start + _PIECE], unpack.copy()
        try:
            out += unpack.decompress(piece, most - len(out))
        except zlib.error:
            # What the failing call had unpacked is lost: once more, byte by byte.
            for at in range(len(piece)):
                try:
                    out += before.decompress(piece[at : at + 1], most - len(out) or 1)
                except zlib.error:
                    break
            break
    return bytes(out[:most])
