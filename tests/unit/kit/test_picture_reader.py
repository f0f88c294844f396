"""The one reader: every kind of file shows the same picture, and what is missing is said."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from chopmark.errors import ChopmarkError, ImageTooLarge, UnreadableImage, UnsupportedImage
from chopmark.kit.pictures import KINDS, read_picture, sniff
from tests.support.picture_files import (
    encoded,
    exif_of,
    mpo,
    png_chunk,
    png_with,
    same_picture,
    srgb_profile,
    swapped_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.kit.pictures import PictureFile

MOST = 4_000_000


def read(data: bytes) -> PictureFile:
    return read_picture(data, max_pixels=MOST)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    y, x = np.mgrid[0:96, 0:128]
    waves = [128 + 90 * np.sin(x / (7 + shift) + y / 11) for shift in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def test_every_kind_shows_the_same_picture(picture: Image.Image) -> None:
    grey = np.asarray(picture.convert("L"), np.int16)
    for name, data in same_picture(picture).items():
        file = read(data)
        assert file.in_file == (2 if name == "MPO" else 1), name
        first = next(file.views())
        assert (first.mode, first.size) == ("RGB", picture.size), name
        rows = slice(0, 48 if "cut" in name else None)
        away = np.abs(np.asarray(first.convert("L"), np.int16) - grey)[rows]
        assert away.mean() < 6, name


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("number", range(1, 9))
def test_upright_as_exif_says(picture: Image.Image, fmt: str, number: int) -> None:
    data = encoded(picture, fmt, exif=exif_of(Orientation=number))
    import io

    with Image.open(io.BytesIO(data)) as opened:
        wanted = ImageOps.exif_transpose(opened).convert("RGB")
    assert np.array_equal(np.asarray(next(read(data).plain())), np.asarray(wanted))


def test_what_is_missing_is_said(picture: Image.Image) -> None:
    files = same_picture(picture)
    cut = read(files["cut PNG"])
    assert 0.8 < cut.share < 1
    assert cut.missed
    assert not cut.only_picture
    assert read(files["no IEND"]).damage == ("its end marker is missing",)
    assert read(files["no IEND"]).only_picture
    assert read(files["wrong checksum"]).damage
    assert not read(files["png"]).damage
    half = files["jpeg"][: len(files["jpeg"]) // 2]
    assert 0.2 < read(half).share < 0.8
    bitmap = read(files["BMP"][:-5000])
    assert bitmap.share < 1
    assert bitmap.missed


CUT: dict[str, dict[str, Any]] = {
    "WEBP": {"quality": 90}, "lossless": {"lossless": True}, "AVIF": {"quality": 90},
    "GIF": {"interlace": 0},
    "BMP": {}, "TIFF": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", CUT)
def test_a_file_that_breaks_off_gives_what_is_there(kind: str, picture: Image.Image) -> None:
    grain = np.random.default_rng(3).normal(0, 3, (192, 256, 1))
    large = Image.fromarray((np.asarray(picture.resize((256, 192))) + grain).astype(np.uint8))
    whole = encoded(large, "WEBP" if kind == "lossless" else kind, **CUT[kind])
    shown = np.asarray(next(read(whole).plain()), np.int16)
    for share in (0.5, 0.9):
        file = read(whole[: int(share * len(whole))])
        assert file.share < 1
        assert file.missed
        assert not file.only_picture
        away = np.abs(np.asarray(next(file.plain()), np.int16) - shown).mean(axis=(1, 2))
        # A BMP's rows stand from the lowest up; 64 is the largest block of AV1.
        rows = away[::-1] if kind == "BMP" else away
        assert (rows[: int(share * len(rows)) - 80] < 6).all(), (kind, share)
    with pytest.raises(UnreadableImage) as caught:
        read(whole[: len(whole) // 100])
    assert "0x" not in caught.value.message


def test_passes_over_a_picture_that_are_missing_are_said(picture: Image.Image) -> None:
    for options in ({"progressive": True}, {}):
        whole = encoded(picture, "JPEG", quality=95, **options)
        assert not read(whole).missed
        scans = [at for at in range(len(whole)) if whole.startswith(b"\xff\xda", at)]
        if not options:
            assert len(scans) == 1
            assert not read(whole[:-2]).missed
            continue
        for end in (scans[1], scans[-1]):
            file = read(whole[:end])
            assert file.share < 1
            assert file.missed


def test_more_than_eight_bits_are_not_seen_exactly(picture: Image.Image) -> None:
    files = same_picture(picture)
    for name in ("16-bit grey", "16-bit TIFF", "float TIFF", "CMYK"):
        assert not read(files[name]).only_picture, name
    for name in ("png", "BMP", "WebP", "GIF", "progressive"):
        assert read(files[name]).only_picture, name
    assert not read(encoded(picture.convert("CMYK"), "TIFF")).only_picture


def test_what_stands_behind_the_picture_is_counted(picture: Image.Image) -> None:
    more = b"\0\0\0\x18ftypmp42 a short video"
    for data in (*map(same_picture(picture).get, ("png", "jpeg", "WebP", "MPO")),):
        assert data is not None
        assert read(data).behind == read(data + bytes(4096) + b"\r\n").behind == 0
        assert read(data + more).behind == len(more)


def test_large_offsets_of_tiff_are_counted_too(picture: Image.Image) -> None:
    data = encoded(picture, "TIFF", big_tiff=True)
    assert data[:4] == b"II+\0"
    assert np.array_equal(np.asarray(next(read(data).plain())), np.asarray(picture))
    with pytest.raises(ImageTooLarge):
        read_picture(data, max_pixels=picture.width * picture.height - 1)
    fields = (5_000).to_bytes(8, "little")
    with pytest.raises(ChopmarkError) as caught:
        read(data[:16] + fields + data[24:] if data[8:16] == (16).to_bytes(8, "little") else data)
    assert caught.value.code == "image_too_complex"


def test_wrong_checksums_of_the_picture_itself_are_said(picture: Image.Image) -> None:
    data = bytearray(encoded(picture))
    data[-13] ^= 1  # the last byte of the checksum of IDAT
    file = read(bytes(data))
    assert "IDAT" in file.damage[0]
    assert np.array_equal(np.asarray(next(file.plain())), np.asarray(picture))


def test_interlaced_rows_that_break_off(picture: Image.Image) -> None:
    # Pillow writes no interlaced files: rows of seven passes, by hand.
    pixels = np.asarray(picture.convert("L"))
    rows = b""
    for left, top, across, down in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):  # fmt: skip
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    head = struct.pack(">IIBBBBB", 128, 96, 8, 0, 0, 0, 1)
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head)
    packed = zlib.compress(rows)
    whole = start + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    assert np.array_equal(np.asarray(next(read(whole).plain()))[..., 0], pixels)
    cut = read(start + png_chunk(b"IDAT", packed[: len(packed) * 2 // 3]))
    assert 0.3 < cut.share < 1


def test_colours_as_a_screen_shows_them(picture: Image.Image) -> None:
    plain = read(encoded(picture, icc_profile=srgb_profile()))
    assert plain.only_picture
    assert np.array_equal(np.asarray(plain.seen()[0]), np.asarray(picture))
    for fmt in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
        swapped = read(encoded(picture, fmt, icc_profile=swapped_profile()))
        assert not swapped.only_picture, fmt
        moved = np.asarray(swapped.seen()[0], np.int16) - np.asarray(
            next(swapped.plain()), np.int16
        )
        assert np.abs(moved).mean() > 10, fmt
    png = encoded(picture)
    dark = read(png_with(png, png_chunk(b"gAMA", struct.pack(">I", 400_000))))
    assert not dark.only_picture
    assert np.asarray(dark.seen()[0]).mean() > np.asarray(picture).mean() + 20
    usual = read(png_with(png, png_chunk(b"gAMA", struct.pack(">I", 45_455))))
    assert usual.only_picture
    corners = (31_270, 32_900, 15_000, 6_000, 30_000, 60_000, 64_000, 33_000)
    swapped_corners = read(png_with(png, png_chunk(b"cHRM", struct.pack(">8I", *corners))))
    assert not swapped_corners.only_picture
    coded = read(png_with(png, png_chunk(b"cICP", bytes([9, 16, 0, 1]))))
    assert not coded.only_picture
    assert "dynamic range" in coded.colours_missed
    damaged = read(png_with(png, png_chunk(b"iCCP", b"x\0\0no zlib")))
    assert damaged.colours_missed


def test_all_that_people_can_see_of_alpha() -> None:
    colours = Image.new("RGB", (40, 40), (10, 200, 30))
    clear = Image.merge("RGBA", (*colours.split(), Image.new("L", (40, 40), 0)))
    white, black, bare = read(encoded(clear)).views()
    assert [view.getpixel((3, 3)) for view in (white, black, bare)] == [
        (255, 255, 255), (0, 0, 0), (10, 200, 30)
    ]  # fmt: skip
    assert len(list(read(encoded(colours.convert("RGBA"))).views())) == 1
    # One colour of a palette, or of a PNG without an alpha channel, may be transparent too.
    assert len(list(read(encoded(colours, transparency=(10, 200, 30))).views())) == 3


def test_every_frame_up_to_a_cap() -> None:
    frames = [Image.new("RGB", (20, 20), (number * 9, 0, 0)) for number in range(20)]
    for fmt in ("GIF", "PNG", "WEBP"):
        file = read(encoded(frames[0], fmt, save_all=True, append_images=frames[1:]))
        assert (file.in_file, len(file.frames)) == (20, 16), fmt
        assert "16 of its 20" in file.missed[0], fmt
        few = read(encoded(frames[0], fmt, save_all=True, append_images=frames[1:3]))
        assert (few.in_file, len(few.frames), few.missed) == (3, 3, ()), fmt
        assert not few.only_picture, fmt


def test_a_default_picture_that_is_never_shown(picture: Image.Image) -> None:
    other = ImageOps.invert(picture)
    data = encoded(picture, save_all=True, append_images=[other], default_image=True)
    file = read(data)
    assert file.shown == (False, True)
    assert not file.only_picture


def test_each_picture_of_a_cameras_file(picture: Image.Image) -> None:
    file = read(mpo(picture, ImageOps.invert(picture)))
    assert (file.in_file, file.shown) == (2, (True, False))
    first, second = (np.asarray(frame, np.int16) for frame in file.plain())
    assert np.abs(first + second - 255).mean() < 6


HEADS = {
    "jxl": b"\xff\x0a" + bytes(40),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "svg": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7\n",
    "psd": b"8BPS\0\1" + bytes(40),
    "raw": b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
    "video": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40),
    "ico": b"\0\0\1\0\1\0" + bytes(40),
    "tga": b"\0\0\2\0" + bytes(40) + b"TRUEVISION-XFILE.\0",
    "exr": b"v/1\x01\2" + bytes(40),
    "pnm": b"P6\n2 2\n255\n" + bytes(12),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "mkv": b"\x1aE\xdf\xa3" + bytes(40),
    "mpeg": (b"G" + bytes(187)) * 5,
    "mp3": b"\xff\xfb\x90\0" + bytes(40),
    "html": b"\n<!-- saved --><!DOCTYPE html><html><body><svg></svg>",
    "zip": b"PK\3\4" + bytes(40),
    "gzip": b"\x1f\x8b\x08" + bytes(40),
}
DRAWINGS = (
    b"<?xml version='1.0'?><!-- "
    + b"words " * 2000
    + b"--><svg xmlns='http://www.w3.org/2000/svg'/>",
    "<?xml version='1.0' encoding='UTF-16'?><svg/>".encode("utf-16"),
    b"\xef\xbb\xbf<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'a'><svg/>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><s:svg xmlns:s='http://www.w3.org/2000/svg'/>",
)


def test_a_drawing_is_told_whatever_stands_before_it() -> None:
    assert [sniff(one) for one in DRAWINGS] == ["svg"] * len(DRAWINGS)
    for other in (b"<note>about <svg></note>", b"<!-- <svg> -->", b"<", b"words", bytes(64)):
        assert sniff(other) is None, other


@pytest.mark.parametrize("kind", HEADS)
def test_what_is_not_decoded_says_what_can_be_done(kind: str) -> None:
    assert sniff(HEADS[kind]) == kind
    with pytest.raises(UnsupportedImage, match=KINDS[kind].words) as caught:
        read(HEADS[kind])
    assert caught.value.hint == KINDS[kind].advice


def test_heic_without_its_extra_is_one_clear_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    from chopmark.kit.pictures import _heic

    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    assert sniff(head) == "heic"
    monkeypatch.setattr(_heic, "available", lambda: False)
    with pytest.raises(UnsupportedImage) as caught:
        read(head)
    assert "chopmark[heic]" in str(caught.value.hint)
    monkeypatch.undo()
    with pytest.raises(UnreadableImage):
        read(head)


def test_limits_come_before_pixels() -> None:
    with pytest.raises(ImageTooLarge):
        read_picture(encoded(Image.new("1", (4000, 4000))), max_pixels=1_000_000)
    large = Image.new("RGB", (700, 700))
    frames = encoded(large, "TIFF", save_all=True, append_images=[Image.new("1", (9000, 9000))])
    file = read_picture(frames, max_pixels=500_000)
    assert len(file.frames) == 1
    assert file.missed


@pytest.mark.parametrize(
    "name", ["png", "jpeg", "progressive", "BMP", "WebP", "GIF", "AVIF", "MPO"]
)
def test_no_cut_and_no_flipped_byte_leaks_another_error(
    picture: Image.Image, name: str, record_property: Callable[[str, object], None]
) -> None:
    whole = same_picture(picture.resize((24, 20)))[name]
    draw = np.random.default_rng(5)
    decoded = 0
    for turn in range(150):
        data = bytearray(whole)
        if turn % 2:
            # Every place of the head, then places all over the file.
            del data[turn // 2 + 1 if turn < 60 else int(draw.integers(1, len(data))) :]
        else:
            data[int(draw.integers(0, len(data)))] ^= int(draw.integers(1, 256))
        try:
            file = read(bytes(data))
        except ChopmarkError:
            continue
        list(file.views())
        decoded += 1
    record_property("decoded", decoded)
    assert decoded > 5
