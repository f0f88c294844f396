"""Where metadata stand in each container, and nothing that stands anywhere else.

Every walk ends at the picture's end marker: what somebody hangs behind it is not of the picture.
Nothing is searched for; a structure that is broken ends the walk with what was found before.

Sources: PNG (W3C 3rd ed., 11.3.3 text, 11.3.2.9 ``eXIf``); XMP specification part 3 (where packets
stand: 1.1.1 GIF, 1.1.3 JPEG with extended XMP, 1.1.4 PNG, 1.1.8 TIFF); Exif 3.0, 4.7.2; IPTC-IIM
4.2 in Photoshop resource 0x0404; WebP (RFC 9649, 2.7.1.4); ISO/IEC 23008-12, A.2 and A.3 (HEIF).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import ChopmarkError
from chopmark.kit.limits import EXIF, XMP
from chopmark.provenance import _boxes
from chopmark.provenance.metadata._heif_items import heif_items

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Block", "blocks_of"]

BlockKind = Literal["xmp", "exif", "iptc", "text", "c2pa", "unread"]

_XMP_KEYWORD: Final = "XML:com.adobe.xmp"
_JPEG_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_MORE_XMP: Final = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_GIF_XMP: Final = b"XMP DataXMP"
# Texts that generators write have a few kB; a workflow has some hundred.
_MOST_TEXT: Final = XMP.most
_MOST_BLOCKS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One piece of metadata, as it stands.

    Attributes:
        kind: ``text`` has a keyword; ``unread`` is one that is too large or damaged.
        data: XMP packet, EXIF from its byte order on, IPTC records, or a text's bytes.
        keyword: Of a PNG text; else where a comment stands.
        encoding: Of a text.
    """

    kind: BlockKind
    data: bytes = field(repr=False, default=b"")
    keyword: str = ""
    encoding: Literal["latin-1", "utf-8"] = "utf-8"


def blocks_of(data: bytes, kind: str) -> list[Block]:
    """Return the metadata of a file, in the order in which they stand; never raises.

    Args:
        data: The file.
        kind: As `chopmark.kit.pictures.sniff` tells it.
    """
    walk = {
        "png": _png, "jpeg": _jpeg, "webp": _webp, "gif": _gif, "tiff": _tiff, "raw": _tiff,
        "avif": heif_blocks, "heic": heif_blocks, "jxl": _jxl, "svg": _svg,
    }.get(kind)  # fmt: skip
    found: list[Block] = []
    if walk is None:
        return found
    try:
        for block in walk(data):
            found.append(block)
            if len(found) >= _MOST_BLOCKS:
                found.append(Block(kind="unread", keyword="further metadata"))
                break
    except (ChopmarkError, ValueError, IndexError, OverflowError):
        found.append(Block(kind="unread", keyword="metadata after a damaged place"))
    return found


def _png(data: bytes) -> Iterator[Block]:
    for chunk in _boxes.png_chunks(data):
        content = data[chunk.content : chunk.end - 4]
        if chunk.type == b"IEND":
            return
        if chunk.type in {b"tEXt", b"zTXt", b"iTXt"}:
            yield from _png_text(chunk.type, content)
        elif chunk.type == b"eXIf":
            yield _exif(content)
        elif chunk.type == b"caBX":
            yield Block(kind="c2pa")


def _png_text(kind: bytes, content: bytes) -> Iterator[Block]:
    word, _, rest = content.partition(b"\0")
    keyword, packed = word[:79].decode("latin-1"), kind == b"zTXt"
    if kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = b"".join(rest[2:].split(b"\0", 2)[2:])
    elif packed:
        rest = rest[1:]  # the method
    text = _unpacked(rest) if packed else rest
    if text is None or len(text) > _MOST_TEXT:
        yield Block(kind="unread", keyword=f"the text {keyword!r}")
    elif keyword == _XMP_KEYWORD:
        yield Block(kind="xmp", data=text)
    elif keyword.startswith("Raw profile type "):
        yield from _raw_profile(keyword.rpartition(" ")[2].lower(), text)
    else:
        yield Block(
            kind="text", data=text, keyword=keyword,
            encoding="utf-8" if kind == b"iTXt" else "latin-1",
        )  # fmt: skip


def _unpacked(data: bytes) -> bytes | None:
    """Return what zlib data unpack to; None where that is over the limit or they are damaged."""
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(data, _MOST_TEXT + 1)
    except zlib.error:
        return None
    return text if len(text) <= _MOST_TEXT else None


def _raw_profile(name: str, text: bytes) -> Iterator[Block]:
    """Read ImageMagick's form: a name and a length on lines of their own, then hex digits."""
    lines = text.strip().split(b"\n", 2)
    try:
        content = bytes.fromhex(lines[2].decode("ascii"))
    except (ValueError, IndexError):
        yield Block(kind="unread", keyword=f"the raw profile {name!r}")
        return
    if name == "xmp" or content.startswith(_JPEG_XMP):
        yield Block(kind="xmp", data=content.removeprefix(_JPEG_XMP))
    elif name in {"exif", "app1"}:
        yield _exif(content)
    elif name in {"iptc", "8bim"}:
        yield from (
            _photoshop(content)
            if content.startswith(b"8BIM")
            else iter([Block(kind="iptc", data=content)])
        )


def _exif(content: bytes) -> Block:
    content = content.removeprefix(b"Exif\0\0")
    if len(content) > EXIF.most:
        return Block(kind="unread", keyword="EXIF")
    return Block(kind="exif", data=content)


