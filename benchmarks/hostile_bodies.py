"""Requests that cost little to send and much to answer: texts, pictures and JSON for ``hostile``.

Every picture is made by its format's own rules, small in bytes and large in what it unfolds to. A
``scale`` below 1 makes a smaller one of the same kind, for tests.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DISGUISES",
    "ORDINARY",
    "deep_jumbf",
    "empty_lists",
    "gif_bomb",
    "many_chunks",
    "many_members",
    "nested",
    "text",
    "vast_png",
    "webp_bomb",
]

_TAG: Final = 0xE0000
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

#: What a prompt is repeated from, by the disguise that it makes work for.
DISGUISES: Final[Mapping[str, str]] = {
    "one letter": "a",
    "words": "a cat ",
    "hexadecimal": "61",
    "tag characters": chr(_TAG + ord("a")),
    "homoglyphs": "\u0430a",  # Cyrillic and Latin
    "mixed case": "aB",
    "spaced letters": "a ",
    "leet": "4b5",
    "zero width": "a\u200b",
    "combining marks": "a\u0301",
    "wide letters": "\uff41",
    "dots": "a.b-",
    "hyphens": "a-",
    "quoted": "'a'",
    "base64": "YWFh",
    "percent": "%61",
    "entities": "&#97;",
}

#: Ordinary words in other scripts.
ORDINARY: Final[Mapping[str, str]] = {
    "Russian": "Красное яблоко лежит на деревянном столе у окна, а за окном идёт снег. ",  # noqa: RUF001 - Russian
    "Chinese": "一个红苹果放在窗边的木桌上，窗外正在下雪，屋里很安静。",  # noqa: RUF001 - Chinese
}


def text(unit: str, characters: int, *, most_bytes: int | None = None) -> str:
    """Return a unit again and again, so many characters long, or as many as fit into the bytes."""
    if most_bytes is not None:
        characters = min(characters, most_bytes * len(unit) // len(unit.encode()))
    return (unit * (characters // len(unit) + 1))[:characters]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, packed: bytes, *, between: bytes = b"") -> bytes:
    # PNG 3, 11.2.2: eight bits a channel, colour type 2 (RGB).
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return _SIGNATURE + _chunk(b"IHDR", header) + between + end


def vast_png(width: int = 7999, height: int = 8000) -> bytes:
    """Return one grey PNG, by default of 198 kB, that is 192 MB of pixels."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x7f" * (3 * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return _png(width, height, packed)


def many_chunks(count: int = 1_000_000) -> bytes:
    """Return a PNG of 64 by 64 pixels with so many empty private chunks before its pixels."""
    packed = zlib.compress((b"\0" + b"\x7f" * 192) * 64)
    return _png(64, 64, packed, between=_chunk(b"prVt", b"") * count)


def deep_jumbf(depth: int = 50_000) -> bytes:
    """Return a PNG whose manifest store is superboxes within superboxes, so many deep."""
    # ISO 19566-5: length, "jumb", then a description: UUID, toggles (3: requestable and labelled),
    # label. The UUID is that of a C2PA manifest store (C2PA 2.4, 11.1.4).
    uuid = b"c2pa" + bytes.fromhex("00110010800000aa00389b71")
    content = uuid + b"\x03c2pa\0"
    description = struct.pack(">I4s", 8 + len(content), b"jumd") + content
    layer = 8 + len(description)
    store = b"".join(
        struct.pack(">I4s", layer * left, b"jumb") + description for left in range(depth, 0, -1)
    )
    packed = zlib.compress((b"\0" + b"\x7f" * 192) * 64)
    return _png(64, 64, packed, between=_chunk(b"caBX", store))


def webp_bomb(frames: int = 1000, side: int = 4096) -> bytes:
    """Return an animated WebP whose frames are each one flat picture of ``side`` squared pixels."""
    still = io.BytesIO()
    Image.new("RGB", (side, side), (127, 127, 127)).save(still, "WEBP", lossless=True, method=0)
    image = still.getvalue()[12:]  # the chunk VP8L, behind "RIFF", its length and "WEBP"
    # RFC 9649, 2.7: sides less one in 24 bits; animation is bit 1 of the flags.
    less_one = (side - 1).to_bytes(3, "little") * 2
    frame = bytes(6) + less_one + (40).to_bytes(3, "little") + b"\0" + image
    body = _riff(b"VP8X", b"\x02\0\0\0" + less_one) + _riff(b"ANIM", bytes(6))
    body += _riff(b"ANMF", frame) * frames
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def gif_bomb(frames: int = 500, side: int = 4096) -> bytes:
    """Return an animated GIF whose frames are each one flat picture of ``side`` squared pixels."""
    still = io.BytesIO()
    Image.new("P", (side, side)).save(still, "GIF")
    data = still.getvalue()
    # GIF89a, 17 to 20: a header of 13 bytes, a colour table of 3 * 2**(n + 1), then blocks, of
    # which the picture's opens with 0x2C; the trailer is the last byte.
    table = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    start = data.index(b"\x2c", 13 + table)
    delay = b"\x21\xf9\x04\x00\x04\x00\x00\x00"
    return data[: 13 + table] + (delay + data[start:-1]) * frames + b"\x3b"


def nested(depth: int) -> bytes:
    """Return JSON: a prompt that is lists within lists."""
    return b'{"prompt":' + b"[" * depth + b"]" * depth + b"}"


def empty_lists(count: int) -> bytes:
    """Return JSON: one list of so many empty lists; 3 bytes each, 60 and more in memory."""
    return b"[" + b"[]," * count + b"1]"


def many_members(count: int) -> bytes:
    """Return JSON: one object with so many members that nobody asked for."""
    return b"{" + b",".join(b'"k%d":1' % number for number in range(count)) + b"}"
