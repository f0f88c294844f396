"""Marking and signing need keys and settings, and no database, no generator and no file."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from chopmark import EditRequest, GenerationRequest, Settings
from chopmark.errors import MarkNotReadable, MarkTooWeak, SigningFailed
from chopmark.pipeline import seal
from chopmark.pipeline.parts import Parts
from chopmark.provenance import (
    TrustAnchors,
    detect_mark,
    fingerprint,
    pixel_digest,
    verify,
)
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.kit.types import ImageFormat

pytestmark = pytest.mark.filterwarnings("ignore:signing with a development certificate")
OUTPUT, RECORD = "a3f09c1122334451", "a3f09c1122334450"
MODEL = StandIn().info


@pytest.fixture
def parts(settings: Settings) -> Parts:
    return Parts(settings)


@pytest.fixture
def picture(make_picture: Callable[..., Image.Image]) -> Image.Image:
    return make_picture()


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_what_is_known_of_the_file_is_true_of_it(
    parts: Parts, picture: Image.Image, fmt: ImageFormat
) -> None:
    marked = seal.mark(parts, picture, GenerationRequest(prompt="x"), output_id=OUTPUT, format=fmt)
    with Image.open(io.BytesIO(marked.encoded)) as opened:
        assert opened.size == (marked.width, marked.height)
        assert fingerprint(opened)[0] == marked.pdq
        assert pixel_digest(opened) == marked.pixels_sha256
        found = detect_mark(opened, keys=parts.mark_keys.all)
    assert found.payload == bytes.fromhex(OUTPUT)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_so_it_is_in_every_mode(parts: Parts, picture: Image.Image, mode: str) -> None:
    request = GenerationRequest(prompt="x")
    if "A" in mode:
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    marked = seal.mark(parts, picture.convert(mode), request, output_id=OUTPUT, format="png")
    with Image.open(io.BytesIO(marked.encoded)) as opened:
        assert opened.size == (marked.width, marked.height)
        assert pixel_digest(opened) == marked.pixels_sha256
        assert fingerprint(opened)[0] == marked.pdq


def test_it_runs_without_store_queue_and_generator(parts: Parts, picture: Image.Image) -> None:
    request = GenerationRequest(prompt="x")
    marked = seal.mark(parts, picture, request, output_id=OUTPUT, format="png")
    signed = seal.sign(parts, marked, request, output_id=OUTPUT, format="png", model=MODEL)
    assert not {"store", "stamps", "generator", "request_log"} & set(parts.opened)
    assert not parts.exists("store")
    assert not parts.exists("request_log")
    for value in (marked, signed):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  our own
    sealed = seal.keep(parts, signed, output_id=OUTPUT, record_id=RECORD, pdq=marked.pdq)
    kept = parts.store.by_output(OUTPUT)
    assert kept is not None
    assert kept.manifest_id == sealed.manifest_id
    report = verify(sealed.data, anchors=TrustAnchors.of(parts.credential))
    assert (report.manifest.output_id, report.manifest.record_id) == (OUTPUT, RECORD)
    parts.close()


def test_an_edit_is_not_signed_without_its_inputs(parts: Parts, picture: Image.Image) -> None:
    file = io.BytesIO()
    picture.save(file, "PNG")
    request = EditRequest(prompt="x", image=file.getvalue())
    marked = seal.mark(parts, picture, request, output_id=OUTPUT, format="png")
    named: dict[str, Any] = {"output_id": OUTPUT, "format": "png", "model": MODEL}
    with pytest.raises(SigningFailed, match="1 pictures came in, and 0 were read"):
        seal.sign(parts, marked, request, **named)
    inputs = seal.read_inputs(parts, request)
    signed = seal.sign(parts, marked, request, **named, inputs=inputs)
    assert [one.relationship for one in verify(signed.data).ingredients] == ["parentOf"]
    creation = GenerationRequest(prompt="x")
    assert seal.read_inputs(parts, creation) == ()
    with pytest.raises(SigningFailed, match="0 pictures came in, and 1 were read"):
        seal.sign(parts, marked, creation, **named, inputs=inputs)


def test_a_quality_that_destroys_the_mark_is_the_callers(
    parts: Parts, picture: Image.Image
) -> None:
    small = picture.resize((96, 96))
    request = GenerationRequest(prompt="x", quality=1)
    with pytest.raises(MarkTooWeak, match="did not survive encoding as jpeg"):
        seal.mark(parts, small, request, output_id=OUTPUT, format="jpeg")


@pytest.mark.parametrize("size", [None, (64, 64)])
def test_what_no_file_could_carry_is_said_to_be(parts: Parts, size: Any) -> None:
    noise = np.random.default_rng(3).integers(0, 2, (64, 64, 3)).astype(np.uint8) * 255
    with pytest.raises(MarkNotReadable, match="cannot be read back from this picture"):
        seal.mark(
            parts,
            Image.fromarray(noise),
            GenerationRequest(prompt="x", size=size),
            output_id=OUTPUT,
            format="png",
        )


@pytest.mark.parametrize("fmt", ["webp", "jpeg", "avif"])
@pytest.mark.parametrize("ground", [40, 128, 235])
def test_a_flat_picture_keeps_its_mark_in_every_format(
    parts: Parts, fmt: ImageFormat, ground: int
) -> None:
    flat = Image.new("RGB", (256, 256), (ground, ground, 180))
    flat.paste((200, 40, 30), (60, 60, 180, 180))
    for number in range(1, 9):
        output = f"a3f09c112233445{number}"
        marked = seal.mark(parts, flat, GenerationRequest(prompt="x"), output_id=output, format=fmt)
        assert (marked.width, marked.height) == (256, 256)
