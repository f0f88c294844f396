"""What kinds of files there are, and what can be done with those that are not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["KINDS", "Kind"]

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
            Kind(name=name, mime=mime, words=words, decoded=False, advice=_SAVE_AS)
            for name, mime, words in (
                ("ico", "image/vnd.microsoft.icon", "a Windows icon"),
                ("icns", "image/icns", "a macOS icon"),
                ("dds", "image/vnd-ms.dds", "a DDS texture"),
                ("exr", "image/x-exr", "an OpenEXR picture"),
                ("hdr", "image/vnd.radiance", "a Radiance HDR picture"),
                ("qoi", "image/qoi", "a QOI picture"),
                ("pnm", "image/x-portable-anymap", "a Netpbm picture"),
                ("tga", "image/x-tga", "a Targa picture"),
                ("pcx", "image/vnd.zbrush.pcx", "a PCX picture"),
                ("xcf", "image/x-xcf", "a GIMP file"),
                ("wmf", "image/wmf", "a Windows metafile"),
                ("eps", "application/postscript", "a PostScript file"),
            )
        ),
        *(
            Kind(name=name, mime=mime, words="a video", decoded=False, advice=_A_FRAME)
            for name, mime in (
                ("mkv", "video/x-matroska"), ("ogg", "application/ogg"),
                ("wmv", "video/x-ms-asf"), ("flv", "video/x-flv"), ("mpeg", "video/mpeg"),
            )
        ),
        Kind(
            name="html", mime="text/html", words="a web page", decoded=False, pixels=False,
            advice="save the picture that is on it, not the page",
        ),
        Kind(
            name="zip", mime="application/zip", words="an archive or an office document",
            decoded=False, pixels=False, advice="take the picture out of it",
        ),
        Kind(
            name="gzip", mime="application/gzip", words="a compressed file", decoded=False,
            pixels=False, advice="unpack it first",
        ),
        *(
            Kind(
                name=name, mime=mime, words="a sound recording", decoded=False, pixels=False,
                advice="of a file of another kind only a signature is recognised",
            )
            for name, mime in (
                ("m4a", "audio/mp4"), ("wav", "audio/wav"), ("mp3", "audio/mpeg"),
                ("flac", "audio/flac"),
            )
        ),
    )
}  # fmt: skip
"""Every kind that is told apart, by its name."""
