"""What a file is, told from its first bytes and never from its name.

Sources: PNG (W3C 3rd ed., 5.2), JPEG (ITU-T T.81, B.1.1.3), WebP (RFC 9649, 2.4), GIF89a (17),
TIFF 6.0 (section 2) and DNG 1.7 (``DNGVersion``), AVIF and HEIF (ISO/IEC 14496-12, 4.3; ISO/IEC
23008-12, annex B), JPEG XL (ISO/IEC 18181-2, annex A and B).
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["sniff"]

_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"8BPS", "psd"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"FOVb", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"icns", "icns"),
    (b"DDS ", "dds"),
    (b"v/1\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"qoif", "qoi"),
    *((b"P%d" % number + end, "pnm") for number in range(1, 8) for end in (b"\n", b" ", b"\r")),
    *((b"\x0a" + bytes([version, 1]), "pcx") for version in (0, 2, 3, 4, 5)),
    (b"gimp xcf", "xcf"),
    (b"\xd7\xcd\xc6\x9a", "wmf"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
    (b"\x1aE\xdf\xa3", "mkv"),
    (b"OggS", "ogg"),
    (b"0&\xb2u\x8ef\xcf\x11", "wmv"),
    (b"FLV\1", "flv"),
    (b"\0\0\1\xba", "mpeg"),
    (b"\0\0\1\xb3", "mpeg"),
    (b"PK\3\4", "zip"),
    (b"Rar!", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "zip"),
    (b"\x1f\x8b", "gzip"),
)
_BRANDS: Final = {
    b"avif": "avif", b"avis": "avif", b"avio": "avif",
    b"heic": "heic", b"heix": "heic", b"heim": "heic", b"heis": "heic", b"hevc": "heic",
    b"hevx": "heic", b"mif1": "heic", b"msf1": "heic", b"crx ": "raw", b"jxl ": "jxl",
    b"isom": "video", b"iso2": "video", b"iso4": "video", b"iso5": "video", b"iso6": "video",
    b"mp41": "video", b"mp42": "video", b"avc1": "video", b"M4V ": "video", b"qt  ": "video",
    b"3gp4": "video", b"3gp5": "video", b"3gp6": "video", b"dash": "video",
    b"M4A ": "m4a", b"M4B ": "m4a",
}  # fmt: skip
_RIFF: Final = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_RANK: Final = ("raw", "avif", "heic", "jxl", "m4a", "video")
_MOST_BRANDS: Final = 32
_MOST_PROLOGUE: Final = 1 << 16
_WIDE: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# What may stand before the first element: white space, declarations, comments, and a document type
# that does not name what it is of in its first word.
_PROLOGUE: Final = re.compile(
    r"(?:\s+|<\?.*?\?>|<!--.*?-->|<!doctype\s+(?!svg|html)[^>\[]*(?:\[.*?\]\s*)?>)*",
    re.DOTALL | re.IGNORECASE,
)


def sniff(data: bytes) -> str | None:
    """Return the name of a kind, or None for bytes of no kind that is known here."""
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return "raw" if _is_raw(data) else "tiff"
    if data[:4] in {b"II+\0", b"MM\0+"}:  # BigTIFF: offsets of 64 bits
        return "tiff"
    if data[:2] == b"BM" and len(data) >= 26:
        return "bmp"
    if b"%PDF-" in data[:1024]:
        return "pdf"
    return _by_words(data) or _by_other_places(data)


def _by_brand(data: bytes) -> str | None:
    # The major brand may be the generic `mif1`; a compatible brand then tells AVIF from HEIC.
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * _MOST_BRANDS, len(data))
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    found = {_BRANDS[brand] for brand in brands if brand in _BRANDS}
    major = _BRANDS.get(data[8:12])
    if major is not None and data[8:12] not in {b"mif1", b"msf1"}:
        return major
    return next((name for name in _RANK if name in found), None)


def _is_raw(data: bytes) -> bool:
    """Tell a camera's raw file from a TIFF picture, whose first bytes are the same."""
    if data[8:10] == b"CR":
        return True
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    at = number(4, 4)
    tags = {
        number(place, 2): number(place + 8, 4)
        for place in range(at + 2, at + 2 + 12 * min(number(at, 2), 256), 12)
    }
    # DNG says so; NEF, ARW and their like have a small first picture, and the raw one below it.
    return 50706 in tags or (330 in tags and 271 in tags and tags.get(254) == 1)


def _by_words(data: bytes) -> str | None:
    """Tell a drawing or a web page, by the first element behind declarations and comments."""
    head = data[:_MOST_PROLOGUE]
    wide = next((name for mark, name in _WIDE if head.startswith(mark)), None)
    text = head.decode(wide, "replace") if wide else head.decode("latin-1").removeprefix("ï»¿")
    before = _PROLOGUE.match(text)
    start = before.end() if before else 0
    found = text[start : start + 256].lower()
    if found.startswith(("<svg", "<!doctype svg")) or re.match(r"<\w+:svg[\s>]", found):
        return "svg"
    return "html" if found.startswith(("<html", "<!doctype html", "<head", "<body")) else None


def _by_other_places(data: bytes) -> str | None:
    """Tell kinds whose first bytes say nothing, or too little."""
    if data[:4] in {b"\0\0\1\0", b"\0\0\2\0"} and data[4:6].strip(b"\0"):
        return "ico"  # an icon or a cursor, and how many there are
    if data[-18:-2] == b"TRUEVISION-XFILE" or data[:8] in {
        b"\0\0\2" + bytes(5),
        b"\0\0\n" + bytes(5),
    }:
        return "tga"
    if data[40:44] == b" EMF" and data.startswith(b"\1\0\0\0"):
        return "wmf"
    # Packets of 188 bytes, each begun by one byte.
    if len(data) > 4 * 188 and data[: 4 * 188 : 188] == b"GGGG":
        return "mpeg"
    # An MPEG audio frame: eleven bits, then no reserved version, layer or rate (ISO/IEC 11172-3).
    if data[:1] == b"\xff" and len(data) > 3 and data[1] & 0xE6 == 0xE2 and data[2] < 0xF0:
        return "mp3" if data[1] & 0x18 != 0x08 else None
    return None
