"""The lattice method: turned, mirrored, negative, and a part of another picture."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, ImageOps

from chopmark.provenance import verify
from chopmark.provenance.watermark import MarkKey, MarkResult, detect_mark, embed_mark
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice._code import encode
from chopmark.provenance.watermark.lattice._detect import _aligned, _test
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._frames import Frames
from chopmark.provenance.watermark.lattice._layout import layout_of
from chopmark.provenance.watermark.lattice._spectrum import Spectrum
from chopmark.provenance.watermark.lattice._statistic import likely_entries, payload_vector
from chopmark.provenance.watermark.lattice._sync import shifted

KEY = MarkKey(key_id="test", secret=bytes(range(32)))
PAYLOAD = bytes.fromhex("a3f09c1122334451")
BICUBIC = Image.Resampling.BICUBIC
cv2.setNumThreads(1)


def scene(width: int, height: int, *, seed: int) -> Image.Image:
    """Soft ground, a few discs, some grain."""
    draw = np.random.default_rng(seed)
    ground = cv2.resize(draw.uniform(40, 215, (3, 3, 3)).astype(np.float32), (width, height))
    for _ in range(4):
        centre = draw.integers(0, [width, height]).tolist()
        cv2.circle(ground, centre, int(draw.integers(20, 80)), draw.uniform(0, 255, 3).tolist(), -1)
    grain = cv2.GaussianBlur(draw.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 2)
    ground += (10 / grain.std() * grain)[..., None]
    return Image.fromarray(np.clip(np.rint(ground), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def marked() -> Image.Image:
    return embed_mark(scene(512, 448, seed=3), PAYLOAD, key=KEY)


def look(picture: Image.Image) -> MarkResult:
    return detect_mark(picture, keys=[KEY])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    angle=st.one_of(st.floats(0, 360), st.sampled_from([45.0, 90.0, 135.0, 180.0, 225.0, 315.0])),
    mirrored=st.booleans(),
    negative=st.booleans(),
    grown=st.booleans(),
)
def test_any_angle_mirrored_or_negative(
    marked: Image.Image, angle: float, mirrored: bool, negative: bool, grown: bool
) -> None:
    picture = marked.rotate(angle, BICUBIC, expand=grown)
    picture = ImageOps.mirror(picture) if mirrored else picture
    result = look(ImageOps.invert(picture) if negative else picture)
    assert result.payload == PAYLOAD
    assert result.details["negative"] is negative
    # Only where the whole picture lies as it did can its content be compared.
    if angle % 90 or not grown:
        assert angle % 90 == 0 or result.details["content_bits_agreeing"] in {None, 8}
    else:
        assert result.details["content_bits_agreeing"] == 8


@pytest.mark.parametrize("angle", [45, 135])
def test_half_of_a_right_angle_is_not_a_quarter_turn(marked: Image.Image, angle: int) -> None:
    # Grown to hold its corners, such a picture has a map of four entries that are all near 1.
    result = look(marked.rotate(angle, BICUBIC, expand=True))
    assert result.payload == PAYLOAD
    assert result.details["content_bits_agreeing"] is None


def test_a_negative_is_never_read_as_another_id(marked: Image.Image) -> None:
    """Turned round, a code word is nearest to its payload's complement, at half."""
    bits = np.unpackbits(np.frombuffer(PAYLOAD, np.uint8))
    word = encode(bits).astype(int)
    assert -word @ encode(1 - bits) == word.size / 2
    negative = ImageOps.invert(marked)
    result = look(negative)
    assert (result.payload, result.details["content_bits_agreeing"]) == (PAYLOAD, 8)
    # Without any help of the synchronisation, both are compared.
    layout = layout_of(KEY.secret)
    frames = Frames(luma_of(negative))
    lock = next(_aligned(frames, layout))[0]
    readings = [
        _test(replace(lock, negative=other), frames, layout, None) for other in (True, False)
    ]
    assert [np.packbits(reading.bits).tobytes() == PAYLOAD for reading in readings] == [True, False]
    assert readings[0].z > 1.5 * readings[1].z > 12


def page(picture: Image.Image, share: float, *, seed: int) -> tuple[Image.Image, list[int]]:
    """A page of text with a picture that takes a share of its area, and where it is."""
    width, height = 900, 1100
    draw = np.random.default_rng(seed)
    sheet = Image.new("RGB", (width, height), (250, 250, 248))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for line in range(20, height - 20, 22):
        letters = "".join(chr(97 + one) if one < 26 else " " for one in draw.integers(0, 31, 100))
        pen.text((30, line), letters, (30, 30, 30), font)
    scale = math.sqrt(share * width * height / (picture.width * picture.height))
    size = round(picture.width * scale), round(picture.height * scale)
    left, top = int(draw.integers(0, width - size[0])), int(draw.integers(0, height - size[1]))
    sheet.paste(picture.resize(size, BICUBIC), (left, top))
    return sheet, [left, top, *size]


