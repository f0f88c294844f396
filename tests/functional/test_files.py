"""Files of every kind at every door: verify, moderation, edits, hash lists, ``mark embed``.

The inputs are made on the spot around one picture that was made here. What is right of each stands
beside it; "could not look" is never "nothing found".
"""

from __future__ import annotations

import importlib.util
import io
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from chopmark import EditRequest, GenerationRequest
from chopmark.errors import ChopmarkError, UnsupportedImage
from chopmark.pipeline.inspect import examine
from chopmark.provenance import verify
from chopmark.provenance.trust import AnchorList, TrustAnchors
from chopmark.safety import draw_test_card
from tests.support.picture_files import (
    encoded,
    exif_of,
    jpeg_with,
    mpo,
    png_chunk,
    png_with,
    same_picture,
    srgb_profile,
    swapped_profile,
    xmp,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from chopmark import Pipeline
    from chopmark.provenance import Report

    Run = Callable[..., tuple[int, str, str]]

SCRIPT = Path(__file__).parents[1] / "unit" / "provenance" / "provenance_attacks.py"
OURS = {"made_here", "marked_but_altered"}


def _moving(*frames: Image.Image) -> bytes:
    first, *others = frames
    return encoded(first, "WEBP", save_all=True, append_images=others, lossless=True)


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attacks_for_files", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture(scope="module")
def ours(shared_pipeline: Pipeline) -> bytes:
    """One picture that was made, marked, signed and booked here."""
    import asyncio

    request = GenerationRequest(prompt="a red apple", seed=21)
    return asyncio.run(shared_pipeline.generate(request)).outputs[0].data


@pytest.fixture(scope="module")
def picture(ours: bytes) -> Image.Image:
    """Its pixels."""
    with Image.open(io.BytesIO(ours)) as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def other() -> Image.Image:
    """A small picture that is not ours, with something in it."""
    y, x = np.mgrid[0:96, 0:128]
    waves = [128 + 90 * np.sin(x / (7 + shift) + y / 11) for shift in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


@pytest.fixture(scope="module")
def look(shared_pipeline: Pipeline) -> Callable[[bytes], Report]:
    return lambda data: examine(shared_pipeline.parts, data)


def test_our_mark_is_found_in_every_kind_of_file(
    look: Callable[[bytes], Report], picture: Image.Image
) -> None:
    # A GIF has 256 colours: what is left of a mark is not the reader's to promise.
    for name, data in same_picture(picture).items():
        if name == "GIF":
            continue
        report = look(data)
        assert report.watermark.state == "detected", name
        assert report.verdict in OURS, name
        assert report.frames.looked_at == report.frames.in_file == (2 if name == "MPO" else 1), name
        told = " ".join(report.notes)
        assert ("damaged" in told) == (name in {
            "wrong checksum", "no IEND", "no EOI", "cut JPEG", "cut PNG"
        }), name  # fmt: skip


@pytest.mark.parametrize(
    "name", ["png", "large zTXt", "large iTXt", "16-bit grey", "jpeg", "MPO", "float TIFF"]
)
def test_ours_signed_anew_as_a_photograph_is_told(
    shared_pipeline: Pipeline, attacks: ModuleType, picture: Image.Image, name: str
) -> None:
    stranger = attacks.Outsider()
    data = stranger.sign(same_picture(picture)[name], source_type="digitalCapture")
    parts = shared_pipeline.parts
    trusted = AnchorList(name="A camera maker", pem=stranger.root_pem, kind="manifest")
    report = verify(
        data,
        anchors=TrustAnchors(lists=(*parts.anchors.lists, trusted)),
        mark_keys=parts.mark_keys.all,
        store=parts.store,
    )
    assert (report.manifest.state, report.credential.state) == ("intact", "trusted")
    assert report.watermark.state == "conflict"
    assert report.verdict != "authentic_other"


def test_exactly_our_pixels_are_one_shown_picture_in_plain_colours(
    look: Callable[[bytes], Report], picture: Image.Image, other: Image.Image
) -> None:
    png = encoded(picture)
    clear = Image.new("L", picture.size, 0)
    exact = {
        "bare": png,
        "sRGB in other words": encoded(picture, icc_profile=srgb_profile()),
        "the usual gamma": png_with(png, png_chunk(b"gAMA", struct.pack(">I", 45_455))),
    }
    for name, data in exact.items():
        assert look(data).verdict == "made_here", name
    large = other.resize(picture.size)
    changed = {
        "red for blue": encoded(picture, icc_profile=swapped_profile()),
        "gamma 4": png_with(png, png_chunk(b"gAMA", struct.pack(">I", 400_000))),
        "never shown": encoded(picture, save_all=True, append_images=[large], default_image=True),
        "second page": encoded(picture, "TIFF", save_all=True, append_images=[large]),
        "second frame": encoded(
            large, "WEBP", save_all=True, append_images=[picture], lossless=True
        ),
        "transparent": encoded(Image.merge("RGBA", (*picture.split(), clear))),
        "on its side": encoded(picture, exif=exif_of(Orientation=6)),
    }
    for name, data in changed.items():
        report = look(data)
        assert report.watermark.state == "detected", name
        assert report.verdict == "marked_but_altered", name
        assert "exactly" not in report.summary, name
    hidden = " ".join(look(changed["never shown"]).notes)
    assert "viewers do not show" in hidden
    assert "picture 2 of the 2" in " ".join(look(changed["second frame"]).notes)


def test_what_could_not_be_looked_at_is_never_nothing_found(
    look: Callable[[bytes], Report], attacks: ModuleType, other: Image.Image
) -> None:
    many = _moving(*[other, ImageOps.invert(other)] * 10)
    report = look(many)
    assert report.watermark.state == "not_examined"
    assert report.watermark.reason
    assert report.frames.in_file > report.frames.looked_at == 16
    signed = attacks.Outsider().sign(encoded(other, "WEBP", lossless=True))
    cut = look(signed[:-2000] if len(signed) > 4000 else signed[: len(signed) // 2])
    assert cut.watermark.state == "not_examined"
    said = xmp('Iptc4xmpExt:DigitalSourceType="http://x/trainedAlgorithmicMedia"')
    drawing = look(
        b'<svg xmlns="http://www.w3.org/2000/svg"><metadata>'
        + said[said.index(b"<rdf:") : said.index(b"</x:")]
        + b"</metadata></svg>"
    )
    assert (drawing.watermark.state, drawing.ai_signal.state) == ("not_examined", "metadata")
    assert "SVG" in (drawing.watermark.reason or "")
    for data, words in (
        (b"\xff\x0a" + bytes(64), "JPEG XL"),
        (b"%PDF-1.7\n%%EOF", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(64), "raw"),
    ):
        with pytest.raises(UnsupportedImage, match=words) as caught:
            look(data)
        assert caught.value.hint


def test_the_command_line_is_never_content_with_what_it_could_not_see(
    run: Run,
    home: Path,
    attacks: ModuleType,
    other: Image.Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(home))
    stranger = attacks.Outsider()
    (home / "anchors" / "manifest").mkdir(parents=True)
    (home / "anchors" / "manifest" / "maker.pem").write_text(stranger.root_pem)
    whole = stranger.sign(encoded(other))
    many = stranger.sign(_moving(*[other, ImageOps.invert(other)] * 10))
    for data, name, code, state in (
        (whole, "a.png", 0, "none"),
        (many, "b.webp", 4, "not_examined"),
    ):
        (tmp_path / name).write_bytes(data)
        left, out, _ = run("verify", tmp_path / name, "--json")
        said = json.loads(out)
        assert (left, said["watermark"]["state"]) == (code, state), said
        assert said["manifest"]["state"] == "intact"
        assert said["watermark"]["box"] is None
        assert set(said["frames"]) == {"in_file", "looked_at"}


async def test_moderation_sees_what_people_can_see(
    shared_pipeline: Pipeline, other: Image.Image
) -> None:
    card = draw_test_card()
    white, black = Image.new("RGB", card.size, "white"), Image.new("RGB", card.size, "black")
    grey = card.convert("L")
    plain = other.resize(card.size)
    shown = {
        "as it is": encoded(card),
        "in the alpha, on black": encoded(Image.merge("RGBA", (*white.split(), grey))),
        "in the alpha, on white": encoded(
            Image.merge("RGBA", (*black.split(), ImageOps.invert(grey)))
        ),
        "below the alpha": encoded(
            Image.merge("RGBA", (*card.split(), Image.new("L", card.size, 0)))
        ),
        "float": encoded(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"),
        "second frame": _moving(plain, card),
        "a camera's preview": mpo(plain, card),
        "BMP": encoded(card, "BMP"),
        "CMYK": encoded(card.convert("CMYK"), "JPEG", quality=95),
    }
    for name, data in shown.items():
        verdict = (await shared_pipeline.moderate(image=data)).verdicts[0]
        assert (verdict.action, verdict.categories) == ("block", ("listed",)), name
    calm = (await shared_pipeline.moderate(image=mpo(plain, other))).verdicts[0]
    assert calm.action == "allow"
    many = _moving(*[other, ImageOps.invert(other)] * 10)
    verdict = (await shared_pipeline.moderate(image=many)).verdicts[0]
    assert verdict.action == "review"
    assert any("16 of its" in one.detail for one in verdict.evidence)


async def test_edits_take_what_cameras_and_old_programs_write(
    shared_pipeline: Pipeline, other: Image.Image
) -> None:
    start = other.resize((256, 192))
    for name, data in {
        "MPO": mpo(start, other), "BMP": encoded(start, "BMP"),
        "16-bit grey": same_picture(start)["16-bit grey"],
    }.items():  # fmt: skip
        request = EditRequest(prompt="a blue sea", image=data, seed=3, steps=1)
        released = await shared_pipeline.edit(request)
        assert released.outputs[0].data, name
    moving = encoded(start, "GIF", save_all=True, append_images=[ImageOps.invert(start)])
    with pytest.raises(UnsupportedImage, match="2 frames"):
        await shared_pipeline.edit(EditRequest(prompt="a blue sea", image=moving, seed=3))
    card = draw_test_card()
    with pytest.raises(ChopmarkError) as caught:
        await shared_pipeline.edit(EditRequest(prompt="a blue sea", image=mpo(start, card), seed=3))
    assert caught.value.code == "moderation_blocked"


def test_hash_lists_look_at_the_same(
    run: Run,
    home: Path,
    tmp_path: Path,
    other: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(home))
    card, plain = draw_test_card(), other.resize((512, 512))
    for name, data, code in (
        ("a.jpg", mpo(plain, card), 3),
        ("b.tif", same_picture(card)["float TIFF"], 3),
        ("c.bmp", encoded(card, "BMP"), 3),
        ("d.jpg", mpo(plain, plain), 0),
    ):
        (tmp_path / name).write_bytes(data)
        left, out, _ = run("hashes", "match", tmp_path / name, "--json")
        assert left == code, (name, out)


def test_mark_embed_changes_the_pixels_and_nothing_else(
    run: Run, home: Path, tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(home))
    ramp = Image.fromarray(np.linspace(40, 255, picture.width).astype(np.uint8)[None].repeat(
        picture.height, 0))  # fmt: skip
    clear = Image.merge("RGBA", (*picture.split(), ramp))
    wide = np.asarray(picture.convert("L")).astype(np.uint16) * 257 + 3
    about = exif_of(Orientation=6, Copyright="somebody")
    cases: dict[str, tuple[bytes, str]] = {
        "alpha": (encoded(clear, dpi=(300, 300)), "png"),
        "profile": (encoded(picture, icc_profile=swapped_profile()), "png"),
        "16-bit grey": (encoded(Image.fromarray(wide)), "png"),
        "turned": (encoded(picture, "JPEG", quality=95, exif=about, dpi=(240, 240)), "jpg"),
        "CMYK": (encoded(picture.convert("CMYK"), "JPEG", quality=95), "jpg"),
        "grey and alpha": (encoded(clear.convert("LA")), "png"),
        "WebP": (encoded(clear, "WEBP", lossless=True, exif=about), "webp"),
    }
    for name, (data, suffix) in cases.items():
        (tmp_path / "before").write_bytes(data)
        marked = tmp_path / f"{name}.{suffix}"
        code, _, err = run(
            "mark", "embed", tmp_path / "before", "-o", marked, "--payload", "a3f09c1122334451"
        )
        assert code == 0, (name, err)
        with Image.open(io.BytesIO(data)) as old, Image.open(marked) as new:
            assert (new.mode, new.size) == (old.mode, old.size), name
            assert new.info.get("icc_profile") == old.info.get("icc_profile"), name
            assert dict(new.getexif()) == dict(old.getexif()), name
            density = [round(value) for value in new.info.get("dpi", ())]
            assert density == [round(value) for value in old.info.get("dpi", ())], name
            if "A" in old.getbands() and suffix == "png":
                assert new.getchannel("A").tobytes() == old.getchannel("A").tobytes(), name
        assert run("mark", "detect", marked)[0] == 0, name


def test_ai_named_in_metadata_is_told_with_a_word_of_caution(
    look: Callable[[bytes], Report], other: Image.Image
) -> None:
    data = jpeg_with(
        encoded(other, "JPEG"),
        (0xE1, exif_of(UserComment=b"ASCII\0\0\0a sea\nSteps: 20, Sampler: Euler a, Seed: 1")),
    )
    report = look(data)
    assert report.ai_signal.state == "metadata"
    assert report.ai_signal.kind == "made"
    assert "anybody" in report.summary
    members: Any = report.to_dict()
    assert members["signals"] == [
        {
            "kind": "made",
            "where": "EXIF UserComment",
            "source_type": None,
            "system": "Automatic1111 or a relative of it (generation parameters)",
        }
    ]
