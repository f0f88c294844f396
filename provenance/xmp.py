"""XMP: the words about a picture that any photo program can show.

Sources: IPTC Photo Metadata Standard 2025.1 (AI fields of the ``Iptc4xmpExt`` namespace); Adobe XMP
specification, part 1 (ISO 16684-1) for the packet and part 3 for where it stands in a file;
GB 45438-2025 with TC260-PG-20253A for China's ``AIGC`` element.

XMP is not signed by itself: it is written first, and the manifest then binds the whole file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from xml.sax.saxutils import escape

from chopmark.errors import UnreadableImage, UnsupportedImage
from chopmark.kit.limits import XMP
from chopmark.provenance import _boxes

if TYPE_CHECKING:
    from chopmark.kit.types import ImageFormat

__all__ = [
    "IPTC_TYPES",
    "SOURCE_TYPES",
    "Aigc",
    "MakesXmp",
    "XmpFields",
    "XmpFound",
    "read_xmp",
    "reserve",
    "write_xmp",
]

IPTC_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES: Final = {
    "created": IPTC_TYPES + "trainedAlgorithmicMedia",
    "edited": IPTC_TYPES + "compositeWithTrainedAlgorithmicMedia",
}
"""The IPTC digital source type of each action."""

_HEAD: Final = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_TAIL: Final = b'<?xpacket end="w"?>'
# White space that later editors may grow into without moving what follows.
_ROOM: Final = 2048
# The ampersand last, so that what it protected is not read twice.
_ENTITIES: Final = (
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&#34;", '"'),
    ("&#39;", "'"),
    ("&#10;", "\n"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
)


@dataclass(frozen=True, kw_only=True)
class Aigc:
    """The members of China's label (GB 45438-2025, annex E); texts are the deployer's own."""

    label: str = "1"
    content_producer: str = ""
    produce_id: str = ""
    reserved_code_1: str = ""
    content_propagator: str = ""
    propagate_id: str = ""
    reserved_code_2: str = ""


@dataclass(frozen=True, kw_only=True)
class XmpFields:
    """What is written.

    Attributes:
        system: IPTC ``AISystemUsed``: the model or service.
        system_version: IPTC ``AISystemVersionUsed``.
        source_type: IPTC ``DigitalSourceType``: a URI, or the last part of one of IPTC's own.
        creator_tool: XMP ``CreatorTool``; empty leaves it out.
        prompt: IPTC ``AIPromptInformation``; personal data, so None unless a setting asks for it.
        prompt_writer: IPTC ``AIPromptWriterName``; likewise.
        aigc: China's label; None leaves it out.
    """

    system: str
    system_version: str
    source_type: str
    creator_tool: str = ""
    prompt: str | None = None
    prompt_writer: str | None = None
    aigc: Aigc | None = None


class MakesXmp(Protocol):
    """What can say in XMP what it says elsewhere, as a ``ManifestInfo`` does."""

    def xmp_fields(self) -> XmpFields:
        """Return the fields."""


@dataclass(frozen=True, kw_only=True)
class XmpFound:
    """What a stranger's XMP says about AI; each is None where it says nothing.

    Attributes:
        source_type: IPTC ``DigitalSourceType``, a URI or whatever else stands there.
        system: IPTC ``AISystemUsed``.
        system_version: IPTC ``AISystemVersionUsed``.
        aigc_label: China's ``Label``: ``1`` made by AI, ``2`` may be, ``3`` is suspected to be.
        provenance: Address of a remote manifest (``dcterms:provenance``); never visited.
    """

    source_type: str | None = None
    system: str | None = None
    system_version: str | None = None
    aigc_label: str | None = None
    provenance: str | None = None

    @property
    def says_ai(self) -> bool:
        """Whether it says that a trained model took part."""
        code = (self.source_type or "").rsplit("/", 1)[-1]
        return code in {
            "trainedAlgorithmicMedia",
            "compositeWithTrainedAlgorithmicMedia",
        } or self.aigc_label in {"1", "2"}


def reserve() -> bytes:
    """Return an empty packet with room to be written in place later."""
    return _packet(b"", room=_ROOM)


def write_xmp(data: bytes, fmt: ImageFormat, fields: XmpFields | MakesXmp) -> bytes:
    """Return the file with this XMP packet, in place of one that it had.

    Must come before signing: any later change of the file breaks the manifest. A `ManifestInfo`
    gives the same statements here that its manifest will make.

    Raises:
        UnreadableImage: The file's structure is broken.
        UnsupportedImage: An AVIF file that `encode_image` did not make has no room for it.
    """
    body = _body(fields if isinstance(fields, XmpFields) else fields.xmp_fields())
    if fmt == "avif":
        return _overwrite(data, body)
    packet = _packet(body, room=0)
    if fmt == "png":
        return _boxes.png_with_xmp(data, packet)
    if fmt == "jpeg":
        return _boxes.jpeg_with_xmp(data, packet)
    return _boxes.webp_with_xmp(data, packet)


def read_xmp(data: bytes) -> XmpFound:
    """Return what the first XMP packet of a file says about AI; nothing in a file without one.

    The packet is found by its marker, whatever the format, and read with patterns and no XML
    parser: a stranger's entities are never expanded.
    """
    start = data.find(b"<x:xmpmeta")
    if start < 0:
        start = data.find(b"<rdf:RDF")
    if start < 0:
        return XmpFound()
    end = data.find(b"</rdf:RDF>", start, start + XMP.most)
    if end < 0:
        return XmpFound()
    text = data[start:end].decode("utf-8", "replace")
    aigc = _value(text, "AIGC")
    label = None
    if aigc is not None:
        found = re.search(r'"Label"\s*:\s*"?(\d)', aigc)
        label = found.group(1) if found else None
    return XmpFound(
        source_type=_value(text, "DigitalSourceType"),
        system=_value(text, "AISystemUsed"),
        system_version=_value(text, "AISystemVersionUsed"),
        aigc_label=label,
        provenance=_value(text, "provenance"),
    )


def _value(text: str, name: str) -> str | None:
    """Return a property's value, be it written as attribute or as element."""
    # Every repetition is bounded, so that no input makes these patterns run away; and a pattern
    # begins with what is rare, so that it is tried at few places.
    found = re.search(
        rf"""(?<=[\w.-]):{name}\s{{0,8}}=\s{{0,8}}(?:"([^"<]{{0,4096}})"|'([^'<]{{0,4096}})')""",
        text,
    ) or re.search(rf"<[\w.-]{{1,40}}:{name}\b[^<>]{{0,256}}>([^<]{{0,4096}})</", text)
    if found is None:
        # IPTC allows language alternatives: the text is then one element deeper.
        found = re.search(
            rf"<[\w.-]{{1,40}}:{name}\b[^<>]{{0,256}}>\s{{0,64}}<rdf:\w{{1,10}}>\s{{0,64}}"
            r"<rdf:li[^<>]{0,64}>([^<]{0,4096})<",
            text,
        )
    if found is None:
        return None
    value = next((group for group in found.groups() if group is not None), "")
    for escaped, plain in _ENTITIES:
        value = value.replace(escaped, plain)
    return value.strip()


