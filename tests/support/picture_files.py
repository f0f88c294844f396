"""Picture files as people and attackers make them: small, and made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

__all__ = [
    "COMPOSITE",
    "MADE",
    "encoded",
    "exif_of",
    "jpeg_with",
    "mpo",
    "png_chunk",
    "png_with",
    "same_picture",
    "srgb_profile",
    "swapped_profile",
    "xmp",
]

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def encoded(picture: Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    picture.save(out, fmt, **options)
    return out.getvalue()


def png_chunk(kind: bytes, content: bytes, *, wrong: bool = False) -> bytes:
    """Return a PNG chunk; its checksum may be wrong."""
    checksum = zlib.crc32(kind + content) ^ wrong
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_with(data: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with further chunks behind its head."""
    return data[:33] + b"".join(chunks) + data[33:]


def jpeg_with(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """Return a JPEG with further segments at its start."""
    more = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    return data[:2] + more + data[2:]


def exif_of(**fields: object) -> bytes:
    """Return EXIF as ``Exif`` and a TIFF; names as EXIF has them."""
    exif = Image.Exif()
    numbers = {
        "Orientation": 0x112,
        "Software": 0x131,
        "ImageDescription": 0x10E,
        "Copyright": 0x8298,
    }
    for name, value in fields.items():
        if name == "UserComment":
            exif.get_ifd(0x8769)[0x9286] = value
        else:
            exif[numbers[name]] = value
    return exif.tobytes()


def xmp(attributes: str = "", inside: str = "") -> bytes:
    """Return an XMP packet; the usual prefixes are declared."""
    names = {
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "dcterms": "http://purl.org/dc/terms/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
        "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    }
    declared = " ".join(f'xmlns:{name}="{uri}"' for name, uri in names.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} {attributes}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def srgb_profile() -> bytes:
    """Return an ICC profile for sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """Return a profile that shows red as blue and blue as red."""
    profile = bytearray(srgb_profile())
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def mpo(first: Image.Image, second: Image.Image) -> bytes:
    """Return a camera's JPEG with a second picture in it."""
    return encoded(first, "MPO", save_all=True, append_images=[second], quality=95)


def same_picture(picture: Image.Image) -> dict[str, bytes]:
    """Return one picture in every kind of file that is read, with its pixels (nearly) as they are.

    Kinds without colour hold its grey values.
    """
    grey = picture.convert("L")
    png = encoded(picture)
    jpeg = encoded(picture, "JPEG", quality=95)
    avif = encoded(picture, "AVIF", quality=95)
    wide = np.asarray(grey).astype(np.uint16) * 257
    return {
        "png": png,
        "large zTXt": png_with(png, png_chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(1_200_000)))),
        "large iTXt": png_with(
            png, png_chunk(b"iTXt", b"c\0\1\0\0\0" + zlib.compress(bytes(1_200_000)))
        ),
        "wrong checksum": png_with(png, png_chunk(b"tEXt", b"c\0words", wrong=True)),
        "no IEND": png[:-12],
        "jpeg": jpeg,
        "no EOI": jpeg[:-2],
        "cut JPEG": jpeg[: len(jpeg) * 19 // 20],
        "cut PNG": png[: len(png) * 19 // 20],
        "progressive": encoded(picture, "JPEG", quality=95, progressive=True),
        "16-bit grey": encoded(Image.fromarray(wide)),
        "grey and alpha": encoded(picture.convert("LA")),
        "CMYK": encoded(picture.convert("CMYK"), "JPEG", quality=95),
        "BMP": encoded(picture, "BMP"),
        "float TIFF": encoded(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"),
        "16-bit TIFF": encoded(Image.fromarray(wide), "TIFF"),
        "WebP": encoded(picture, "WEBP", lossless=True),
        "GIF": encoded(picture, "GIF"),
        "AVIF": avif,
        "AVIF of brand mif1": avif[:8] + b"mif1" + avif[12:],
        "MPO": mpo(picture, picture.resize((64, 64))),
    }
