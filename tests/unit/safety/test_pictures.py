"""Pictures: what cannot be decoded safely is refused, and the guard fails closed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chopmark.errors import ChopmarkError, GuardFailed, ImageTooLarge, UnreadableImage
from chopmark.errors import UnsupportedImage as Unsupported
from chopmark.safety import ImageGuard, Verdict, decode_image, draw_test_card, load_policy

POLICY = load_policy("default")


@pytest.fixture(scope="module")
def guard() -> ImageGuard:
    return ImageGuard.load()


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _bomb() -> bytes:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    )


def _animated() -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    return _bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: b"", UnreadableImage),
        (lambda: b"hello, I am no picture", Unsupported),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", Unsupported),
        (_animated, Unsupported),
        (_bomb, ImageTooLarge),
        (lambda: _bytes(draw_test_card())[:3000], UnreadableImage),
        (lambda: _bytes(draw_test_card(), "JPEG")[:2000], UnreadableImage),
        (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 64, UnreadableImage),
    ],
    ids=["empty", "text", "svg", "animated", "bomb", "cut-png", "cut-jpeg", "header-only"],
)
def test_what_cannot_be_decoded_safely_is_refused(
    make: Callable[[], bytes], error: type[ChopmarkError]
) -> None:
    with pytest.raises(error):
        decode_image(make())


def test_limits_are_kept() -> None:
    data = _bytes(draw_test_card())
    with pytest.raises(ImageTooLarge):
        decode_image(data, max_bytes=len(data) - 1)
    with pytest.raises(ImageTooLarge):
        decode_image(data, max_pixels=512 * 512 - 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_every_format_gives_rgb_without_metadata(kind: str) -> None:
    picture = decode_image(_bytes(draw_test_card(), kind))
    assert (picture.mode, picture.size, picture.info) == ("RGB", (512, 512), {})


def test_transparency_is_laid_on_white_and_exif_turns() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert decode_image(_bytes(clear)).getpixel((5, 5)) == (255, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_image(_bytes(Image.new("RGB", (40, 20)), "JPEG", exif=exif.tobytes()))
    assert turned.size == (20, 40)


@settings(max_examples=200, deadline=None)
@given(tail=st.binary(max_size=200), cut=st.integers(0, 400))
def test_no_bytes_leak_another_error(tail: bytes, cut: int) -> None:
    start = _bytes(Image.new("RGB", (16, 16), "red"))[:cut]
    try:
        decode_image(start + tail)
    except ChopmarkError:
        return


def test_the_test_card_is_blocked_and_a_plain_picture_passes(guard: ImageGuard) -> None:
    verdict = guard.judge(draw_test_card(), POLICY)
    assert (verdict.action, verdict.categories) == ("block", ("listed",))
    plain = guard.judge(Image.new("RGB", (256, 256), (40, 90, 160)), POLICY)
    assert plain.action == "allow"
    assert {"violence", "sexual/minors", "ip"} <= set(plain.not_evaluated)


class _Score:
    model = "stub"

    def __init__(self, score: float) -> None:
        self._score = score

    def score(self, _image: Image.Image) -> float:
        if self._score < 0:
            raise ValueError("native failure")
        return self._score


@pytest.mark.parametrize(
    ("score", "action"),
    [(0.44, "allow"), (0.45, "review"), (0.69, "review"), (0.70, "block"), (1.0, "block")],
)
def test_thresholds_are_met_at_their_edges(score: float, action: str) -> None:
    guard = ImageGuard(model=_Score(score), banks=())  # type: ignore[arg-type]
    assert guard.judge(Image.new("RGB", (64, 64)), POLICY).action == action


def test_prompt_risk_lowers_the_bar_for_the_picture() -> None:
    guard = ImageGuard(model=_Score(0.40), banks=())  # type: ignore[arg-type]
    picture = Image.new("RGB", (64, 64))
    assert guard.judge(picture, POLICY).action == "allow"
    risky = Verdict(action="allow", scores={"sexual": 0.3})
    joint = guard.judge(picture, POLICY, prompt_verdict=risky)
    assert joint.action == "block"
    assert any(item.kind == "rule" for item in joint.evidence)


@pytest.mark.parametrize("size", [(4, 4), (64, 64)])
def test_a_failure_inside_is_a_guard_failure(size: tuple[int, int]) -> None:
    guard = ImageGuard(model=_Score(-1.0), banks=())  # type: ignore[arg-type]
    with pytest.raises(GuardFailed):
        guard.judge(Image.new("RGB", size), POLICY)


def test_a_page_shows_the_first_frame_of_what_moves() -> None:
    from chopmark.pipeline.file_jobs import small_copy

    copy = small_copy(_animated(), max_bytes=10_000, max_pixels=10_000, side=16)
    assert copy is not None
    assert copy.startswith("data:image/webp;base64,")
    with pytest.raises(Unsupported, match="2 frames"):
        decode_image(_animated())
    assert decode_image(_animated(), still=False).getpixel((3, 3)) == (255, 0, 0)