def _clean(text: str) -> str:
    """Drop the characters that XML 1.0 cannot hold in any form (section 2.2)."""
    return "".join(
        one
        for one in text
        if one in "\t\n\r" or (one >= " " and not "\ud800" <= one <= "\udfff" and one not in "￾￿")
    )


def _body(fields: XmpFields) -> bytes:
    source = fields.source_type if "://" in fields.source_type else IPTC_TYPES + fields.source_type
    values = {
        "Iptc4xmpExt:AISystemUsed": fields.system,
        "Iptc4xmpExt:AISystemVersionUsed": fields.system_version,
        "Iptc4xmpExt:DigitalSourceType": source,
        "Iptc4xmpExt:AIPromptInformation": fields.prompt,
        "Iptc4xmpExt:AIPromptWriterName": fields.prompt_writer,
        "xmp:CreatorTool": fields.creator_tool or None,
    }
    namespaces = {
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
    }
    if fields.aigc is not None:
        namespaces["TC260"] = "http://www.tc260.org.cn/ns/AIGC/1.0/"
        values["TC260:AIGC"] = json.dumps(
            {
                "Label": fields.aigc.label,
                "ContentProducer": fields.aigc.content_producer,
                "ProduceID": fields.aigc.produce_id,
                "ReservedCode1": fields.aigc.reserved_code_1,
                "ContentPropagator": fields.aigc.content_propagator,
                "PropagateID": fields.aigc.propagate_id,
                "ReservedCode2": fields.aigc.reserved_code_2,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
    attributes = [
        *(f'xmlns:{prefix}="{uri}"' for prefix, uri in namespaces.items()),
        *(f"{name}={_attribute(value)}" for name, value in values.items() if value is not None),
    ]
    return f'<rdf:Description rdf:about="" {" ".join(attributes)}/>'.encode()


def _attribute(value: str) -> str:
    return '"' + escape(_clean(value), {'"': "&quot;", "\n": "&#10;", "\r": "&#13;"}) + '"'


def _packet(body: bytes, *, room: int) -> bytes:
    inner = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + body
        + b"</rdf:RDF></x:xmpmeta>"
    )
    return _HEAD + inner + b" " * room + _TAIL


def _overwrite(data: bytes, body: bytes) -> bytes:
    start = data.find(_HEAD)
    end = data.find(_TAIL, start, start + XMP.most) + len(_TAIL) if start >= 0 else -1
    if start < 0 or end < start + len(_HEAD):
        raise UnsupportedImage(
            "this AVIF file has no room for XMP", hint="encode it with `encode_image`"
        )
    size = end - start
    bare = len(_packet(body, room=0))
    if bare > size:
        raise UnsupportedImage(
            f"{bare} bytes of XMP do not fit into the {size} that the AVIF file has room for",
            hint="leave the prompt out, or use another format",
        )
    written = data[:start] + _packet(body, room=size - bare) + data[end:]
    if len(written) != len(data):  # pragma: no cover - guards the offsets in the file
        raise UnreadableImage("the AVIF file's XMP packet could not be written in place")
    return written
