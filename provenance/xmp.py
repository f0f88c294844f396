"""XMP: the words about a picture that any photo program can show.

Sources: IPTC Photo Metadata Standard 2025.1 (AI fields of the ``Iptc4xmpExt`` namespace); Adobe XMP
specification, part 1 (ISO 16684-1) for the packet and part 3 for where it stands in a file;
GB 45438-2025 with TC260-PG-20253A for China's ``AIGC`` element.

XMP is not signed by itself: it is written first, and the manifest then binds the whole file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from xml.sax.saxutils import escape

from chopmark.errors import UnreadableImage, UnsupportedImage
from chopmark.kit.limits import XMP
from chopmark.provenance import _boxes
from chopmark.provenance.metadata import aigc_labels, packets_of, remote_manifest
from chopmark.provenance.source_types import AI_KINDS, aigc_kind, source_kind

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

_IPTC_EXT: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
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
        provenance: Address of a remote manifest (``dcterms:provenance``), where it is one; never
            visited.
    """

    source_type: str | None = None
    system: str | None = None
    system_version: str | None = None
    aigc_label: str | None = None
    provenance: str | None = None

    @property
    def says_ai(self) -> bool:
        """Whether it says that a trained model took part, or may have."""
        kinds = source_kind(self.source_type), aigc_kind(self.aigc_label)
        return any(kind in AI_KINDS for kind in kinds)


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
    """Return what a file's XMP packets say about AI; nothing of a file without one.

    Read where they stand in the container; see :mod:`chopmark.provenance.metadata`, which reads
    EXIF, IPTC and other texts as well. What stands in a structure (an ingredient, say) is not said
    of the picture. Never raises.

    Args:
        data: A file, or a packet by itself.
    """
    packets = packets_of(data)

    def first(*names: str) -> str | None:
        found = (one.value(name, space=_IPTC_EXT) for name in names for one in packets)
        return next((value for value in found if value is not None), None)

    return XmpFound(
        source_type=first("DigitalSourceType", "DigitalSourceFileType"),
        system=first("AISystemUsed"),
        system_version=first("AISystemVersionUsed"),
        aigc_label=next((label for one in packets for label in aigc_labels(one)), None),
        provenance=next(filter(None, map(remote_manifest, packets)), None),
    )


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
        "Iptc4xmpExt": _IPTC_EXT,
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
