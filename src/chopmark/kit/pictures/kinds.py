"""What a file is, told from its first bytes and never from its name.

Sources: PNG (W3C 3rd ed., 5.2), JPEG (ITU-T T.81, B.1.1.3), WebP (RFC 9649, 2.4), GIF89a (17),
TIFF 6.0 (section 2) and DNG 1.7 (``DNGVersion``), AVIF and HEIF (ISO/IEC 14496-12, 4.3; ISO/IEC
23008-12, annex B), JPEG XL (ISO/IEC 18181-2, annex A and B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["KINDS", "Kind", "sniff"]

_A_FRAME: Final = "take a frame out of it and save that as PNG"
_SAVE_AS: Final = "open it in a program that shows it and save it as PNG, JPEG, WebP or AVIF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file.

    Attributes:
        name: As `sniff` tells it.
        mime: Its media type.
        words: What people call it, to follow "this is".
        decoded: Its pixels are read here; of ``heic`` only with the extra ``chopmark[heic]``.
        advice: What can be done where they are not.
        pixels: It has any.
    """

    name: str
    mime: str
    words: str
    decoded: bool = True
    advice: str = ""
    pixels: bool = True

    @property
    def unseen(self) -> str:
        """Why its pixels cannot be looked at, where they are not decoded: a clause."""
        if not self.pixels:
            return f"this is {self.words}, and only pictures are looked at here"
        return f"this is {self.words}, whose pixels cannot be looked at here"


KINDS: Final[dict[str, Kind]] = {
    one.name: one
    for one in (
        Kind(name="png", mime="image/png", words="a PNG picture"),
        Kind(name="jpeg", mime="image/jpeg", words="a JPEG picture"),
        Kind(name="webp", mime="image/webp", words="a WebP picture"),
        Kind(name="avif", mime="image/avif", words="an AVIF picture"),
        Kind(name="gif", mime="image/gif", words="a GIF picture"),
        Kind(name="bmp", mime="image/bmp", words="a BMP picture"),
        Kind(name="tiff", mime="image/tiff", words="a TIFF picture"),
        Kind(
            name="heic", mime="image/heic", words="an HEIC picture",
            advice="pip install 'chopmark[heic]' reads HEIC here; or save it as JPEG or PNG",
        ),
        Kind(
            name="jxl", mime="image/jxl", words="a JPEG XL picture", decoded=False,
            advice=_SAVE_AS,
        ),
        Kind(
            name="jp2", mime="image/jp2", words="a JPEG 2000 picture", decoded=False,
            advice=_SAVE_AS,
        ),
        Kind(
            name="svg", mime="image/svg+xml", words="an SVG drawing", decoded=False,
            advice="it is drawn anew by each program; save what is to be looked at as PNG",
        ),
        Kind(
            name="pdf", mime="application/pdf", words="a PDF document", decoded=False,
            advice="take the picture out of it, or save its page as PNG",
        ),
        Kind(
            name="raw", mime="image/x-adobe-dng", words="a camera raw file", decoded=False,
            advice="develop it first, and save it as JPEG or PNG",
        ),
        Kind(
            name="psd", mime="image/vnd.adobe.photoshop", words="a Photoshop file", decoded=False,
            advice=_SAVE_AS,
        ),
        Kind(
            name="video", mime="video/mp4", words="a video", decoded=False,
            advice=_A_FRAME,
        ),
        Kind(
            name="avi", mime="video/avi", words="a video", decoded=False,
            advice=_A_FRAME,
        ),
        *(
            Kind(
                name=name, mime=mime, words="a sound recording", decoded=False, pixels=False,
                advice="of a file of another kind only a signature is told",
            )
            for name, mime in (
                ("m4a", "audio/mp4"), ("wav", "audio/wav"), ("mp3", "audio/mpeg"),
                ("flac", "audio/flac"),
            )
        ),
    )
}  # fmt: skip
"""Every kind that is told apart, by its name."""

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
    if data[:2] == b"BM" and len(data) >= 26:
        return "bmp"
    if b"%PDF-" in data[:1024]:
        return "pdf"
    return "svg" if _is_svg(data[:4096]) else None


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


def _is_svg(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith(b"<") and (b"<svg" in text or b"!doctype svg" in text)
