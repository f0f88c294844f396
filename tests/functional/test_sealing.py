"""Pictures that another generator made: judged, marked, signed with its claimed name, booked."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import c2pa
import pytest
from PIL import Image, ImageChops, ImageStat

from chopmark import Pipeline, Refused, SealRequest
from chopmark.errors import AlreadyMarked, ImageTooSmall, InvalidRequest, MarkTooWeak
from chopmark.pipeline.inspect import examine
from chopmark.provenance import write_xmp
from chopmark.provenance.reattachment import remove
from chopmark.safety import draw_test_card
from chopmark.web.headlines import headline
from tests.support.generator import StandIn, unreached

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Draw = Callable[..., Image.Image]
    Encode = Callable[..., bytes]

CLAIMED = "Nano Banana Pro (by someone)"


@pytest.fixture
def sealing(open_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """A pipeline whose generator must never be reached."""
    return open_pipeline(generator=StandIn(unreached))


def _manifest(data: bytes, mime: str = "image/png") -> dict[str, Any]:
    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        store = json.loads(reader.json())
    active: dict[str, Any] = store["manifests"][store["active_manifest"]]
    return active


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    named = {one["label"]: one["data"] for one in manifest["assertions"]}
    actions: list[dict[str, Any]] = named["c2pa.actions.v2"]["actions"]
    return actions


async def test_the_manifest_names_the_generator_as_claimed_and_the_public_log_does_not(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    request = SealRequest(image=to_bytes(make_picture()), prompt="a hill", model=CLAIMED)
    released = await sealing.seal(request)
    output = released.outputs[0]
    assert (output.width, output.height, output.format, output.seed) == (256, 256, "png", None)
    assert released.model == CLAIMED
    manifest = _manifest(output.data)
    created, marked = _actions(manifest)
    assert created["action"] == "c2pa.created"
    assert created["softwareAgent"]["name"] == CLAIMED
    assert created["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert "not generated here" in created["description"]
    assert marked["action"].startswith("c2pa.watermarked")
    assert manifest.get("ingredients", []) == []
    report = examine(sealing.parts, output.data)
    assert report.verdict == "made_here"
    assert report.watermark.payload == output.output_id
    # Said of the file, of its bare pixels and of what is left of them: we did not make it.
    bare = remove(output.data)
    with Image.open(io.BytesIO(output.data)) as opened:
        squeezed = to_bytes(opened.convert("RGB"), "JPEG", quality=80)
    for data in (output.data, bare, squeezed):
        told = examine(sealing.parts, data)
        assert "sealed here" in told.summary.lower()
        assert "made elsewhere" in told.summary
        assert headline(told).text.startswith("Sealed here")
    records = sealing.parts.log.records(released.record_id)
    assert [one.kind for one in records] == [
        "request.received", "request.decided", "request.completed"
    ]  # fmt: skip
    assert records[0].public["operation"] == "seal"
    assert all(CLAIMED not in json.dumps(one.public) for one in records)


async def test_the_source_type_is_a_setting(
    open_pipeline: Callable[..., Pipeline], make_picture: Draw, to_bytes: Encode
) -> None:
    pipeline = open_pipeline(seal_source_type="compositeSynthetic")
    request = SealRequest(image=to_bytes(make_picture()), model="m")
    released = await pipeline.seal(request)
    created = _actions(_manifest(released.outputs[0].data))[0]
    assert created["digitalSourceType"].endswith("/compositeSynthetic")


async def test_a_picture_with_credentials_becomes_an_ingredient_and_keeps_one_mark(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    first = await sealing.seal(SealRequest(image=to_bytes(make_picture()), model="first"))
    # Twice more, since of two marks with one key a reader might find either.
    data = first.outputs[0].data
    for turn in range(2):
        again = await sealing.seal(SealRequest(image=data, model="second"))
        data = again.outputs[0].data
        manifest = _manifest(data)
        opened = _actions(manifest)[0]
        assert opened["action"] == "c2pa.opened"
        assert [one["relationship"] for one in manifest["ingredients"]] == ["parentOf"]
        report = examine(sealing.parts, data)
        assert report.manifest.state == "intact"
        assert report.watermark.payload == again.outputs[0].output_id, turn
        assert len(report.ingredients) == turn + 1


async def test_what_we_marked_is_not_sealed_without_its_history(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    released = await sealing.seal(SealRequest(image=to_bytes(make_picture()), model="first"))
    with Image.open(io.BytesIO(released.outputs[0].data)) as picture:
        stripped = to_bytes(picture.convert("RGB"), "JPEG", quality=90)
    with pytest.raises(AlreadyMarked) as caught:
        await sealing.seal(SealRequest(image=stripped, model="another"))
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    ("kind", "options", "made"),
    [
        ("PNG", {}, "png"),
        ("JPEG", {"quality": 92}, "jpeg"),
        ("WEBP", {"quality": 90}, "webp"),
        ("AVIF", {"quality": 85}, "avif"),
        ("TIFF", {}, "png"),
    ],
)
async def test_the_file_keeps_its_format_where_it_is_one_of_ours(
    sealing: Pipeline,
    make_picture: Draw,
    to_bytes: Encode,
    kind: str,
    options: dict[str, Any],
    made: str,
) -> None:
    image = to_bytes(make_picture(320, 240), kind, **options)
    output = (await sealing.seal(SealRequest(image=image, model="m"))).outputs[0]
    assert (output.format, output.width, output.height) == (made, 320, 240)
    assert examine(sealing.parts, output.data).manifest.state == "intact"


async def test_what_the_policy_blocks_is_not_sealed(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    with pytest.raises(Refused) as card:
        await sealing.seal(SealRequest(image=to_bytes(draw_test_card()), model="m"))
    assert card.value.stage == "output"
    words = "explicit photo of a naked woman having sex"
    with pytest.raises(Refused) as prompt:
        await sealing.seal(SealRequest(image=to_bytes(make_picture()), prompt=words, model="m"))
    assert prompt.value.stage == "input"
    kinds = [one.kind for one in sealing.parts.log.records(card.value.record_id)]
    assert kinds[-1] == "request.refused"


@pytest.mark.parametrize("model", ["", " ", "x" * 101, "two\nlines", "a\0b"])
async def test_a_model_is_a_name(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode, model: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await sealing.seal(SealRequest(image=to_bytes(make_picture()), model=model))
    assert caught.value.param == "model"


async def test_what_cannot_be_judged_is_not_sealed(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    with pytest.raises(ImageTooSmall):
        await sealing.seal(SealRequest(image=to_bytes(make_picture(12, 300)), model="m"))
    with pytest.raises(InvalidRequest):
        await sealing.seal(SealRequest(image=b"no picture", model="m"))


@pytest.mark.filterwarnings("ignore:signing with a development certificate")
def test_many_files_at_the_command_line(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    make_picture: Draw,
    to_bytes: Encode,
) -> None:
    out = tmp_path / "sealed"
    out.mkdir()
    names = ["one.png", "two.jpg", "card.png", "text.png"]
    files = [tmp_path / name for name in names]
    files[0].write_bytes(to_bytes(make_picture(seed=1)))
    files[1].write_bytes(to_bytes(make_picture(seed=2), "JPEG", quality=90))
    files[2].write_bytes(to_bytes(draw_test_card()))
    files[3].write_bytes(b"no picture")
    code, printed, _ = run(
        "seal", *files, "--prompt", "a hill", "--model", "FLUX.2", "-o", out, "--json"
    )
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["image"] for row in rows] == [str(file) for file in files]
    assert code == 3
    assert [sorted(row)[:2] for row in rows[2:]] == [["categories", "error"], ["error", "image"]]
    assert rows[2]["error"]["code"] == "moderation_blocked"
    assert rows[3]["error"]["code"] == "unsupported_image"
    for row, suffix in zip(rows[:2], (".png", ".jpg"), strict=True):
        assert row["file"].endswith(suffix)
        code, shown, _ = run("verify", row["file"], "--json")
        assert code == 0, shown
        assert json.loads(shown)["manifest"]["output_id"] == row["outputs"][0]["output_id"]
    # The same from a file of rows, each with words of its own.
    listed = tmp_path / "rows.jsonl"
    own = {
        "image": str(files[0]),
        "prompt": "a lake",
        "model": "mine",
        "output": str(out / "o.webp"),
    }
    listed.write_text("\n".join(json.dumps(row) for row in (own, {"image": str(files[1])}, "")))
    assert run("seal", "--jsonl", listed, "--model", "FLUX.2", "-o", out)[0] == 1
    listed.write_text("\n".join(json.dumps(row) for row in (own, {"image": str(files[1])})))
    code, printed, _ = run("seal", "--jsonl", listed, "--model", "FLUX.2", "-o", out, "--json")
    assert code == 0
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["model"] for row in rows] == ["mine", "FLUX.2"]
    assert rows[0]["file"] == str(out / "o.webp")
    # One file alone, to a name that says the format.
    single = tmp_path / "single.webp"
    code, printed, err = run("seal", files[0], "--model", "FLUX.2", "-o", single)
    assert code == 0, err
    with Image.open(single) as picture:
        assert picture.format == "WEBP"
    assert run("seal", files[2], "--model", "m", "-o", single)[0] == 3
    assert run("seal", *files[:2], "--model", "m", "-o", single)[0] == 1


def test_metadata_of_the_file_stay_behind(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    import asyncio

    from chopmark.provenance import XmpFields

    words = XmpFields(system="s", system_version="1", source_type="digitalCapture", prompt="Ada")
    image = write_xmp(to_bytes(make_picture()), "png", words)
    assert b"Ada" in image
    released = asyncio.run(sealing.seal(SealRequest(image=image, model="m")))
    assert b"Ada" not in released.outputs[0].data
    assert b"digitalCapture" not in released.outputs[0].data


async def test_a_picture_that_takes_no_mark_is_the_senders_affair(
    sealing: Pipeline, make_picture: Draw, to_bytes: Encode
) -> None:
    dots = make_picture().convert("1").convert("RGB")  # of black and white dots alone
    with pytest.raises(MarkTooWeak) as caught:
        await sealing.seal(SealRequest(image=to_bytes(dots), model="m"))
    assert caught.value.status == 400


async def test_what_is_transparent_stays_so_and_hides_nothing(
    sealing: Pipeline, make_picture: Draw
) -> None:
    clear = make_picture(320, 240).convert("RGBA")
    alpha = Image.new("L", clear.size, 255)
    alpha.paste(0, (0, 0, 80, 240))
    alpha.paste(128, (80, 0, 120, 240))
    clear.putalpha(alpha)
    for format_ in ("PNG", "WEBP", "JPEG"):
        sent = io.BytesIO()
        clear.save(sent, "PNG")
        chosen: Any = format_.lower()
        request = SealRequest(image=sent.getvalue(), model="m", format=chosen, quality=95)
        output = (await sealing.seal(request)).outputs[0]
        assert examine(sealing.parts, output.data).watermark.payload == output.output_id
        with Image.open(io.BytesIO(output.data)) as made:
            if format_ == "JPEG":
                assert made.mode == "RGB"
                continue
            assert made.getchannel("A").tobytes() == alpha.tobytes()
            hidden = made.crop((0, 0, 80, 240)).convert("RGB")
            shine = ImageChops.difference(made.convert("RGB"), clear.convert("RGB"))
        if format_ == "PNG":  # whose pixels come back as they were written
            # The mark lies there as everywhere, and nothing of what was hidden.
            assert max(hidden.tobytes()) <= 16
            assert ImageStat.Stat(shine.crop((80, 0, 320, 240))).mean[0] < 8


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_what_a_sealed_file_says_and_nothing_of_what_it_said(
    sealing: Pipeline, make_picture: Draw, tmp_path: Path
) -> None:
    import asyncio

    whose = Image.Exif()
    whose[0x8298] = "Ada"  # copyright
    whose.get_ifd(0x8825)[1] = "N"  # GPS
    for name, format_ in (("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")):
        sent = io.BytesIO()
        make_picture().save(sent, format_, exif=whose)
        released = asyncio.run(sealing.seal(SealRequest(image=sent.getvalue(), model="m")))
        (tmp_path / name).write_bytes(released.outputs[0].data)
    done = subprocess.run(
        ["exiftool", "-json", "-a", "-s", "-n", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=True,
    )
    told = {one["SourceFile"].rpartition("/")[2]: one for one in json.loads(done.stdout)}
    assert len(told) == 3
    for name, said in told.items():
        assert "Warning" not in said, name
        assert "Error" not in said, name
        assert said["DigitalSourceType"].endswith("/trainedAlgorithmicMedia"), name
        assert not {"Copyright", "GPSLatitudeRef"} & set(said), name
    # It does not look for a manifest in WebP.
    for name in ("a.jpg", "a.png"):
        assert told[name]["ActionsAction"] == ["c2pa.created", "c2pa.watermarked.bound"], name


@pytest.mark.parametrize("changed", [0.02, 0.1])
async def test_an_edit_within_a_mask_has_one_mark(
    open_pipeline: Callable[..., Pipeline],
    make_picture: Draw,
    to_bytes: Encode,
    changed: float,
) -> None:
    """Most of the pixels of an edit within a mask are those of its input, mark and all."""
    from chopmark import EditRequest, GenerationRequest

    painted = make_picture(384, 384, seed=5)

    def draw(job: Any, seed: int) -> Image.Image:
        if not job.images:
            return painted
        edited: Image.Image = job.images[0].copy()
        edited.paste((20, 90, 160), (0, 0, int(384 * changed), 384))
        return edited

    pipeline = open_pipeline(generator=StandIn(draw))
    first = (await pipeline.generate(GenerationRequest(prompt="a hill"))).outputs[0]
    mask = Image.new("L", (384, 384))
    mask.paste(255, (0, 0, int(384 * changed), 384))
    for _ in range(3):
        edit = EditRequest(prompt="a lake", image=first.data, mask=to_bytes(mask))
        edited = (await pipeline.edit(edit)).outputs[0]
        found = examine(pipeline.parts, edited.data).watermark
        assert found.payload == edited.output_id
        first = edited