def _jpeg(data: bytes) -> Iterator[Block]:
    parts: dict[bytes, dict[int, bytes]] = {}
    resources = bytearray()
    try:
        for piece in _boxes.jpeg_segments(data):
            content = data[piece.content : piece.end]
            if piece.type == b"\xda":
                break
            if piece.type == b"\xe1" and content.startswith(_JPEG_XMP):
                yield Block(kind="xmp", data=content[len(_JPEG_XMP) :])
            elif piece.type == b"\xe1" and content.startswith(_JPEG_MORE_XMP):
                # Digest of the whole (32 hex digits), its length, and where this part belongs.
                head = content[len(_JPEG_MORE_XMP) :]
                place = int.from_bytes(head[36:40], "big")
                parts.setdefault(head[:32], {})[place] = head[40:]
            elif piece.type == b"\xe1" and content.startswith(b"Exif\0"):
                yield _exif(content)
            elif piece.type == b"\xed" and content.startswith(_PHOTOSHOP):
                resources += content[len(_PHOTOSHOP) :]
            elif piece.type == b"\xeb":
                yield Block(kind="c2pa")
            elif piece.type == b"\xfe":
                yield Block(kind="text", data=content, keyword="JPEG comment")
    finally:
        # What stood before a damaged place counts all the same.
        for pieces in parts.values():
            yield _joined(pieces)
        yield from _photoshop(bytes(resources))


def _joined(pieces: dict[int, bytes]) -> Block:
    packet = b"".join(pieces[place] for place in sorted(pieces))
    if len(packet) > XMP.most:
        return Block(kind="unread", keyword="extended XMP")
    return Block(kind="xmp", data=packet)


def _photoshop(data: bytes) -> Iterator[Block]:
    """Walk image resources: signature, number, name (padded), length, content (padded)."""
    at = 0
    while data.startswith(b"8BIM", at) and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name = 1 + data[at + 6]
        at += 6 + name + (name & 1)
        length = int.from_bytes(data[at : at + 4], "big")
        content = data[at + 4 : at + 4 + length]
        if number == 0x0404:
            yield Block(kind="iptc", data=content)
        elif number == 0x0424:
            yield Block(kind="xmp", data=content)
        at += 4 + length + (length & 1)


def _webp(data: bytes) -> Iterator[Block]:
    for chunk in _boxes.webp_chunks(data):
        length = int.from_bytes(data[chunk.start + 4 : chunk.start + 8], "little")
        content = data[chunk.content : chunk.content + length]
        if chunk.type == b"XMP ":
            yield Block(kind="xmp", data=content)
        elif chunk.type == b"EXIF":
            yield _exif(content)
        elif chunk.type == b"C2PA":
            yield Block(kind="c2pa")


def _gif(data: bytes) -> Iterator[Block]:
    flags = data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(data):
        if data[at] == 0x2C:
            flags = data[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            at = _blocks_end(data, at)
        elif data[at] == 0x21 and data[at + 1] == 0xFE:
            end = _blocks_end(data, at + 2)
            yield Block(kind="text", data=_sub_blocks(data, at + 2), keyword="GIF comment")
            at = end
        elif data[at] == 0x21 and data.startswith(_GIF_XMP, at + 3):
            # The packet stands as it is, behind it a trailer that leads any reader to its end.
            end = _blocks_end(data, at + 14)
            yield Block(kind="xmp", data=data[at + 14 : max(at + 14, end - 258)])
            at = end
        elif data[at] == 0x21:
            at = _blocks_end(data, at + 2)
        else:  # the trailer, or what no GIF holds
            return


def _blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _sub_blocks(data: bytes, at: int) -> bytes:
    out = bytearray()
    while data[at] and len(out) <= _MOST_TEXT:
        out += data[at + 1 : at + 1 + data[at]]
        at += data[at] + 1
    return bytes(out)


def _tiff(data: bytes) -> Iterator[Block]:
    from chopmark.provenance.metadata._exif import tiff_values

    # EXIF is a TIFF file: the file's own first folder is read as one.
    yield Block(kind="exif", data=data)
    for tag, value in tiff_values(data, wanted=frozenset({700, 33723, 34377})):
        if tag == 700:
            yield Block(kind="xmp", data=value)
        elif tag == 33723:
            yield Block(kind="iptc", data=value)
        else:
            yield from _photoshop(value)


def heif_blocks(data: bytes) -> Iterator[Block]:
    """Walk the metadata items of AVIF and HEIC."""
    for kind, content in heif_items(data):
        if kind == "xmp":
            yield Block(kind="xmp", data=content)
        elif kind == "exif":
            # Four bytes say where the TIFF header stands behind them.
            start = 4 + int.from_bytes(content[:4], "big")
            yield _exif(content[start:])
        else:
            yield Block(kind="unread", keyword="an item of metadata")


def _jxl(data: bytes) -> Iterator[Block]:
    at = 0
    while at + 8 <= len(data) and data[:4] == b"\0\0\0\x0c":
        length, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if name == b"xml ":
            yield Block(kind="xmp", data=data[at + head : min(end, at + head + XMP.most)])
        elif name == b"Exif":
            yield _exif(data[at + head + 4 : end])
        elif name == b"brob" and data[at + head : at + head + 4] in {b"xml ", b"Exif"}:
            yield Block(kind="unread", keyword="metadata packed with Brotli")
        if end <= at:
            return
        at = end


def _svg(data: bytes) -> Iterator[Block]:
    # Its metadata element holds the same RDF as a packet; the same parser finds it in there.
    if len(data) > XMP.most:
        yield Block(kind="unread", keyword="the metadata of a large SVG")
    yield Block(kind="xmp", data=data[: XMP.most])
