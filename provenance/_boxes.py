"""The structure of PNG, JPEG and WebP files: enough to put a packet in and to take a manifest out.

Sources: PNG (W3C 3rd ed., section 5.3), JPEG (ITU-T T.81, B.1.1) and WebP (RFC 9649); where their
manifests stand is in C2PA 2.4, A.3.2 (chunk ``caBX``), A.3.1 (APP11 segments of ISO 19566-5) and
A.3.4 (chunk ``C2PA``).
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import UnreadableImage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Segment",
    "jpeg_segments",
    "jpeg_with_xmp",
    "png_chunk",
    "png_chunks",
    "png_with_xmp",
    "webp_chunks",
    "webp_with_xmp",
]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# Keyword, then: not compressed, method 0, no language, no translated keyword.
_XMP_KEYWORD: Final = b"XML:com.adobe.xmp\0\0\0\0\0"
_XMP_APP1: Final = b"http://ns.adobe.com/xap/1.0/\0"
# A segment's length field is 16 bits and counts itself: 65,535 - 2.
_MAX_SEGMENT: Final = 65_533
_FILL: Final = re.compile(rb"\xff+")
# TEM, the restart markers and SOI stand alone: no length follows them (T.81, table B.1).
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class Segment:
    """A chunk or segment: its type, and where it starts, ends and has its content."""

    type: bytes
    start: int
    content: int
    end: int


def png_chunks(data: bytes) -> Iterator[Segment]:
    """Walk the chunks of a PNG.

    Raises:
        UnreadableImage: A chunk reaches beyond the end.
    """
    position = len(_PNG)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise UnreadableImage("a PNG chunk reaches beyond the end of the file")
        yield Segment(data[position + 4 : position + 8], position, position + 8, end)
        position = end


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_with_xmp(data: bytes, packet: bytes) -> bytes:
    """Return the PNG with this packet in an iTXt chunk after IHDR, earlier ones removed."""
    out = bytearray(_PNG)
    for piece in png_chunks(data):
        content = data[piece.content : piece.content + len(_XMP_KEYWORD)]
        # Keyword and zero byte alone: whatever the flags behind them say, no packet stands twice.
        if piece.type == b"iTXt" and content.startswith(_XMP_KEYWORD[:18]):
            continue
        out += data[piece.start : piece.end]
        if piece.type == b"IHDR":
            out += png_chunk(b"iTXt", _XMP_KEYWORD + packet)
    return bytes(out)


def jpeg_segments(data: bytes) -> Iterator[Segment]:
    """Walk the segments of a JPEG up to its first scan; ``type`` is the marker's second byte.

    The last piece is the scan marker with everything after it.

    Raises:
        UnreadableImage: The structure is broken before the first scan.
    """
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise UnreadableImage("a JPEG segment does not start with a marker")
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes may precede a marker
            run = _FILL.match(data, position)
            position = max(run.end() - 1 if run else 0, position + 1)
            continue
        # Entropy-coded data follow, in which FF is escaped; nothing behind it is a segment of ours.
        if marker == 0xDA:
            yield Segment(bytes([marker]), position, position + 2, len(data))
            return
        if marker in _STANDALONE:
            yield Segment(bytes([marker]), position, position + 2, position + 2)
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise UnreadableImage("a JPEG segment reaches beyond the end of the file")
        yield Segment(bytes([marker]), position, position + 4, end)
        position = end
    raise UnreadableImage("the JPEG file has no scan")


def jpeg_with_xmp(data: bytes, packet: bytes) -> bytes:
    """Return the JPEG with this packet in an APP1 segment after APP0, earlier ones removed.

    Raises:
        UnreadableImage: The file is broken, or the packet is over 64 kB.
    """
    content = _XMP_APP1 + packet
    if len(content) > _MAX_SEGMENT:
        raise UnreadableImage(f"{len(packet)} bytes of XMP do not fit into a JPEG segment")
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    out = bytearray(data[:2])
    written = False
    for piece in jpeg_segments(data):
        if piece.type == b"\xe1" and data.startswith(_XMP_APP1, piece.content):
            continue
        # JFIF wants its APP0 right after SOI; everything else may follow the packet.
        if not written and piece.type != b"\xe0":
            out += segment
            written = True
        out += data[piece.start : piece.end]
    return bytes(out)


def webp_chunks(data: bytes) -> Iterator[Segment]:
    """Walk the chunks of a WebP; each piece ends after its padding byte.

    Raises:
        UnreadableImage: A chunk reaches beyond the end.
    """
    position = 12
    # What stands behind the length that RIFF declares is not of the picture.
    limit = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= limit:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length
        if end > len(data):
            raise UnreadableImage("a WebP chunk reaches beyond the end of the file")
        yield Segment(data[position : position + 4], position, position + 8, end + (length & 1))
        position = end + (length & 1)


def webp_with_xmp(data: bytes, packet: bytes) -> bytes:
    """Return the WebP with this packet as its ``XMP `` chunk, made an extended file if need be.

    Raises:
        UnreadableImage: The file is broken.
    """
    pieces = [piece for piece in webp_chunks(data) if piece.type != b"XMP "]
    if not pieces:
        raise UnreadableImage("the WebP file holds no picture")
    body = bytearray()
    for piece in pieces:
        chunk = bytearray(data[piece.start : piece.end])
        if piece.type == b"VP8X":
            # The X flag of VP8X (RFC 9649, section 2.7): there is XMP metadata.
            chunk[8] |= 0x04
        body += chunk
    # A simple file may hold its one bitstream only; metadata need the extended form.
    if pieces[0].type != b"VP8X":
        body = bytearray(_extended_header(data, pieces[0])) + body
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + bytes(body)


def _extended_header(data: bytes, piece: Segment) -> bytes:
    """Return a VP8X chunk for a simple file (RFC 9649, section 2.7), with the XMP flag set."""
    head = data[piece.content : piece.content + 10]
    flags = 0x04
    # Lossy: 14 bits each, behind a frame tag and a start code (RFC 6386, section 9.1).
    if piece.type == b"VP8 " and len(head) == 10:
        width = int.from_bytes(head[6:8], "little") & 0x3FFF
        height = int.from_bytes(head[8:10], "little") & 0x3FFF
    elif piece.type == b"VP8L" and len(head) >= 5:
        # Lossless: after the signature byte 14 + 14 bits, each less one, then the alpha hint.
        bits = int.from_bytes(head[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags |= 0x10 if bits >> 28 & 1 else 0
    else:
        raise UnreadableImage("the WebP file does not start with a picture")
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size
