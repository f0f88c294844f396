"""The lattice method: round trips, geometry, modes, and the promise of its p-value."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from chopmark.errors import MarkNotReadable
from chopmark.provenance.watermark import MarkKey, detect_mark, embed_mark, nearest_original
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice._code import (
    CODE_BITS,
    PAYLOAD_BITS,
    correlations,
    decode,
    encode,
)
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import CODEBOOK, layout_of
from chopmark.provenance.watermark.lattice._statistic import (
    ALIGNED_TESTS,
    SEARCH_TESTS,
    TESTS,
    likely_entries,
    log_p_value,
    payload_vector,
    score,
)

PAYLOAD = bytes.fromhex("a3f09c1122334451")
KEY = MarkKey(key_id="test", secret=bytes(range(32)))
OTHER = MarkKey(key_id="other", secret=bytes(range(1, 33)))
cv2.setNumThreads(1)


def drawn(width: int = 384, height: int = 320, *, seed: int = 0, busy: float = 12) -> Image.Image:
    """A picture with smooth ground, a few plain shapes and some texture."""
    draw = np.random.default_rng(seed)
    corners = draw.uniform(40, 215, (3, 3, 3)).astype(np.float32)
    ground = cv2.resize(corners, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        centre = draw.integers(0, [width, height]).tolist()
        cv2.circle(ground, centre, int(draw.integers(20, 80)), draw.uniform(0, 255, 3).tolist(), -1)
    grain = cv2.GaussianBlur(draw.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 2)
    ground += (busy / grain.std() * grain)[..., None]
    return Image.fromarray(np.clip(np.rint(ground), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def marked() -> Image.Image:
    return embed_mark(drawn(512, 448), PAYLOAD, key=KEY)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue()))


def part(picture: Image.Image, share: float) -> Image.Image:
    width, height = round(picture.width * share), round(picture.height * share)
    return picture.crop((41, 23, 41 + width, 23 + height))


ATTACKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 50": lambda p: jpeg(p, 50),
    "half size": lambda p: p.resize((p.width // 2, p.height // 2)),
    "twice the size": lambda p: p.resize((p.width * 2, p.height * 2)),
    "quarter turn": lambda p: p.transpose(Image.Transpose.ROTATE_90),
    "flipped and turned": lambda p: p.transpose(Image.Transpose.TRANSVERSE),
    "crop to half": lambda p: part(p, 0.5),
    "rotated by 15": lambda p: p.rotate(15, Image.Resampling.BICUBIC),
    "rotated by -7, grown": lambda p: p.rotate(-7, Image.Resampling.BICUBIC, expand=True),
    "aspect 0.9": lambda p: p.resize((round(p.width * 0.9), p.height)),
    "crop, turn, jpeg": lambda p: jpeg(part(p.rotate(3, Image.Resampling.BICUBIC), 0.8), 70),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_survives(attack: str, marked: Image.Image) -> None:
    result = detect_mark(ATTACKS[attack](marked), keys=[KEY])
    assert result.payload == PAYLOAD
    assert result.p_value <= 1e-9


def test_an_attacked_mark_says_nothing_to_another_key(marked: Image.Image) -> None:
    for attack in ("jpeg 50", "rotated by 15"):
        assert not detect_mark(ATTACKS[attack](marked), keys=[OTHER]).detected


def _cmyk(picture: Image.Image) -> Image.Image:
    return picture.convert("CMYK")


def _sixteen(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def _clear(picture: Image.Image) -> Image.Image:
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    return clear


MODES: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    "grey": (lambda p: p.convert("L"), "L"),
    "alpha": (_clear, "RGBA"),
    "grey with alpha": (lambda p: _clear(p).convert("LA"), "LA"),
    "palette": (lambda p: p.quantize(128), "RGB"),
    "sixteen bits": (_sixteen, "I;16"),
    "ink": (_cmyk, "CMYK"),
    "video": (lambda p: p.convert("YCbCr"), "YCbCr"),
}


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    payload=st.binary(min_size=8, max_size=8),
    width=st.integers(64, 420),
    height=st.integers(64, 420),
    busy=st.sampled_from([0.0, 4.0, 25.0]),
    seed=st.integers(0, 10_000),
    mode=st.sampled_from(["colour", *MODES]),
)
def test_any_payload_in_any_picture_is_read_back_or_refused(
    payload: bytes, width: int, height: int, busy: float, seed: int, mode: str
) -> None:
    picture = drawn(width, height, seed=seed, busy=busy)
    picture = MODES[mode][0](picture) if mode in MODES else picture
    try:
        struck = embed_mark(picture, payload, key=KEY)
    except MarkNotReadable:
        return
    assert struck.size == picture.size
    result = detect_mark(struck, keys=[KEY])
    assert result.payload == payload
    assert result.p_value <= 1e-9
    assert not detect_mark(struck, keys=[OTHER]).detected
    assert struck.tobytes() == embed_mark(picture, payload, key=KEY).tobytes()


@pytest.mark.parametrize("size", [(64, 64), (64, 4096), (8192, 64), (65, 127)])
def test_the_smallest_and_the_longest(size: tuple[int, int]) -> None:
    struck = embed_mark(drawn(*size), PAYLOAD, key=KEY)
    assert detect_mark(struck, keys=[KEY]).payload == PAYLOAD


@pytest.mark.parametrize("colour", ["white", "black", (120, 130, 140)])
def test_a_plain_picture_is_read_back_or_refused(colour: str | tuple[int, ...]) -> None:
    picture = Image.new("RGB", (256, 256), colour)
    try:
        struck = embed_mark(picture, PAYLOAD, key=KEY)
    except MarkNotReadable:
        return
    assert detect_mark(struck, keys=[KEY]).payload == PAYLOAD


def test_a_refused_picture_is_an_error_of_ours() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with pytest.raises(MarkNotReadable):
        embed_mark(Image.fromarray(noise), PAYLOAD, key=KEY)


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str) -> None:
    convert, kept = MODES[mode]
    picture = convert(drawn())
    struck = embed_mark(picture, PAYLOAD, key=KEY)
    assert struck.mode == kept
    assert detect_mark(struck, keys=[KEY]).payload == PAYLOAD
    if kept in {"RGBA", "LA"}:
        assert struck.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


def test_the_picture_is_hardly_changed(marked: Image.Image) -> None:
    change = np.asarray(marked, np.float64) - np.asarray(drawn(512, 448), np.float64)
    assert 10 * math.log10(255**2 / (change**2).mean()) > 40


def test_known_ids_need_less(marked: Image.Image) -> None:
    harsh = jpeg(marked, 8)
    blind = detect_mark(harsh, keys=[KEY])
    draw = np.random.default_rng(3)
    others = [draw.bytes(8) for _ in range(50)]
    known = detect_mark(harsh, keys=[KEY], candidates=[*others, PAYLOAD])
    assert known.p_value <= blind.p_value
    assert not detect_mark(marked, keys=[KEY], candidates=others).detected


def test_a_mark_says_whose_content_it_was_struck_on(marked: Image.Image) -> None:
    original = drawn(512, 448)
    mark = np.asarray(marked, np.int16) - np.asarray(original, np.int16)
    agreeing = detect_mark(marked, keys=[KEY]).details["content_bits_agreeing"]
    assert agreeing == 8
    carried_over = []
    for seed in (1, 2, 3, 4):
        victim = np.asarray(drawn(512, 448, seed=seed), np.int16) + mark
        forged = Image.fromarray(np.clip(victim, 0, 255).astype(np.uint8))
        result = detect_mark(forged, keys=[KEY])
        assert result.payload == PAYLOAD
        agreeing = result.details["content_bits_agreeing"]
        assert isinstance(agreeing, int)
        carried_over.append(agreeing)
    assert min(carried_over) <= 5


def test_an_average_of_many_marks_does_not_erase_one() -> None:
    learned = [drawn(256, 256, seed=seed) for seed in range(24)]
    differences = [
        np.asarray(embed_mark(one, bytes([seed] * 8), key=KEY), np.float32) - np.asarray(one)
        for seed, one in enumerate(learned)
    ]
    common = np.mean(differences, axis=0)
    common *= 255 * 10 ** (-39 / 20) / np.sqrt((common**2).mean())  # costs the picture 39 dB
    survived = 0
    for seed in range(100, 104):
        struck = np.asarray(embed_mark(drawn(256, 256, seed=seed), PAYLOAD, key=KEY), np.float32)
        attacked = Image.fromarray(np.clip(np.rint(struck - common), 0, 255).astype(np.uint8))
        survived += detect_mark(attacked, keys=[KEY]).payload == PAYLOAD
    assert survived >= 3


def test_entries_chosen_by_the_payload_all_count() -> None:
    assert TESTS >= CODEBOOK + ALIGNED_TESTS + SEARCH_TESTS
    layout = layout_of(KEY.secret)
    word = encode(np.unpackbits(np.frombuffer(PAYLOAD, np.uint8)))
    noise = np.random.default_rng(6).normal(0, 1, layout.code_bit.size)
    # A mark at z = 12 or so, in entry 77.
    vector = (layout.payload_values(77, word) * 0.26 + noise).astype(np.float32)
    assert likely_entries(vector, layout, most=1) == [77]


def test_different_pictures_and_payloads_use_different_phases() -> None:
    entries = set()
    for number in range(6):
        struck = embed_mark(drawn(256, 256, seed=number), bytes([number] * 8), key=KEY)
        entries.add(detect_mark(struck, keys=[KEY]).details["codebook_entry"])
    assert len(entries) >= 4


def test_the_code_corrects_noise() -> None:
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(20):
        bits = draw.integers(0, 2, PAYLOAD_BITS).astype(np.uint8)
        word = encode(bits).astype(np.float32)
        # z = 14 is the strength of the word, 1 the noise of each of its dimensions.
        soft = 14 / math.sqrt(word.size) * word + draw.normal(0, 1, word.size)
        wrong += not np.array_equal(decode(soft.astype(np.float32)), bits)
    assert wrong <= 1


def test_no_statistic_breaks_its_bound() -> None:
    """1,000 random keys on fixed pictures: the tail of one test stays under exp(-t^2 / 2)."""
    draw = np.random.default_rng(11)
    tiles = [
        Tiles.of(residual(canonical(luma_of(drawn(seed=seed, busy=busy)), 0)))
        for seed, busy in ((1, 0.0), (2, 25.0))
    ]
    trials = 1000
    seen = np.empty(trials)
    for trial in range(trials):
        layout = layout_of(draw.bytes(32))
        coefficients = tiles[trial % 2].at(layout.payload).sum(axis=0)
        word = encode(draw.integers(0, 2, PAYLOAD_BITS).astype(np.uint8))
        values = layout.payload_values(int(draw.integers(CODEBOOK)), word)
        seen[trial] = score(payload_vector(coefficients), values)
    for level in (1.0, 2.0, 3.0):
        bound = math.exp(-level * level / 2)
        # Five standard deviations of chance above the bound would be needed to fail in error.
        assert (seen >= level).mean() <= bound + 5 * math.sqrt(bound / trials)
    assert 0.9 < seen.std() < 1.1


def test_the_p_value_counts_every_test() -> None:
    z = 13.0
    blind = log_p_value(z, words=2.0**64)
    assert blind == pytest.approx(math.log(TESTS) + 64 * math.log(2) - z * z / 2)
    assert log_p_value(z, words=5) < blind
    assert log_p_value(0.5, words=2.0**64) == 0.0


def test_unmarked_pictures_are_not_detected() -> None:
    for seed, busy in ((0, 0.0), (1, 12.0), (2, 40.0)):
        result = detect_mark(drawn(seed=seed, busy=busy), keys=[KEY])
        assert not result.detected
        assert result.p_value > 1e-3


def test_known_ids_are_scored_as_their_code_words_would_be() -> None:
    draw = np.random.default_rng(4)
    payloads = draw.integers(0, 2, (40, PAYLOAD_BITS)).astype(np.uint8)
    soft = draw.normal(0, 1, CODE_BITS).astype(np.float32)
    direct = [float(encode(bits) @ soft) for bits in payloads]
    assert np.allclose(correlations(soft, payloads), direct, atol=1e-3)


def test_no_known_ids_are_no_detection(marked: Image.Image) -> None:
    result = detect_mark(marked, keys=[KEY], candidates=[])
    assert (result.detected, result.p_value) == (False, 1.0)


def test_many_known_ids_are_told_apart(marked: Image.Image) -> None:
    draw = np.random.default_rng(5)
    others = [draw.bytes(8) for _ in range(20_000)]
    result = detect_mark(jpeg(marked, 20), keys=[KEY], candidates=[*others, PAYLOAD])
    assert result.payload == PAYLOAD


def test_the_original_helps() -> None:
    original = drawn(640, 512, seed=9, busy=25)
    struck = embed_mark(original, PAYLOAD, key=KEY)
    harsh = jpeg(part(struck, 0.6), 8)
    blind = detect_mark(harsh, keys=[KEY])
    informed = detect_mark(harsh, keys=[KEY], original=original)
    assert informed.payload == PAYLOAD
    assert informed.p_value < blind.p_value


def test_the_original_is_found_among_others(tmp_path: Path) -> None:
    for seed in range(5):
        drawn(320, 256, seed=seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "notes.txt").write_text("no picture", encoding="ascii")
    sought = jpeg(part(drawn(320, 256, seed=3), 0.9), 60)
    paths = sorted(tmp_path.iterdir())
    assert nearest_original(sought, paths) == tmp_path / "3.png"
    turned = sought.transpose(Image.Transpose.ROTATE_90)
    assert nearest_original(turned, paths) == tmp_path / "3.png"
    assert nearest_original(drawn(320, 256, seed=77), paths) is None
