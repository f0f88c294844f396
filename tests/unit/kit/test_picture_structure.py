"""A file of too many parts is refused by its structure; what programs write is not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark.errors import ImageTooComplex
from chopmark.kit import limits
from chopmark.kit.picture_structure import check_exif, check_manifest_store, declared_size

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def nested(depth: int) -> bytes:
    store = b""
    for _ in range(depth):
        store = box(b"jumb", store)
    return store


def fields(number: int, *, each: int = 1) -> bytes:
    """EXIF of so many fields, whose values are ``each`` bytes long and lie over one another."""
    rows = b"".join(struct.pack("<HHII", 1 + n, 1, each, 8) for n in range(number))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", number) + rows + bytes(4)


@pytest.fixture
def drawn(make_picture: Callable[..., Image.Image]) -> Image.Image:
    return make_picture(90, 60)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("exif", [False, True])
def test_what_a_program_wrote_passes_with_its_size(
    drawn: Image.Image, to_bytes: Callable[..., bytes], fmt: str, exif: bool
) -> None:
    options: dict[str, Any] = {}
    if exif and fmt in {"PNG", "JPEG", "WEBP", "AVIF"}:
        data = Image.Exif()
        data[0x010E], data[0x0112] = "a picture of the tests", 1
        options["exif"] = data
    size = declared_size(to_bytes(drawn, fmt, **options))
    assert size is not None
    assert (size.width, size.height, size.pixels) == (90, 60, 5400)


@pytest.mark.parametrize("options", [{"progressive": True}, {"lossless": True}])
def test_other_ways_to_write_it_too(
    drawn: Image.Image, to_bytes: Callable[..., bytes], options: dict[str, Any]
) -> None:
    fmt = "JPEG" if "progressive" in options else "WEBP"
    size = declared_size(to_bytes(drawn, fmt, **options))
    assert size is not None
    assert size.pixels == 5400


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "TIFF", "PNG"])
def test_a_few_frames_pass(drawn: Image.Image, fmt: str) -> None:
    out = io.BytesIO()
    others = [drawn.point(lambda value, by=n: value ^ by) for n in range(1, 5)]
    drawn.save(out, fmt, save_all=True, append_images=others)
    size = declared_size(out.getvalue())
    assert size is not None
    assert size.pixels == 5400


def _png_chunks(whole: dict[str, bytes]) -> bytes:
    empty = chunk(b"tEXt") * limits.PNG_CHUNKS.most
    return whole["PNG"][:33] + empty + whole["PNG"][33:]


def _png_exif(whole: dict[str, bytes]) -> bytes:
    return whole["PNG"][:33] + chunk(b"eXIf", fields(20, each=10**6)) + whole["PNG"][33:]


def _png_profiles(whole: dict[str, bytes]) -> bytes:
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1000)))
    return whole["PNG"][:33] + profile * (limits.PNG_PROFILES.most + 1) + whole["PNG"][33:]


def _png_store(whole: dict[str, bytes]) -> bytes:
    store = box(b"jumb", box(b"free") * limits.JUMBF_BOXES.most)
    return whole["PNG"][:33] + chunk(b"caBX", store) + whole["PNG"][33:]


def _jpeg_segments(whole: dict[str, bytes]) -> bytes:
    comments = b"\xff\xfe\0\2" * limits.JPEG_SEGMENTS.most
    return whole["JPEG"][:2] + comments + whole["JPEG"][2:]


def _jpeg_fill(whole: dict[str, bytes]) -> bytes:
    return whole["JPEG"][:2] + b"\xff" * limits.JPEG_SEGMENTS.most + whole["JPEG"][2:]


def _jpeg_scans(whole: dict[str, bytes]) -> bytes:
    at = whole["JPEG"].index(b"\xff\xda")
    return whole["JPEG"] + whole["JPEG"][at : at + 14] * limits.JPEG_SCANS.most


def _jpeg_exif(whole: dict[str, bytes]) -> bytes:
    content = b"Exif\0\0" + fields(500, each=60_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return whole["JPEG"][:2] + segment + whole["JPEG"][2:]


def _jpeg_store(whole: dict[str, bytes]) -> bytes:
    content = b"JP\2\x11" + struct.pack(">I", 1) + nested(limits.JUMBF_DEPTH.most + 1)
    segment = b"\xff\xeb" + struct.pack(">H", len(content) + 2) + content
    return whole["JPEG"][:2] + segment + whole["JPEG"][2:]


def _webp_chunks(whole: dict[str, bytes]) -> bytes:
    return whole["WEBP"] + b"ABCD\0\0\0\0" * limits.WEBP_CHUNKS.most


def _gif_blocks(whole: dict[str, bytes]) -> bytes:
    return whole["GIF"][:-1] + b"\x21\xfe" + b"\1a" * 2 * limits.GIF_BLOCKS.most + b"\0;"


def _gif_frames(whole: dict[str, bytes]) -> bytes:
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\2\2L\1\0"
    return whole["GIF"][:-1] + frame * limits.FRAMES.most + b";"


def _tiff_fields(_: dict[str, bytes]) -> bytes:
    return fields(limits.TIFF_FIELDS.most + 1)


def _tiff_folders(_: dict[str, bytes]) -> bytes:
    folders = b"".join(
        struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(limits.FRAMES.most + 1)
    )
    return b"II*\0\x08\0\0\0" + folders


def _avif_boxes(whole: dict[str, bytes]) -> bytes:
    return whole["AVIF"] + box(b"free") * limits.BMFF_BOXES.most


def _avif_inner_boxes(_: dict[str, bytes]) -> bytes:
    inner = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", box(b"free") * 5000)))
    return box(b"ftyp", b"avif" + bytes(4)) + inner


def _avif_store(whole: dict[str, bytes]) -> bytes:
    head = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\0" + bytes(8)
    return whole["AVIF"] + box(b"uuid", head + nested(limits.JUMBF_DEPTH.most + 1))


ATTACKS = {name[1:]: made for name, made in globals().items() if name.startswith("_")
           and name.startswith(("_png", "_jpeg", "_webp", "_gif", "_tiff", "_avif"))}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_too_many_parts_are_refused(
    drawn: Image.Image, to_bytes: Callable[..., bytes], attack: str
) -> None:
    whole = {fmt: to_bytes(drawn, fmt) for fmt in FORMATS}
    with pytest.raises(ImageTooComplex):
        declared_size(ATTACKS[attack](whole))


def test_a_manifest_store_as_deep_as_may_be_passes() -> None:
    check_manifest_store(nested(limits.JUMBF_DEPTH.most))
    check_manifest_store(b"")
    check_manifest_store(b"\0\0\0\x07jumb")


def test_exif_that_is_longer_than_a_picture_needs_is_refused() -> None:
    check_exif(fields(20))
    with pytest.raises(ImageTooComplex):
        check_exif(bytes(limits.EXIF.most + 1))


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_is_cut_off_anywhere_is_no_crash(
    drawn: Image.Image, to_bytes: Callable[..., bytes], fmt: str
) -> None:
    data = to_bytes(drawn, fmt)
    for end in (*range(60), *range(60, len(data), 97)):
        declared_size(data[:end])


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_is_turned_over_anywhere_is_a_refusal_at_most(
    drawn: Image.Image, to_bytes: Callable[..., bytes], fmt: str
) -> None:
    import random

    dice, data = random.Random(fmt), to_bytes(drawn, fmt)  # noqa: S311
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            changed[dice.randrange(min(len(changed), 400))] = dice.randrange(256)
        try:
            declared_size(bytes(changed))
        except ImageTooComplex:
            continue
