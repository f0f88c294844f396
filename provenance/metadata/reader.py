"""All that a file's metadata say about AI, each place on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.kit.pictures.sniffing import sniff
from chopmark.provenance.metadata._blocks import blocks_of
from chopmark.provenance.metadata._exif import exif_texts
from chopmark.provenance.metadata._iptc import iptc_texts
from chopmark.provenance.metadata._packet import parse_packet
from chopmark.provenance.metadata._programs import (
    aigc_label,
    credit_trace,
    software_trace,
    text_trace,
)
from chopmark.provenance.source_types import AI_KINDS, aigc_kind, find_source_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.provenance.metadata._blocks import Block
    from chopmark.provenance.metadata._packet import Packet
    from chopmark.provenance.source_types import SourceKind

__all__ = ["Mention", "Metadata", "aigc_labels", "packets_of", "read_metadata", "remote_manifest"]

_IPTC_EXT: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DCTERMS: Final = "http://purl.org/dc/terms/"
# The second is the name of before 2008, which some programs still write.
_SOURCE_TYPE: Final = ("DigitalSourceType", "DigitalSourceFileType", "DigitalSourcefileType")
_MOST_ADDRESS: Final = 2048
_MOST_MENTIONS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One place where a file's metadata say how it was made. Anybody can write metadata.

    Attributes:
        kind: What it says of AI.
        where: The field, as "XMP DigitalSourceType" or "PNG text 'parameters'".
        source_type: IPTC digital source type, as it stands there.
        system: The program, model or service.
    """

    kind: SourceKind
    where: str
    source_type: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a file's metadata say.

    Attributes:
        mentions: In the order in which they stand; each says something once.
        remote_manifest: Address of a manifest that is kept elsewhere; never visited.
        unread: Metadata that could not be looked at, in words.
    """

    mentions: tuple[Mention, ...] = ()
    remote_manifest: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def strongest(self) -> Mention | None:
        """The mention that says most about AI; None where none names it."""
        ai = [one for one in self.mentions if one.kind in AI_KINDS]
        return min(ai, key=lambda one: AI_KINDS.index(one.kind), default=None)


def read_metadata(data: bytes, kind: str | None = None) -> Metadata:
    """Return what a file's metadata say about AI; never raises.

    Args:
        data: The file.
        kind: As `chopmark.kit.pictures.sniff` tells it; told here where it is left out.
    """
    blocks = blocks_of(data, kind or sniff(data) or "")
    found: dict[Mention, None] = {}
    remote = None
    for block in blocks:
        if block.kind == "xmp":
            packet = parse_packet(block.data)
            remote = remote or remote_manifest(packet)
            mentions = _in_packet(packet)
        else:
            mentions = _in_texts(block)
        found.update(dict.fromkeys(mentions))
    return Metadata(
        mentions=tuple(found)[:_MOST_MENTIONS],
        remote_manifest=remote,
        unread=tuple(dict.fromkeys(one.keyword for one in blocks if one.kind == "unread")),
    )


def packets_of(data: bytes) -> list[Packet]:
    """Return a file's XMP packets, or the packet that the bytes themselves are."""
    kind = sniff(data)
    if kind is None:
        return [parse_packet(data)]
    return [parse_packet(one.data) for one in blocks_of(data, kind) if one.kind == "xmp"]


def remote_manifest(packet: Packet) -> str | None:
    """Return the address of a manifest that XMP names (C2PA 2.4, 11.4), if it is one.

    ``dcterms:provenance`` is also where museums tell who owned a picture, and where some signers
    name the manifest in the file itself.
    """
    for value in packet.values("provenance", space=_DCTERMS):
        web = value.lower().startswith(("https://", "http://"))
        if web and len(value) <= _MOST_ADDRESS and not any(one.isspace() for one in value):
            return value
    return None


def _in_packet(packet: Packet) -> Iterator[Mention]:
    system = " ".join(
        word
        for name in ("AISystemUsed", "AISystemVersionUsed")
        if (word := packet.value(name, space=_IPTC_EXT))
    )
    stated = False
    for name in _SOURCE_TYPE:
        for value in packet.values(name, space=_IPTC_EXT):
            term = find_source_type(value)
            if term is not None:
                stated = True
                yield Mention(
                    kind=term.kind, where=f"XMP {name}", source_type=value[:512],
                    system=system[:256] or None,
                )  # fmt: skip
    labels = list(aigc_labels(packet))
    # IPTC 2025.1: the fields are for pictures that were generated. A label says it more exactly.
    if system and not stated and not labels:
        yield Mention(kind="made", where="XMP AISystemUsed", system=system[:256])
    for label in labels:
        yield Mention(
            kind=aigc_kind(label), where=f"XMP TC260:AIGC (Label {label})",
            system=system[:256] or None,
        )  # fmt: skip
    for name in ("Credit", "CreatorTool", "Software", "UserComment", "description", "Source"):
        for value in packet.values(name):
            look = {"Credit": credit_trace, "CreatorTool": software_trace}.get(name)
            trace = look(value) if look else text_trace(name, value)
            if trace is not None:
                yield Mention(kind=trace[0], where=f"XMP {name}", system=trace[1])


def aigc_labels(packet: Packet) -> Iterator[str]:
    """Yield the ``Label`` of China's element, be it JSON in a text or a structure."""
    for value in packet.values("AIGC"):
        label = aigc_label("AIGC", value)
        if label is not None:
            yield label
    label = packet.fields("AIGC").get("Label")
    if label is not None and aigc_kind(label) != "open":
        yield label.strip()


def _in_texts(block: Block) -> Iterator[Mention]:
    if block.kind == "exif":
        texts, place = exif_texts(block.data), "EXIF {}"
    elif block.kind == "iptc":
        texts, place = iptc_texts(block.data), "IPTC {}"
    elif block.kind == "text":
        text = block.data.decode(block.encoding, "replace").strip("\0 \n")
        comment = block.keyword.endswith(" comment")
        texts, place = iter([(block.keyword, text)]), "{}" if comment else "PNG text '{}'"
    else:
        return
    for name, text in texts:
        where = place.format(name)
        label = aigc_label(name, text)
        if label is not None:
            yield Mention(kind=aigc_kind(label), where=f"{where}, TC260 AIGC (Label {label})")
        trace = text_trace("comment" if name.endswith(" comment") else name, text)
        if trace is not None:
            yield Mention(kind=trace[0], where=where, system=trace[1])
