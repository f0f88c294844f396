"""Put a manifest into a file that has none, and take one out; every other byte stays.

Where a manifest stands: C2PA 2.4, A.3.2 (PNG), A.3.1 (JPEG), A.3.4 (WebP) and A.5 (AVIF); the exact
place within the file is the one where c2pa-rs puts it, as the manifest binds what is around it.
"""

from __future__ import annotations

import struct
from typing import Final

from chopmark.errors import UnsupportedImage
from chopmark.provenance._bmff import avif_with_manifest, avif_without_manifest
from chopmark.provenance._boxes import jpeg_segments, png_chunk, png_chunks, webp_chunks
from chopmark.provenance._formats import sniff

__all__ = ["insert", "remove"]

# c2pa-rs splits a manifest into APP11 segments of this many bytes of box each.
_JPEG_PART: Final = 64_000
# "JP", box instance number 0x0211 (ISO 19566-5, annex D).
_APP11: Final = b"JP\x02\x11"


def insert(data: bytes, manifest: bytes) -> bytes:
    """Put a manifest store into a file that has none.

    Raises:
        UnsupportedImage: Not PNG, JPEG, WebP or AVIF.
        UnreadableImage: The file's structure is broken.
    """
    kind = sniff(data)
    if kind == "png":
        first = next(png_chunks(data), None)
        at = first.end if first else 8
        return data[:at] + png_chunk(b"caBX", manifest) + data[at:]
    if kind == "jpeg":
        at = 2
        for piece in jpeg_segments(data):
            if piece.type != b"\xe0":
                break
            at = piece.end
        return data[:at] + _segments(manifest) + data[at:]
    if kind == "webp":
        chunk = b"C2PA" + struct.pack("<I", len(manifest)) + manifest + b"\0" * (len(manifest) & 1)
        size = struct.pack("<I", len(data) + len(chunk) - 8)
        return data[:4] + size + data[8:] + chunk
    if kind == "avif":
        return avif_with_manifest(data, manifest)
    raise UnsupportedImage(f"a manifest cannot be put into {kind or 'this'}")


def remove(data: bytes) -> bytes:
    """Take every manifest out of a PNG, JPEG, WebP or AVIF file; other bytes stay as they are.

    Raises:
        UnsupportedImage: Another format.
        UnreadableImage: The file's structure is broken.
    """
    kind = sniff(data)
    if kind == "png":
        out = bytearray(data[:8])
        end = 8
        for piece in png_chunks(data):
            if piece.type != b"caBX":
                out += data[piece.start : piece.end]
            end = piece.end
        return bytes(out) + data[end:]
    if kind == "jpeg":
        out = bytearray(data[:2])
        for piece in jpeg_segments(data):
            if piece.type == b"\xeb" and _is_jumbf(data[piece.content : piece.end]):
                continue
            out += data[piece.start : piece.end]
        return bytes(out)
    if kind == "webp":
        body = b"".join(
            data[piece.start : piece.end] for piece in webp_chunks(data) if piece.type != b"C2PA"
        )
        return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    if kind == "avif":
        return avif_without_manifest(data)
    raise UnsupportedImage(f"manifests cannot be taken out of {kind or 'this'}")


def _segments(manifest: bytes) -> bytes:
    """Return the APP11 segments of a manifest (C2PA 2.4, A.3.1; ISO 19566-5, D.2)."""
    out = bytearray()
    for number, start in enumerate(range(0, len(manifest), _JPEG_PART), 1):
        # Every segment after the first repeats the box's length and type.
        again = manifest[:8] if number > 1 else b""
        content = _APP11 + struct.pack(">I", number) + again + manifest[start : start + _JPEG_PART]
        out += b"\xff\xeb" + struct.pack(">H", len(content) + 2) + content
    return bytes(out)


def _is_jumbf(content: bytes) -> bool:
    return content[:2] == b"JP" and content[12:16] == b"jumb"
