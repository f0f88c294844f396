"""Small files that are no pictures: a video of one frame, a PDF of one page, some silence."""

from __future__ import annotations

import struct

__all__ = ["mp4", "pdf", "wav"]

_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_FRAME = bytes(range(64))


def mp4() -> bytes:
    """Return an MP4 (ISO 14496-12) whose one track has one sample; nothing decodes it."""
    head = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    begins = len(head) + len(_movie(0)) + 8
    return head + _movie(begins) + _box(b"mdat", _FRAME)


def _movie(sample_at: int) -> bytes:
    times = struct.pack(">IIII", 0, 0, 1000, 1000)
    movie = _full(
        b"mvhd",
        times + struct.pack(">IH", 1 << 16, 1 << 8) + bytes(10) + _MATRIX + bytes(24) + b"\0\0\0\2",
    )
    track = _full(
        b"tkhd",
        struct.pack(">IIIII", 0, 0, 1, 0, 1000) + bytes(16) + _MATRIX
        + struct.pack(">II", 16 << 16, 16 << 16),
        flags=7,
    )  # fmt: skip
    entry = _box(
        b"mp4v",
        bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", 16, 16) + bytes(12) + b"\0\1"
        + bytes(32) + struct.pack(">Hh", 24, -1),
    )  # fmt: skip
    samples = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1) + entry)
        + _full(b"stts", struct.pack(">III", 1, 1, 1000))
        + _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1))
        + _full(b"stsz", struct.pack(">II", len(_FRAME), 1))
        + _full(b"stco", struct.pack(">II", 1, sample_at)),
    )
    where = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", flags=1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", times + struct.pack(">HH", 0x55C4, 0))
        + _full(b"hdlr", bytes(4) + b"vide" + bytes(12) + b"v\0")
        + _box(b"minf", _full(b"vmhd", bytes(8), flags=1) + where + samples),
    )
    return _box(b"moov", movie + _box(b"trak", track + media))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, content: bytes, *, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags) + content)


def pdf() -> bytes:
    """Return a PDF with one empty page."""
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>",
    )
    text, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(text))
        text += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
    return text + b"xref\n0 4\n%strailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(text),
    )


def wav() -> bytes:
    """Return a sound recording in which nothing is heard."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    sound = b"data" + struct.pack("<I", 64) + bytes(64)
    return b"RIFF" + struct.pack("<I", 4 + len(form + sound)) + b"WAVE" + form + sound