def overlap(one: object, other: list[int]) -> float:
    """What two boxes share, of what they cover together."""
    assert isinstance(one, list)
    sides = [
        max(0, min(one[axis] + one[axis + 2], other[axis] + other[axis + 2])
            - max(one[axis], other[axis]))
        for axis in (0, 1)
    ]  # fmt: skip
    shared = sides[0] * sides[1]
    return float(shared / (one[2] * one[3] + other[2] * other[3] - shared))


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(share=st.floats(0.15, 0.5), seed=st.integers(0, 1000), negative=st.booleans())
def test_a_picture_in_a_page_is_found_with_its_place(
    marked: Image.Image, share: float, seed: int, negative: bool
) -> None:
    sheet, place = page(marked, share, seed=seed)
    result = look(ImageOps.invert(sheet) if negative else sheet)
    assert result.payload == PAYLOAD
    assert overlap(result.details["box"], place) > 0.8


def test_one_of_four_in_a_collage_is_found_with_its_place(marked: Image.Image) -> None:
    collage = Image.new("RGB", (1024, 896))
    for number in range(3):
        collage.paste(scene(512, 448, seed=20 + number), (512 * (number % 2), 448 * (number // 2)))
    collage.paste(marked, (512, 448))
    file = io.BytesIO()
    collage.save(file, "PNG")
    found = verify(file.getvalue(), mark_keys=[KEY]).watermark
    assert (found.state, found.payload) == ("detected", PAYLOAD.hex())
    assert found.box is not None
    assert overlap(list(found.box), [512, 448, 512, 448]) > 0.8
    assert found.content_agreeing is None


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    columns=st.integers(2, 3),
    cell=st.integers(0, 5),
    mirrored=st.booleans(),
    negative=st.booleans(),
)
def test_one_tile_of_a_mosaic_is_found_mirrored_or_negative(
    marked: Image.Image, columns: int, cell: int, mirrored: bool, negative: bool
) -> None:
    cell %= 2 * columns
    mosaic = Image.new("RGB", (360 * columns, 630))
    for number in range(2 * columns):
        tile = scene(512, 448, seed=40 + number)
        if number == cell:
            tile = ImageOps.mirror(marked) if mirrored else marked
        corner = 360 * (number % columns), 315 * (number // columns)
        mosaic.paste(tile.resize((360, 315), BICUBIC), corner)
    result = look(ImageOps.invert(mosaic) if negative else mosaic)
    assert result.payload == PAYLOAD
    assert result.details["negative"] is negative
    place = [360 * (cell % columns), 315 * (cell // columns), 360, 315]
    assert overlap(result.details["box"], place) > 0.7


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(across=st.floats(0.6, 1.8), stretch=st.floats(0.9, 1.1), quality=st.integers(50, 95))
def test_any_size_and_a_little_stretched_through_a_lossy_file(
    marked: Image.Image, across: float, stretch: float, quality: int
) -> None:
    size = round(marked.width * across), round(marked.height * across * stretch)
    file = io.BytesIO()
    marked.resize(size, BICUBIC).save(file, "JPEG", quality=quality)
    assert look(Image.open(file)).payload == PAYLOAD


def test_a_page_without_a_mark_is_nothing() -> None:
    sheet, _ = page(scene(512, 448, seed=5), 0.3, seed=1)
    result = look(sheet)
    assert not result.detected
    assert (result.payload, result.details["box"]) == (None, None)


def test_a_spectrum_shows_what_was_put_into_it() -> None:
    """A wave of 0.1 and -0.05 cycles a pixel, shifted: read between the points, phase and all."""
    y, x = np.mgrid[:300, :200]
    middle = (x - 99.5, y - 149.5)
    wave = np.cos(2 * np.pi * (0.1 * middle[0] - 0.0513 * middle[1]) + 0.7).astype(np.float32)
    seen = Spectrum.of(wave, 512).at(np.array([[[0.1, -0.0513], [-0.1, 0.0513]]]))[0]
    assert np.angle(seen[0]) == pytest.approx(0.7, abs=0.05)
    assert np.angle(seen[1]) == pytest.approx(-0.7, abs=0.05)


def test_a_shift_and_its_negative_are_told_from_the_phases() -> None:
    layout = layout_of(KEY.secret)
    angular = 2 * np.pi / 128 * layout.sync
    moved = layout.sync_reference(40) * np.exp(1j * (angular @ np.array([32.0, 96.0])))
    for sign in (1, -1):
        seen = shifted((sign * moved).astype(np.complex64), layout)
        assert (seen.entry, seen.negative) == (40, sign < 0)
        assert np.allclose(seen.shift, [32, 96])


def test_entries_that_agree_by_chance_are_not_decoded() -> None:
    layout = layout_of(KEY.secret)
    tiles = Tiles.of(
        residual(canonical(np.asarray(scene(512, 448, seed=9).convert("L"), np.float32), 0))
    )
    vector = payload_vector(tiles.at(layout.payload).sum(axis=0))
    assert len(likely_entries(vector, layout, most=4)) <= 2
