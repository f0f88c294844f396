"""What stands over a report, for each kind of file: verdict, headline, tone, and what is ticked."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from chopmark.provenance import (
    AnchorList,
    Report,
    TrustAnchors,
    XmpFields,
    embed_mark,
    encode_image,
    write_xmp,
)
from chopmark.provenance.xmp import Aigc
from chopmark.web.report_in_words import in_words
from tests.support.picture_files import encoded, mpo

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance import Signed
    from tests.unit.provenance import provenance_attacks as attacks
    from tests.unit.provenance.conftest import Maker
else:
    import provenance_attacks as attacks

COMFORT = ("messenger", "original was found", "is as it left", "as it was when it was signed")
KINDS = {
    # name: (verdict, headline, tone, exit code 0)
    "made png": ("made_here", "Made here, by AI", "good", True),
    "made jpeg": ("made_here", "Made here, by AI", "good", True),
    "made webp": ("made_here", "Made here, by AI", "good", True),
    "made avif": ("made_here", "Made here, by AI", "good", True),
    "edited here": ("made_here", "Changed here, with AI", "good", True),
    "edited here over a tampered input": ("made_here", "Made here, by AI", "care", True),
    "withdrawn": ("made_here", "Made here, and withdrawn since", "care", True),
    "not in our log": ("made_by_ai_elsewhere", "Signed with our key, not in our log", "care", True),
    "stripped": ("made_here", "Made here, by AI", "good", False),
    "saved anew": ("marked_but_altered", "Made here, then altered", "care", False),
    "cropped": ("marked_but_altered", "Made here, then altered", "care", False),
    "in a page": ("marked_but_altered", "Holds a picture made here", "care", False),
    "in a collage": ("marked_but_altered", "Holds a picture made here", "care", False),
    "second frame": ("marked_but_altered", "Holds a picture made here", "care", False),
    "never shown": ("marked_but_altered", "Hides a picture made here", "care", False),
    "a photograph's preview": (
        "marked_but_altered", "Hides a picture made here", "care", False),
    "cut off": ("marked_but_altered", "Made here, then altered", "care", False),
    "a tenth of it": ("marked_but_altered", "Made here, then altered", "care", False),
    "16 bits": ("marked_but_altered", "Made here, then altered", "care", False),
    "with more behind it": ("made_here", "Made here, by AI", "good", False),
    "marked, no record": ("marked_but_altered", "Carries our mark", "care", False),
    "unmarked, saved anew": ("resembles_ours", "Looks like a picture made here", "none", False),
    "input of an edit": ("resembles_ours", "Looks like a picture made here", "none", False),
    "changed pixels": (
        "edited_after_signing", "Does not fit its credentials", "care", False),
    "appended bytes": (
        "edited_after_signing", "Does not fit its credentials", "care", False),
    "another's manifest": (
        "edited_after_signing", "Does not fit its credentials", "care", False),
    "doubled manifest": (
        "edited_after_signing", "Its credentials cannot be read", "care", False),
    "edited elsewhere with history": (
        "edited_after_signing", "Made here, changed elsewhere", "care", False),
    "copied mark": ("contradictory", "Its signals contradict each other", "care", False),
    "laundered": ("contradictory", "Its signals contradict each other", "care", False),
    "laundered, trusted": ("contradictory", "Its signals contradict each other", "care", False),
    "manifest denies metadata": (
        "contradictory", "Its signals contradict each other", "care", False),
    "AI, unknown signer": ("made_by_ai_elsewhere", "Says that it was made by AI", "care", False),
    "AI, known signer": ("made_by_ai_elsewhere", "Made by AI, elsewhere", "good", True),
    "retouched, unknown signer": (
        "edited_by_ai_elsewhere", "Says that it was edited with AI", "care", False),
    "retouched, known signer": (
        "edited_by_ai_elsewhere", "Edited with AI, elsewhere", "good", True),
    "AI part, known signer": (
        "edited_by_ai_elsewhere", "Partly made by AI, elsewhere", "good", True),
    "AI by metadata": ("made_by_ai_elsewhere", "Says that it was made by AI", "care", False),
    "edited by metadata": (
        "edited_by_ai_elsewhere", "Says that it was edited with AI", "care", False),
    "parts by metadata": (
        "edited_by_ai_elsewhere", "Says that it was partly made by AI", "care", False),
    "label 1": ("made_by_ai_elsewhere", "Says that it was made by AI", "care", False),
    "label 2": ("maybe_ai_elsewhere", "Says that it was possibly made by AI", "none", False),
    "label 3": ("maybe_ai_elsewhere", "Says that it was possibly made by AI", "none", False),
    "camera, known": ("authentic_other", "Signed, without a sign of AI", "good", True),
    "camera, known, tampered input": (
        "authentic_other", "Signed, without a sign of AI", "care", True),
    "camera, unknown": ("no_signal", "Signed, by nobody known here", "none", False),
    "camera, expired": ("no_signal", "Signed, by nobody known here", "none", False),
    "photograph": ("no_signal", "No signal found", "none", False),
    "remote manifest": ("no_signal", "No signal found", "none", False),
    "flat": ("no_signal", "No signal found", "none", False),
    "photograph, cut off": ("no_signal", "Not looked at in full", "none", False),
    "screenshot": ("no_signal", "No signal found", "none", False),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(
    session_maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Each kind as bytes, with what `verify` is to be told for it."""
    maker, png = session_maker, made["png"].data
    stranger, camera = attacks.Outsider(), attacks.Outsider(organisation="Camera maker")
    known = TrustAnchors(
        lists=(
            *TrustAnchors.of(maker.credential).lists,
            AnchorList(name="a list", pem=camera.root_pem, kind="manifest", date="2026-11-01"),
        )
    )
    told: dict[str, Any] = {"anchors": known}
    photo = encode_image(photograph(seed=60), "jpeg")
    tampered = attacks.changed_pixels(png)

    def metadata(kind: str, label: str | None = None) -> bytes:
        aigc = Aigc(label=label) if label else None
        fields = XmpFields(system="S", system_version="1", source_type=kind, aigc=aigc)
        return write_xmp(photo, "jpeg", fields)

    def labelled(label: str) -> bytes:
        return metadata("unknown", label)

    def page_with_a_picture() -> bytes:
        page = Image.new("RGB", (1280, 900), (250, 250, 250))
        page.paste(photograph(400, 300, seed=61), (400, 250))
        return encode_image(page, "png")

    with Image.open(io.BytesIO(png)) as opened:
        ours = opened.convert("RGB")
    other = photograph(seed=73)
    page = Image.new("RGB", (1280, 900), (250, 250, 250))
    page.paste(ours, (600, 200))
    collage = Image.new("RGB", (1024, 1024))
    for number in range(4):
        one = ours if number == 2 else photograph(seed=80 + number)
        collage.paste(one, (512 * (number % 2), 512 * (number // 2)))
    lossless = encoded(ours, "WEBP", lossless=True)
    wide = np.asarray(ours.convert("L")).astype(np.uint16) * 257 + 1
    unmarked = maker.make(photograph(seed=62), output_id="e5f09c1122334451", mark=False)
    edited = maker.make(photograph(seed=63), output_id="e5f09c1122334461", parent=photo)
    over = maker.make(photograph(seed=64), output_id="e5f09c1122334471", parent=tampered)
    honest = encode_image(photograph(seed=65), "jpeg")
    maker.make(photograph(seed=65), output_id="e5f09c1122334481", mark=False, parent=honest)
    gone = maker.make(photograph(seed=66), output_id="e5f09c1122334491")
    maker.log["e5f09c1122334490"] |= {"withdrawn": True, "withdrawn_at": "2026-11-24T00:00:00Z"}
    unbooked = maker.make(photograph(seed=67), output_id="e5f09c11223344a1", book=False)
    bare_mark = embed_mark(
        photograph(seed=68), bytes.fromhex("e5f09c11223344b1"), key=maker.keys.active
    )
    forged = attacks.transplanted_mark(png, photograph(seed=7), photograph(seed=69))
    return {
        **{f"made {fmt}": (one.data, {}) for fmt, one in made.items()},
        "edited here": (edited.data, {}),
        "edited here over a tampered input": (over.data, {}),
        "withdrawn": (gone.data, {}),
        "not in our log": (unbooked.data, {}),
        "stripped": (attacks.stripped_metadata(png), {}),
        "saved anew": (attacks.re_encoded(png), {}),
        "cropped": (attacks.cropped(png), {}),
        "in a page": (encode_image(page, "png"), {}),
        "in a collage": (encoded(collage, "JPEG", quality=92), {}),
        "second frame": (
            encoded(other, "WEBP", save_all=True, append_images=[ours], lossless=True), {}),
        "never shown": (
            encoded(ours, save_all=True, append_images=[other], default_image=True), {}),
        "a photograph's preview": (mpo(other, ours), {}),
        "cut off": (lossless[: len(lossless) // 2], {}),
        "a tenth of it": (lossless[: len(lossless) // 10], {}),
        "16 bits": (encoded(Image.fromarray(wide)), {}),
        "with more behind it": (encoded(ours) + b"PK\3\4 an archive", {}),
        "marked, no record": (encode_image(bare_mark, "png"), {}),
        "unmarked, saved anew": (attacks.re_encoded(unmarked.data, 90), {}),
        "input of an edit": (honest, {}),
        "changed pixels": (tampered, {}),
        "appended bytes": (attacks.appended_bytes(made["jpeg"].data), {}),
        "another's manifest": (
            attacks.transplanted_manifest(png, encode_image(photograph(seed=70), "png")), {}),
        "doubled manifest": (attacks.doubled_manifest(png), {}),
        "edited elsewhere with history": (
            stranger.sign(attacks.stripped_metadata(png), source_type=None, parent=png), {}),
        "copied mark": (encode_image(forged, "jpeg"), {}),
        "laundered": (stranger.sign(attacks.stripped_metadata(png)), {}),
        "laundered, trusted": (camera.sign(attacks.stripped_metadata(png)), told),
        "manifest denies metadata": (camera.sign(metadata("trainedAlgorithmicMedia")), told),
        "AI, unknown signer": (stranger.sign(photo, source_type="trainedAlgorithmicMedia"), {}),
        "AI, known signer": (camera.sign(photo, source_type="trainedAlgorithmicMedia"), told),
        "retouched, unknown signer": (
            stranger.sign(photo, source_type="trainedAlgorithmicMedia", parent=photo), {}),
        "retouched, known signer": (
            camera.sign(photo, source_type="compositeWithTrainedAlgorithmicMedia", parent=photo),
            told),
        "AI part, known signer": (camera.sign(photo, source_type="compositeSynthetic"), told),
        "AI by metadata": (metadata("trainedAlgorithmicMedia"), {}),
        "edited by metadata": (metadata("compositeWithTrainedAlgorithmicMedia"), {}),
        "parts by metadata": (metadata("compositeSynthetic"), {}),
        "label 1": (labelled("1"), {}),
        "label 2": (labelled("2"), {}),
        "label 3": (labelled("3"), {}),
        "camera, known": (camera.sign(photo), told),
        "camera, known, tampered input": (
            camera.sign(photo, component=attacks.changed_pixels(stranger.sign(
                encode_image(photograph(256, 256, seed=71), "png")))), told),
        "camera, unknown": (stranger.sign(photo), {}),
        "camera, expired": (b"", {}),
        "photograph": (photo, {}),
        "photograph, cut off": (photo[: len(photo) // 2], {}),
        "remote manifest": (
            stranger.sign(photo, remote="https://remote.example/m.c2pa", embed=False), {}),
        "flat": (encode_image(Image.new("RGB", (300, 300), (9, 90, 190)), "png"), {}),
        "screenshot": (page_with_a_picture(), {}),
    }  # fmt: skip


def _report(maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]], kind: str) -> Report:
    if kind == "camera, expired":
        # As "camera, unknown" would read a year on: no test waits for that.
        report = maker.look(files["camera, unknown"][0])
        return dataclasses.replace(
            report, credential=dataclasses.replace(report.credential, state="expired")
        )
    data, told = files[kind]
    return maker.verify(data, **told)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_over_it(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]], kind: str
) -> None:
    verdict, headline, tone, holds = KINDS[kind]
    report = _report(session_maker, files, kind)
    words = in_words(report)
    assert (report.verdict, words.headline, words.tone) == (verdict, headline, tone)
    assert report.holds is holds
    assert [one.name for one in report.techniques] == [
        "c2pa", "watermark", "fingerprint", "log", "metadata",
    ]  # fmt: skip
    ticked = {one.name for one in words.axes if one.tone == "good"}
    said = " ".join([report.summary, words.meaning, *(one.line for one in words.axes)])
    if verdict == "contradictory":
        assert not ticked
        assert not [word for word in COMFORT if word in said]
    if report.credential.state not in {"trusted", "absent"}:
        assert "Who signed" not in ticked
        assert "Says it is AI" not in ticked
    if report.record is None:
        assert "Our log" not in ticked
    if report.watermark.state != "detected":
        assert "Invisible watermark" not in ticked
    if report.watermark.within is not None:
        assert not ticked & {"Invisible watermark", "Likeness"}
        assert "no longer the one" not in said
        assert "its pixels" not in said.lower()
    if verdict == "resembles_ours":
        assert not ticked
        assert "marked" not in report.summary
        assert "logged here before" not in said
    if any(one.manifest == "broken" for one in report.ingredients):
        assert "Content Credentials" not in ticked
        assert words.tone != "good"
        assert "does not fit the manifest that came with it" in report.summary


def test_a_contradiction_names_what_the_manifest_says(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    for kind in ("laundered", "laundered, trusted", "manifest denies metadata"):
        assert "a digital photograph" in _report(session_maker, files, kind).summary


def test_where_a_mark_is_in_a_file_is_said(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    for kind, within in (
        ("in a collage", "part"), ("second frame", "frame"), ("never shown", "hidden"),
        ("saved anew", None), ("photograph", None),
    ):  # fmt: skip
        report = _report(session_maker, files, kind)
        assert report.watermark.within == within, kind
        assert (report.watermark.box is not None) == (within == "part"), kind
    told = _report(session_maker, files, "with more behind it")
    assert any("15 bytes more" in one for one in told.notes)


def test_forty_kinds() -> None:
    assert len(KINDS) >= 40


def test_what_could_not_be_looked_at_holds_for_nothing(session_maker: Maker, made: Any) -> None:
    report = session_maker.verify(made["png"].data)
    mark = dataclasses.replace(report.watermark, state="not_examined", reason="16 bits a channel")
    unread = dataclasses.replace(report, watermark=mark)
    assert report.holds
    assert not unread.holds
    assert in_words(unread).tone == "care"


def test_a_screenshot_is_advised_to_be_cropped(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    def advised(kind: str) -> bool:
        return any("Crop it" in note for note in _report(session_maker, files, kind).notes)

    assert advised("screenshot")
    assert not advised("photograph")
    assert not advised("flat")


def test_no_signal_names_what_was_looked_for(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    with_all = _report(session_maker, files, "photograph").summary
    assert (
        "Looked for: Content Credentials, metadata that names an AI tool, our watermark" in with_all
    )
    without = session_maker.look(files["photograph"][0]).summary
    assert "our watermark" in without.partition("Not looked for:")[2]
    assert "marks that only other services can read" in without


def test_signers_are_named_as_what_they_call_themselves(
    session_maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    data = encode_image(photograph(64, 64, seed=72), "png")
    company = attacks.Outsider(organisation="NIKON CORPORATION", name="NIKON CORPORATION")
    shown = session_maker.look(company.sign(data), public=True)
    assert "calls itself 'NIKON CORPORATION'" in shown.summary
    lines = {one.name: one.line for one in in_words(shown).axes}
    assert "calls itself 'NIKON CORPORATION'" in lines["Who signed"]
    person = attacks.Outsider(organisation="Jane Doe Photography", name="Jane Doe")
    assert "Jane" not in str(session_maker.look(person.sign(data), public=True).to_dict())


def test_a_signers_name_moves_no_cursor_and_turns_no_line(
    session_maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    data = encode_image(photograph(64, 64, seed=75), "png")
    name = "NIKON\x1b[2J \u202eCORP\r\nLtd"
    report = session_maker.look(attacks.Outsider(organisation=name).sign(data))
    said = str(report.to_dict()) + str(in_words(report))
    assert "NIKON" in said
    for one in ("\x1b", "\u202e", "\n", "\\x1b", "\\u202e", "\\n"):
        assert one not in said


def test_run_out_when_used_is_said_with_evidence_only(
    session_maker: Maker, files: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    report = _report(session_maker, files, "camera, expired")
    [line] = [one.line for one in in_words(report).axes if one.name == "Who signed"]
    assert "not known" in line
    stamped = dataclasses.replace(report, time=dataclasses.replace(report.time, state="trusted"))
    [line] = [one.line for one in in_words(stamped).axes if one.name == "Who signed"]
    assert "had run out when it was used" in line


def test_a_sidecar_speaks_for_its_file(
    session_maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    signed = attacks.Outsider().sign(encode_image(photograph(128, 128, seed=73), "png"))
    store = attacks.manifest_of(signed)
    bare = attacks.stripped_metadata(signed)
    other = io.BytesIO()
    photograph(128, 128, seed=74).save(other, "JPEG")
    assert session_maker.look(bare).manifest.state == "absent"
    # c2pa-rs binds the whole file but the manifest's place: without that it fits no more.
    assert session_maker.look(signed, sidecar=store).manifest.state == "intact"
    assert session_maker.look(other.getvalue(), sidecar=store).manifest.state == "broken"
    assert session_maker.look(bare, sidecar=b"no manifest").manifest.state == "malformed"
