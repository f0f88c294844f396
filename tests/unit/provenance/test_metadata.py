"""Metadata: read where they stand, in every container; nothing else is said of the picture."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chopmark.kit.pictures import sniff
from chopmark.provenance import encode_image, read_xmp, write_xmp
from chopmark.provenance.metadata import read_metadata
from chopmark.provenance.source_types import TERMS, aigc_kind, source_kind
from tests.support.picture_files import (
    COMPOSITE,
    MADE,
    encoded,
    exif_of,
    jpeg_with,
    png_chunk,
    png_with,
    xmp,
)

if TYPE_CHECKING:
    from chopmark.provenance.metadata import Mention

SMALL = Image.new("RGB", (24, 16), (90, 120, 60))
PNG = encoded(SMALL)
JPEG = encoded(SMALL, "JPEG")
APP1 = b"http://ns.adobe.com/xap/1.0/\0"
PARAMETERS = "a lighthouse\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Model: v1-5"
GRAPH = '{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": NaN}}}'


def text(keyword: str, value: str) -> bytes:
    return png_with(PNG, png_chunk(b"tEXt", keyword.encode() + b"\0" + value.encode("latin-1")))


def in_png(packet: bytes) -> bytes:
    return png_with(PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))


def in_jpeg(packet: bytes) -> bytes:
    return jpeg_with(JPEG, (0xE1, APP1 + packet))


def raw_profile(name: str, content: bytes) -> bytes:
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    value = zlib.compress(f"\n{name}\n{len(content):8}\n{lines}\n".encode())
    return png_with(PNG, png_chunk(b"zTXt", f"Raw profile type {name}".encode() + b"\0\0" + value))


def extended(packet: bytes) -> bytes:
    guid, cut = b"0123456789ABCDEF0123456789ABCDEF", len(packet) // 2
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">I", len(packet))
    # The parts need not come in their order.
    return jpeg_with(
        JPEG,
        (0xE1, APP1 + xmp('xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"')),
        (0xE1, head + struct.pack(">I", cut) + packet[cut:]),
        (0xE1, head + struct.pack(">I", 0) + packet[:cut]),
    )


def photoshop(*resources: tuple[int, bytes]) -> bytes:
    content = b"Photoshop 3.0\0"
    for number, value in resources:
        content += b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(value))
        content += value + b"\0" * (len(value) & 1)
    return jpeg_with(JPEG, (0xED, content))


def iim(dataset: int, value: str) -> bytes:
    return bytes([0x1C, 2, dataset]) + struct.pack(">H", len(value)) + value.encode()


def gif_with_xmp(packet: bytes) -> bytes:
    data = encoded(SMALL, "GIF")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return data[:-1] + b"\x21\xff\x0bXMP DataXMP" + packet + trailer + b";"


def strongest(data: bytes) -> Mention:
    found = read_metadata(data).strongest
    assert found is not None
    return found


SAID = xmp(f'Iptc4xmpExt:DigitalSourceType="{MADE}"')
AS_ELEMENT = f"<Iptc4xmpExt:DigitalSourceType>{MADE}</Iptc4xmpExt:DigitalSourceType>"
AS_RESOURCE = f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{MADE}"/>'
AS_LIST = (
    f"<Iptc4xmpExt:DigitalSourceType><rdf:Seq><rdf:li>{MADE}</rdf:li></rdf:Seq>"
    "</Iptc4xmpExt:DigitalSourceType>"
)
LABEL = {"Label": "1", "ContentProducer": "x", "ProduceID": "y"}
MENTIONS: dict[str, tuple[bytes, str]] = {
    "packet in PNG": (in_png(SAID), "made"),
    "compressed iTXt": (
        png_with(
            PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(SAID))
        ),
        "made",
    ),
    "packet in zTXt": (
        png_with(PNG, png_chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(SAID))),
        "made",
    ),
    "raw profile xmp": (raw_profile("xmp", SAID), "made"),
    "raw profile exif": (raw_profile("exif", exif_of(Software="ComfyUI")), "made"),
    "packet in JPEG": (in_jpeg(SAID), "made"),
    "second packet": (jpeg_with(JPEG, (0xE1, APP1 + xmp()), (0xE1, APP1 + SAID)), "made"),
    "extended packet": (extended(SAID), "made"),
    "packet in Photoshop's resources": (photoshop((0x0424, SAID)), "made"),
    "packet in WebP": (encoded(SMALL, "WEBP", xmp=SAID), "made"),
    "packet in TIFF": (encoded(SMALL, "TIFF", tiffinfo={700: SAID}), "made"),
    "packet in GIF": (gif_with_xmp(SAID), "made"),
    "packet in AVIF": (encoded(SMALL, "AVIF", xmp=SAID), "made"),
    "packet in SVG": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><metadata>'
        + SAID[SAID.index(b"<rdf:") : SAID.index(b"</x:")]
        + b"</metadata></svg>",
        "made",
    ),
    "UTF-16 without a mark": (in_jpeg(SAID.decode().encode("utf-16-le")), "made"),
    "UTF-16, big end first": (in_jpeg(SAID.decode().encode("utf-16-be")), "made"),
    "UTF-16 with a mark": (in_png(SAID.decode().encode("utf-16")), "made"),
    "UTF-32": (in_jpeg(SAID.decode().encode("utf-32-be")), "made"),
    "element": (in_jpeg(xmp(inside=AS_ELEMENT)), "made"),
    "rdf:resource": (in_jpeg(xmp(inside=AS_RESOURCE)), "made"),
    "list": (in_jpeg(xmp(inside=AS_LIST)), "made"),
    "another prefix": (
        in_jpeg(SAID.replace(b"Iptc4xmpExt=", b"e=").replace(b"Iptc4xmpExt:", b"e:")), "made"
    ),
    "qcode": (
        in_jpeg(xmp('Iptc4xmpExt:DigitalSourceType="digsrctype:trainedAlgorithmicMedia"')),
        "made",
    ),
    "the older name": (in_jpeg(xmp(f'Iptc4xmpExt:DigitalSourceFileType="{MADE}"')), "made"),
    "composite": (in_jpeg(xmp(f'Iptc4xmpExt:DigitalSourceType="{COMPOSITE}"')), "edited"),
    "synthetic composite": (
        in_jpeg(xmp('Iptc4xmpExt:DigitalSourceType="http://x/compositeSynthetic"')), "contains"
    ),
    "AISystemUsed alone": (in_jpeg(xmp('Iptc4xmpExt:AISystemUsed="Big 1"')), "made"),
    "credit line": (in_jpeg(xmp('photoshop:Credit="Made with Google AI"')), "made"),
    "credit line of an edit": (in_jpeg(xmp('photoshop:Credit="Edited with Google AI"')), "edited"),
    "credit in IPTC": (photoshop((0x0404, iim(110, "Made with Google AI"))), "made"),
    "label in XMP": (in_jpeg(xmp(f"TC260:AIGC='{json.dumps(LABEL)}'")), "made"),
    "label that says maybe": (in_jpeg(xmp("TC260:AIGC='{\"Label\": \"2\"}'")), "maybe"),
    "label as a structure": (
        in_jpeg(
            xmp(
                inside='<TC260:AIGC rdf:parseType="Resource"><TC260:Label>3</TC260:Label>'
                "</TC260:AIGC>"
            )
        ),
        "maybe",
    ),
    "label in a text": (text("AIGC", json.dumps(LABEL)), "made"),
    "label in an object": (text("Comment", json.dumps({"AIGC": {"Label": 2}})), "maybe"),
    "label in EXIF": (
        jpeg_with(
            JPEG,
            (0xE1, exif_of(UserComment=b"ASCII\0\0\0" + json.dumps({"AIGC": LABEL}).encode())),
        ),
        "made",
    ),
    "Automatic1111 in PNG": (text("parameters", PARAMETERS), "made"),
    "Automatic1111 in EXIF": (
        jpeg_with(
            JPEG, (0xE1, exif_of(UserComment=b"UNICODE\0" + PARAMETERS.encode("utf-16-be")))
        ),
        "made",
    ),
    "Automatic1111 in EXIF, other end first": (
        jpeg_with(
            JPEG, (0xE1, exif_of(UserComment=b"UNICODE\0" + PARAMETERS.encode("utf-16-le")))
        ),
        "made",
    ),
    "ComfyUI's prompt": (text("prompt", GRAPH), "made"),
    "ComfyUI's workflow": (text("workflow", '{"nodes": []}'), "made"),
    "ComfyUI in WebP": (
        encoded(SMALL, "WEBP", exif=exif_of(ImageDescription="Workflow:" + GRAPH)), "made"
    ),
    "InvokeAI": (text("invokeai_metadata", '{"generation_mode": "txt2img"}'), "made"),
    "NovelAI": (text("Software", "NovelAI"), "made"),
    "NovelAI's comment": (text("Comment", '{"steps": 28, "sampler": "k_euler"}'), "made"),
    "Fooocus": (text("fooocus_scheme", "fooocus"), "made"),
    "Midjourney": (
        text("Description", "a fox --v 6 Job ID: 01234567-89ab-cdef-0123-456789abcdef"), "made"
    ),
    "a generator's name in EXIF": (
        encoded(SMALL, "JPEG", exif=exif_of(Software="DALL-E 3")), "made"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MENTIONS)
def test_every_place_that_names_ai(name: str) -> None:
    data, kind = MENTIONS[name]
    assert strongest(data).kind == kind


NOTHING: dict[str, bytes] = {
    "plain": JPEG,
    "an ingredient": in_jpeg(
        xmp(
            inside=f'<xmpMM:Ingredients><rdf:Bag><rdf:li Iptc4xmpExt:DigitalSourceType="{MADE}"/>'
            "</rdf:Bag></xmpMM:Ingredients>"
        )
    ),
    "an ingredient's structure": in_jpeg(
        xmp(
            inside="<xmpMM:DerivedFrom><rdf:Description>"
            + AS_ELEMENT
            + "</rdf:Description></xmpMM:DerivedFrom>"
        )
    ),
    "a caption that quotes it": in_jpeg(
        xmp(
            inside="<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>He wrote "
            f'Iptc4xmpExt:DigitalSourceType="{MADE}" &lt;rdf:RDF&gt;</rdf:li></rdf:Alt>'
            "</dc:description>"
        )
    ),
    "a caption in CDATA": in_jpeg(
        xmp(inside=f"<dc:description><![CDATA[<rdf:RDF>{AS_ELEMENT}</rdf:RDF>]]></dc:description>")
    ),
    "a comment": in_jpeg(xmp(inside=f"<!-- {AS_ELEMENT} -->")),
    "a photograph's own type": in_jpeg(
        xmp('Iptc4xmpExt:DigitalSourceType="http://x/digitalCapture"')
    ),
    "behind the end marker of a JPEG": JPEG + in_jpeg(SAID)[2:],
    "behind the end marker of a PNG": PNG + in_png(SAID)[33:],
    "in the pixels": encoded(Image.frombytes("L", (len(SAID), 1), SAID), "BMP"),
    "a photographer's words": text("Description", "Steps: 20 people walk down the stairs"),
    "a text about a prompt": text("prompt", "please call the desk"),
    "a label that says no": text("AIGC", '{"Label": "0"}'),
    "a camera's program": encoded(SMALL, "JPEG", exif=exif_of(Software="NIKON Ver.1.01")),
    "an editor's program": in_jpeg(xmp('xmp:CreatorTool="Adobe Photoshop 26.0"')),
    "an imagen elsewhere": encoded(SMALL, "JPEG", exif=exif_of(ImageDescription="una imagen")),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_not_said_of_the_picture(name: str) -> None:
    assert read_metadata(NOTHING[name]).strongest is None


def test_every_place_is_listed_once() -> None:
    data = png_with(
        text("parameters", PARAMETERS),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SAID),
        png_chunk(b"tEXt", b"Software\0ComfyUI"),
    )
    found = read_metadata(data).mentions
    assert [one.where for one in found] == [
        "XMP DigitalSourceType", "PNG text 'Software'", "PNG text 'parameters'"
    ]  # fmt: skip
    assert found[0].source_type == MADE


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://example.org/a.c2pa", "https://example.org/a.c2pa"),
        ("Gift of the artist, 1931; on loan since 2004", None),
        ("self#jumbf=/c2pa/urn:c2pa:x", None),
        ("https://example.org/a b", None),
        ("file:///etc/passwd", None),
    ],
)
def test_provenance_is_an_address_or_no_manifest(value: str, address: str | None) -> None:
    data = in_jpeg(xmp(f'dcterms:provenance="{value}"'))
    assert read_metadata(data).remote_manifest == address
    assert read_xmp(data).provenance == address
    # The same word of another vocabulary is another property.
    elsewhere = data.replace(b"http://purl.org/dc/terms/", b"http://museum.example/own")
    assert read_metadata(elsewhere).remote_manifest is None


def test_what_cannot_be_read_is_said() -> None:
    large = png_chunk(b"zTXt", b"notes\0\0" + zlib.compress(bytes(3_000_000)))
    said = read_metadata(png_with(in_png(SAID), large))
    assert said.strongest is not None
    assert said.unread == ("the text 'notes'",)
    damaged = png_chunk(b"zTXt", b"notes\0\0no zlib")
    assert read_metadata(png_with(PNG, damaged)).unread == ("the text 'notes'",)
    whole = in_jpeg(SAID)
    broken = jpeg_with(whole, (0xE0, b"JFIF\0"))[: len(whole) - 200]
    assert read_metadata(broken).strongest is not None


def test_the_table_of_source_types() -> None:
    assert source_kind(MADE) == source_kind(MADE.replace("http:", "https:") + "/") == "made"
    assert source_kind("TRAINEDALGORITHMICMEDIA") == "made"
    assert source_kind(None) == source_kind("trainedAlgorithmicMediaX") == "open"
    assert [aigc_kind(one) for one in ("1", "2", "3", "0", None)] == [
        "made", "maybe", "maybe", "open", "open"
    ]  # fmt: skip
    assert len({one.name for one in TERMS}) == len(TERMS)
    for one in TERMS:
        assert source_kind(f"http://cv.iptc.org/newscodes/digitalsourcetype/{one.name}") == one.kind


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_what_we_write_we_read(fmt: Any) -> None:
    from chopmark.provenance import XmpFields

    fields = XmpFields(system="Tiny", system_version="2", source_type=MADE)
    found = strongest(write_xmp(encode_image(SMALL, fmt), fmt, fields))
    assert (found.kind, found.system, found.source_type) == ("made", "Tiny 2", MADE)


SEEDS = [data for data, _ in MENTIONS.values()]


@settings(max_examples=400, deadline=None)
@given(number=st.integers(0, len(SEEDS) - 1), at=st.floats(0, 1), bytes_=st.binary(max_size=12))
def test_nothing_that_stands_there_raises(number: int, at: float, bytes_: bytes) -> None:
    data = bytearray(SEEDS[number])
    place = int(at * len(data))
    data[place : place + len(bytes_)] = bytes_
    assert read_metadata(bytes(data)) is not None
    for kind in ("png", "jpeg", "webp", "gif", "tiff", "avif", "heic", "jxl", "svg", "raw"):
        assert read_metadata(bytes(data[place:]), kind) is not None
    sniff(bytes(data[place:]))


def test_a_hostile_tree_is_cut_off() -> None:
    deep = b"<rdf:RDF>" + b"<a>" * 100_000
    wide = b"<rdf:RDF><rdf:Description>" + b"<b:c>1</b:c>" * 80_000
    for packet in (deep, wide, b'<!DOCTYPE a [<!ENTITY b "c">]>' + SAID):
        read_metadata(in_png(packet))
    assert read_metadata(in_png(b'<!DOCTYPE a [<!ENTITY b "c">]>' + SAID)).strongest is not None


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ({"description": "AI Generated Image", "softwareAgent": "Bing Image Creator"}, "made"),
        ({"parameters": {"description": "AI Generated Image"}}, "made"),
        ({"softwareAgent": {"name": "OpenAI DALL-E"}}, "made"),
        ({"softwareAgent": "Adobe Photoshop"}, None),
        ({"description": "A picture of what AI generated"}, None),
        (
            {"softwareAgent": "Adobe Firefly", "digitalSourceType": "http://x/digitalCapture"},
            None,
        ),
    ],
)
def test_actions_of_before_source_types(action: dict[str, Any], kind: str | None) -> None:
    from chopmark.provenance._involvement import involvement

    actions = {"actions": [{"action": "c2pa.created", **action}]}
    manifest = {"assertions": [{"label": "c2pa.actions", "data": actions}]}
    assert involvement(manifest).kind == kind
