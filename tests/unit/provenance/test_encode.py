"""Files hold the very pixels that were given, and are no larger than they must be."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from chopmark.errors import UnsupportedImage
from chopmark.provenance import embed_mark, encode_image
from chopmark.provenance._boxes import png_chunks
from chopmark.provenance._png import png_bytes
from chopmark.provenance.encode import encode_with_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.provenance.conftest import Maker

_NOISE, _FLAT = "noise", "flat"


def _picture(kind: str, mode: str, size: tuple[int, int]) -> Image.Image:
    width, height = size
    bands = len(Image.new(mode, (1, 1)).getbands())
    if kind == _NOISE:
        values = np.random.default_rng(5).integers(0, 256, (height, width, bands))
    else:
        values = np.add.outer(np.arange(height) // 9, np.arange(width) // 7)[..., None] * 5
        values = values + np.arange(bands) * 40
    return Image.fromarray(values.astype(np.uint8).squeeze(axis=2) if bands == 1 else
                           values.astype(np.uint8), mode)  # fmt: skip


def _checked(data: bytes) -> Image.Image:
    """Decode a PNG, every checksum looked at: of each chunk, and of the pixels (Adler-32)."""
    held = b""
    for piece in png_chunks(data):
        content = data[piece.content : piece.end - 4]
        assert zlib.crc32(piece.type + content) == int.from_bytes(data[piece.end - 4 : piece.end])
        held += content if piece.type == b"IDAT" else b""
    zlib.decompress(held)  # raises where the checksum at its end is not that of what came out
    with Image.open(io.BytesIO(data)) as opened:
        assert isinstance(opened, PngImagePlugin.PngImageFile)
        opened.load()
        return opened.copy()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (257, 130)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", [_NOISE, _FLAT])
def test_a_png_holds_the_pixels_that_were_given(
    kind: str, mode: str, size: tuple[int, int]
) -> None:
    image = _picture(kind, mode, size)
    back = _checked(encode_image(image, "png"))
    assert (back.mode, back.size) == (mode, size)
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_colours_of_what_cannot_be_seen_stay() -> None:
    image = _picture(_NOISE, "RGBA", (64, 64))
    image.putalpha(0)
    back = _checked(encode_image(image, "png"))
    assert np.array_equal(np.asarray(back), np.asarray(image))


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "P", "I;16"])
def test_the_pixels_told_are_those_of_the_file(
    photograph: Callable[..., Image.Image], mode: str, fmt: Any
) -> None:
    image = photograph(80, 64)
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    made = encode_with_pixels(image, fmt)
    assert made.data == encode_image(image, fmt)
    with Image.open(io.BytesIO(made.data)) as opened:
        assert (opened.mode, opened.size) == (made.picture.mode, made.picture.size)
        assert np.array_equal(np.asarray(opened), np.asarray(made.pixels))


def test_the_colour_profile_comes_along(photograph: Callable[..., Image.Image]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = photograph(64, 64)
    image.info["icc_profile"] = profile
    for fmt in ("png", "jpeg", "webp", "avif"):
        with Image.open(io.BytesIO(encode_image(image, fmt))) as opened:
            assert opened.info["icc_profile"] == profile
    back = _checked(encode_image(image, "png"))
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_marked_pictures_are_not_much_larger_than_level_6_makes_them(
    photograph: Callable[..., Image.Image], maker: Maker
) -> None:
    smooth = np.asarray(photograph(512, 512).resize((64, 64)).resize((512, 512)), np.float64)
    grain = np.random.default_rng(6).normal(0, 6, smooth.shape)
    grainy = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    art = Image.new("RGB", (512, 512), (40, 90, 190))
    ImageDraw.Draw(art).ellipse([100, 120, 390, 410], fill=(200, 40, 30))
    for image, most in ((grainy, 1.05), (art, 1.4)):
        marked = embed_mark(image, bytes(8), key=maker.keys.active)
        out = io.BytesIO()
        marked.save(out, "PNG", compress_level=6)
        assert len(encode_image(marked, "png")) < most * len(out.getvalue())


def test_what_png_is_not_written_of() -> None:
    for image in (Image.new("CMYK", (8, 8)), Image.new("I;16", (8, 8)), Image.new("RGB", (0, 4))):
        with pytest.raises(UnsupportedImage):
            png_bytes(image)
