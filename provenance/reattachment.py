"""Give a picture back the manifest that it lost: the file is again, byte for byte, what it was.

Only where nothing else was touched: the result is handed out when it validates, and never else.
Where a manifest stands: C2PA 2.4, A.3.2 (PNG), A.3.1 (JPEG), A.3.4 (WebP) and A.5 (AVIF); the exact
place within the file is the one where c2pa-rs puts it, as the manifest binds what is around it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, ManifestNotFound, UnsupportedImage
from chopmark.kit.fingerprint import MATCH_DISTANCE, fingerprint
from chopmark.provenance import _native
from chopmark.provenance._bmff import avif_with_manifest, avif_without_manifest
from chopmark.provenance._boxes import jpeg_segments, png_chunk, png_chunks, webp_chunks
from chopmark.provenance._examine import examine
from chopmark.provenance._formats import Limits, check_size, mime_of, open_image, sniff
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.watermark import MarkKey

__all__ = ["insert", "reattach", "remove"]

# c2pa-rs splits a manifest into APP11 segments of this many bytes of box each.
_JPEG_PART: Final = 64_000
# "JP", box instance number 0x0211 (ISO 19566-5, annex D).
_APP11: Final = b"JP\x02\x11"


def reattach(
    data: bytes,
    store: ManifestRepository,
    *,
    mark_keys: Sequence[MarkKey] = (),
    limits: Limits | None = None,
) -> bytes:
    """Return the file with the manifest that it lost.

    The manifest is looked for by watermark (with ``mark_keys``) and by fingerprint, and put back
    only if the whole then validates.

    Raises:
        ManifestNotFound: None of the store's manifests fits this very file.
        UnsupportedImage: A format whose manifests we do not put back (GIF, TIFF, HEIC).
        UnreadableImage: The bytes are no picture.
    """
    bounds = limits or Limits()
    kind = check_size(data, bounds)
    if kind not in {"png", "jpeg", "webp", "avif"}:
        raise UnsupportedImage(
            f"a manifest cannot be put back into {kind}", hint="png, jpeg, webp and avif can"
        )
    bare = remove(data)
    image = open_image(bare, bounds)
    candidates: list[str] = []
    if mark_keys:
        from chopmark.provenance.watermark import detect_mark

        try:
            found = detect_mark(image, keys=mark_keys)
        except ChopmarkError:  # too small for a mark, say: the fingerprint is left
            found = None
        if found is not None and found.payload is not None:
            entry = store.by_output(found.payload.hex())
            candidates += [entry.manifest_id] if entry else []
    pdq, _ = fingerprint(image)
    near = store.by_pdq(pdq, max_distance=MATCH_DISTANCE)
    candidates += [match.entry.manifest_id for match in near]
    config = _native.settings()
    for name in dict.fromkeys(candidates):
        manifest = store.get(name)
        if manifest is None:
            continue
        whole = insert(bare, manifest)
        try:
            state = examine(_native.read(whole, mime_of(kind), config), TrustAnchors())
        except (_native.NoManifest, _native.RemoteOnly, _native.NativeRefusal):
            continue
        if state.manifest.state == "intact":
            return whole
    raise ManifestNotFound(
        "none of the manifests kept here fits this very file",
        hint="pixels or metadata were changed too; `verify` still shows which manifest it was",
    )


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
