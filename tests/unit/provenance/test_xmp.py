"""XMP: written before signing, read from strangers."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark.errors import ChopmarkError, UnsupportedImage
from chopmark.provenance import Aigc, XmpFields, encode_image, read_xmp, write_xmp

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("png", "jpeg", "webp", "avif")
NASTY = "a \"quoted\" <b>&amp; 'single' ]]> \n line\x00\x0b\ud800 名前"


def _fields(**changes: Any) -> XmpFields:
    values: dict[str, Any] = {
        "system": "Tiny", "system_version": "1.0", "source_type": "trainedAlgorithmicMedia"
    }  # fmt: skip
    return XmpFields(**(values | changes))


def _parsed(image: Image.Image) -> dict[str, str]:
    """The packet as Pillow finds it, through the standard library's XML parser."""
    image.load()
    packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    text = packet.decode() if isinstance(packet, bytes) else packet
    tree = ET.fromstring(text[text.index("<x:") : text.rindex("<?xpacket")])  # noqa: S314
    [description] = tree.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return {name.rpartition("}")[2]: value for name, value in description.attrib.items()}


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_written_and_read_by_pillow_too(fmt: Any, mode: str) -> None:
    image = Image.effect_noise((40, 30), 60).convert(mode)
    data = encode_image(image, fmt)
    written = write_xmp(data, fmt, _fields())
    found = read_xmp(written)
    assert (
        found.source_type
        == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )
    assert (found.system, found.system_version) == ("Tiny", "1.0")
    assert found.says_ai
    with Image.open(io.BytesIO(written)) as again, Image.open(io.BytesIO(data)) as before:
        assert again.tobytes() == before.tobytes()
        assert _parsed(again)["AISystemUsed"] == "Tiny"


@pytest.mark.parametrize("fmt", FORMATS)
def test_nasty_texts_stay_texts(fmt: Any) -> None:
    data = encode_image(Image.new("RGB", (40, 30)), fmt)
    written = write_xmp(data, fmt, _fields(system=NASTY, prompt=NASTY))
    found = read_xmp(written).system
    assert found is not None
    assert found.startswith("a \"quoted\" <b>&amp; 'single' ]]>")
    assert found.endswith("名前")
    with Image.open(io.BytesIO(written)) as again:
        assert _parsed(again)["AIPromptInformation"].startswith("a ")


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_second_packet_replaces_the_first(fmt: Any) -> None:
    data = encode_image(Image.new("RGB", (40, 30)), fmt)
    once = write_xmp(data, fmt, _fields(system="One"))
    twice = write_xmp(once, fmt, _fields(system="Two"))
    assert b"One" not in twice
    assert read_xmp(twice).system == "Two"
    assert twice == write_xmp(data, fmt, _fields(system="Two"))


def test_prompt_and_label_are_off_by_default() -> None:
    data = write_xmp(encode_image(Image.new("RGB", (8, 8)), "png"), "png", _fields())
    assert b"Prompt" not in data
    assert b"AIGC" not in data


@pytest.mark.parametrize("fmt", FORMATS)
def test_china_label(fmt: Any) -> None:
    label = Aigc(content_producer='作者 "x"', produce_id="a3f0")
    data = encode_image(Image.new("RGB", (40, 30)), fmt)
    written = write_xmp(data, fmt, _fields(aigc=label))
    with Image.open(io.BytesIO(written)) as again:
        text = _parsed(again)["AIGC"]
    assert json.loads(text) == {
        "Label": "1", "ContentProducer": '作者 "x"', "ProduceID": "a3f0", "ReservedCode1": "",
        "ContentPropagator": "", "PropagateID": "", "ReservedCode2": "",
    }  # fmt: skip
    assert b"http://www.tc260.org.cn/ns/AIGC/1.0/" in written
    assert read_xmp(written).aigc_label == "1"


def test_avif_without_room_is_refused() -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "AVIF")
    with pytest.raises(UnsupportedImage, match="no room"):
        write_xmp(out.getvalue(), "avif", _fields())
    ours = encode_image(Image.new("RGB", (40, 30)), "avif")
    with pytest.raises(UnsupportedImage, match="do not fit"):
        write_xmp(ours, "avif", _fields(prompt="x" * 5000))


def test_property_as_element_and_language_alternative() -> None:
    head = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>'
    element = (
        head
        + b"<rdf:Description><I:DigitalSourceType>http://x/trainedAlgorithmicMedia"
        + b"</I:DigitalSourceType></rdf:Description></rdf:RDF>"
    )
    assert read_xmp(element).says_ai
    alternative = (
        head
        + b'<I:AISystemUsed><rdf:Alt><rdf:li xml:lang="x-default">Big</rdf:li></rdf:Alt>'
        + b"</I:AISystemUsed></rdf:RDF>"
    )
    assert read_xmp(alternative).system == "Big"


def test_no_entity_is_expanded() -> None:
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
        b'<x:xmpmeta><rdf:RDF><rdf:Description I:AISystemUsed="&a;&b;"/></rdf:RDF>'
    )
    assert read_xmp(bomb).system == "&a;&b;"


@pytest.mark.parametrize("data", [b"", b"<x:xmpmeta", b"<rdf:RDF>" + b"<" * 10_000 + b"</rdf:RDF>"])
def test_broken_packets_say_nothing(data: bytes) -> None:
    assert read_xmp(data).source_type is None


def test_hostile_packet_is_read_in_linear_time() -> None:
    """A pattern that backtracks would not come back from this within the test's time."""
    hostile = b"<rdf:RDF>" + b"<I:AISystemUsed " * 20_000 + b"</rdf:RDF>"
    assert read_xmp(hostile).system is None


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp"])
def test_broken_files_are_one_error(fmt: Any, photograph: Callable[..., Image.Image]) -> None:
    data = encode_image(photograph(32, 32), fmt)
    for end in range(0, len(data), 7):
        try:
            write_xmp(data[:end], fmt, _fields())
        except ChopmarkError:
            continue
