"""`verify` tells the truth about each attack."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING

import c2pa
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image

from chopmark.errors import ChopmarkError, ImageTooLarge, LogCorrupt, UnreadableImage
from chopmark.provenance import AnchorList, Limits, TrustAnchors, embed_mark, encode_image, verify
from tests.support.http import Loopback, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance import Signed
    from tests.unit.provenance import provenance_attacks as attacks
    from tests.unit.provenance.conftest import Maker
else:
    import provenance_attacks as attacks


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_a_picture_made_here_is_made_here(maker: Maker, made: dict[str, Signed], fmt: str) -> None:
    report = maker.verify(made[fmt].data)
    assert report.verdict == "made_here"
    assert report.manifest.state == "intact"
    assert report.manifest.id == made[fmt].manifest_id
    assert (report.credential.state, report.credential.own) == ("trusted", True)
    assert report.credential.anchor == "own development CA"
    assert report.ai_signal.state == "active"
    assert report.ai_signal.system == "tiny 1"
    assert report.watermark.state == "detected"
    assert report.watermark.payload == report.manifest.output_id
    assert report.watermark.p_value <= 1e-9
    assert report.record is not None
    assert report.recovered is None
    assert report.time.state == "absent"


def test_without_our_log_nothing_is_made_here(maker: Maker, made: dict[str, Signed]) -> None:
    unasked = maker.verify(made["png"].data, find_record=None)
    assert unasked.verdict == "made_by_ai_elsewhere"
    assert "No log could be asked" in unasked.summary

    def unreadable(_: str) -> None:
        raise LogCorrupt("the tree does not fit its rows")

    failed = maker.verify(made["png"].data, find_record=unreadable)
    assert "no such record" not in failed.summary
    (log,) = [one for one in failed.techniques if one.name == "log"]
    assert (log.outcome, log.detail) == ("not_examined", "The log could not be read.")
    unbooked = maker.verify(made["png"].data, find_record=lambda _: None)
    assert unbooked.verdict == "made_by_ai_elsewhere"
    assert "no such record" in unbooked.summary
    assert unbooked.record is None


def test_transplanted_mark(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    forged = attacks.transplanted_mark(made["png"].data, photograph(seed=7), photograph(seed=8))
    for angle in (None, Image.Transpose.ROTATE_90):
        shown = forged if angle is None else forged.transpose(angle)
        report = maker.verify(encode_image(shown, "jpeg"))
        assert report.watermark.state == "conflict"
        assert report.watermark.payload == "a3f09c1122334451"
        assert "another picture" in (report.watermark.reason or "")
        assert report.verdict == "contradictory"
        assert "Conflict" in report.summary


def test_a_turned_or_cropped_mark_is_no_conflict(maker: Maker, made: dict[str, Signed]) -> None:
    with Image.open(io.BytesIO(made["png"].data)) as opened:
        picture = opened.convert("RGB")
    for changed in (picture.transpose(Image.Transpose.ROTATE_270), picture.crop((0, 0, 300, 350))):
        report = maker.verify(encode_image(changed, "jpeg"))
        assert report.watermark.state == "detected"
        assert report.verdict == "marked_but_altered"


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_appended_bytes(maker: Maker, made: dict[str, Signed], fmt: str) -> None:
    report = maker.verify(attacks.appended_bytes(made[fmt].data))
    assert report.manifest.state == "broken"
    assert report.verdict == "edited_after_signing"
    assert report.watermark.state == "detected"


def test_changed_pixels(maker: Maker, made: dict[str, Signed]) -> None:
    report = maker.verify(attacks.changed_pixels(made["png"].data))
    assert report.manifest.state == "broken"
    assert "assertion.dataHash.mismatch" in report.manifest.problems
    assert report.verdict == "edited_after_signing"
    assert report.recovered is not None
    assert report.recovered.manifest_id == made["png"].manifest_id


def test_transplanted_manifest(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    other = encode_image(photograph(seed=99), "png")
    report = maker.verify(attacks.transplanted_manifest(made["png"].data, other))
    assert report.manifest.state == "broken"
    assert report.verdict == "edited_after_signing"
    assert report.watermark.state == "none"


def test_changed_source_type(maker: Maker, made: dict[str, Signed]) -> None:
    report = maker.verify(attacks.changed_source_type(made["png"].data))
    assert report.manifest.state == "broken"
    assert report.verdict == "edited_after_signing"


def test_swapped_issuer(maker: Maker, made: dict[str, Signed]) -> None:
    report = maker.verify(attacks.swapped_issuer(made["png"].data))
    assert report.manifest.state in {"broken", "malformed"}
    assert not report.credential.own
    assert report.credential.state != "trusted"
    assert report.verdict == "edited_after_signing"


def test_doubled_manifest(maker: Maker, made: dict[str, Signed]) -> None:
    report = maker.verify(attacks.doubled_manifest(made["png"].data))
    assert report.manifest.state in {"malformed", "broken"}
    assert report.verdict == "edited_after_signing"


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_truncated(maker: Maker, made: dict[str, Signed], fmt: str) -> None:
    try:
        report = maker.verify(attacks.truncated(made[fmt].data))
    except UnreadableImage:
        return
    # Of a WebP the manifest stands at the end: what is left has none, and that is all that is said.
    gone = report.manifest.state == "absent" and "What is left of it" in report.summary
    assert gone or report.manifest.state in {"malformed", "broken"}
    assert report.techniques[0].outcome in {"not_examined", "contradicted"}
    assert report.verdict not in {"made_here", "authentic_other"}


def test_tampered_parent_under_an_intact_child(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    parent = attacks.changed_pixels(made["png"].data)
    child = maker.make(photograph(seed=8), output_id="b3f09c1122334451", parent=parent)
    report = maker.verify(child.data)
    assert report.manifest.state == "intact"
    assert report.verdict == "made_here"
    [ingredient] = report.ingredients
    assert ingredient.manifest == "broken"
    assert ingredient.relationship == "parentOf"
    assert any("does not fit its own manifest" in note for note in report.notes)


def test_signed_parent_keeps_its_history(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    child = maker.make(
        photograph(seed=9), "jpeg", output_id="b3f09c1122334452", parent=made["webp"].data
    )
    report = maker.verify(child.data)
    assert report.verdict == "made_here"
    assert "edited here" in report.summary
    [ingredient] = report.ingredients
    assert (ingredient.manifest, ingredient.credential) == ("intact", "trusted")
    assert ingredient.id == made["webp"].manifest_id
    assert ingredient.ai


def test_unsigned_parent_is_said_to_be_unsigned(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    parent = encode_image(photograph(seed=10), "jpeg")
    child = maker.make(photograph(seed=11), output_id="b3f09c1122334453", parent=parent)
    report = maker.look(child.data)
    [ingredient] = report.ingredients
    assert (ingredient.manifest, ingredient.credential, ingredient.id) == ("absent", "absent", None)
    assert report.ai_signal.source_type is not None
    assert report.ai_signal.source_type.endswith("compositeWithTrainedAlgorithmicMedia")
    assert b"carried no C2PA manifest" in child.manifest


@pytest.mark.parametrize("source_type", ["digitalCapture", "humanEdits", "trainedAlgorithmicMedia"])
def test_re_signed_without_parent_is_laundering(
    maker: Maker,
    made: dict[str, Signed],
    outsider: Callable[..., attacks.Outsider],
    source_type: str,
) -> None:
    stranger = outsider()
    laundered = stranger.sign(attacks.stripped_metadata(made["png"].data), source_type=source_type)
    report = maker.verify(laundered)
    assert report.manifest.state == "intact"
    assert report.credential.state == "untrusted"
    assert report.watermark.state == "conflict"
    assert report.verdict == "contradictory"
    assert "Conflict" in report.summary
    # Also when some list vouches for the launderer.
    lists = (
        *TrustAnchors.of(maker.credential).lists,
        AnchorList(name="a list", pem=stranger.root_pem, kind="manifest"),
    )
    vouched = maker.verify(laundered, anchors=TrustAnchors(lists=lists))
    assert vouched.credential.state == "trusted"
    assert not vouched.credential.own
    assert vouched.verdict == "contradictory"


def test_laundering_with_our_manifest_as_mere_component(
    maker: Maker, made: dict[str, Signed], outsider: Callable[..., attacks.Outsider]
) -> None:
    laundered = outsider().sign(
        attacks.stripped_metadata(made["png"].data),
        source_type="digitalCapture",
        component=made["png"].data,
    )
    report = maker.verify(laundered)
    assert report.watermark.state == "conflict"
    assert report.verdict == "contradictory"


def test_laundering_under_a_forged_history_by_somebody_who_trusts_himself(
    maker: Maker, made: dict[str, Signed], outsider: Callable[..., attacks.Outsider]
) -> None:
    """A stranger signs a "parent" in our words, and records that he found its signer trusted."""
    stranger = outsider()
    bare = attacks.stripped_metadata(made["png"].data)
    output_id = maker.look(made["png"].data).manifest.output_id
    record = {"recordId": "a3f09c1122334450", "outputId": output_id}
    parent = stranger.sign(
        bare,
        source_type="digitalCapture",
        assertions=({"label": "org.chopmark.record", "data": record},),
        anchors=stranger.root_pem,
    )
    child = stranger.sign(bare, source_type=None, parent=parent, anchors=stranger.root_pem)
    report = maker.verify(child)
    assert report.manifest.state == "intact"
    assert [one.credential for one in report.ingredients] == ["untrusted"]
    assert report.watermark.state == "conflict"
    assert report.verdict == "contradictory"


def test_honest_edit_elsewhere_is_no_conflict(
    maker: Maker, made: dict[str, Signed], outsider: Callable[..., attacks.Outsider]
) -> None:
    edited = outsider().sign(
        attacks.stripped_metadata(made["png"].data), source_type=None, parent=made["png"].data
    )
    report = maker.verify(edited)
    assert report.watermark.state == "detected"
    assert report.verdict == "edited_after_signing"
    assert report.ai_signal.state == "ancestor"
    assert report.record is not None


def test_our_words_under_a_strangers_signature(
    maker: Maker, made: dict[str, Signed], outsider: Callable[..., attacks.Outsider]
) -> None:
    """A stranger copies our record assertion, ids and all, onto our own marked pixels."""
    output_id = maker.verify(made["png"].data).manifest.output_id
    record = {"recordId": "a3f09c1122334450", "outputId": output_id}
    forged = outsider().sign(
        attacks.stripped_metadata(made["png"].data),
        source_type="trainedAlgorithmicMedia",
        assertions=({"label": "org.chopmark.record", "data": record},),
    )
    report = maker.verify(forged)
    assert report.verdict == "contradictory"
    assert report.watermark.state == "conflict"


def test_our_record_id_in_a_strangers_manifest_proves_nothing(
    maker: Maker,
    made: dict[str, Signed],
    outsider: Callable[..., attacks.Outsider],
    photograph: Callable[..., Image.Image],
) -> None:
    record = {"recordId": "a3f09c1122334450", "outputId": "a3f09c1122334451"}
    forged = outsider().sign(
        encode_image(photograph(seed=12), "png"),
        source_type="trainedAlgorithmicMedia",
        assertions=({"label": "org.chopmark.record", "data": record},),
    )
    report = maker.look(forged)
    assert report.record is None
    assert report.verdict == "made_by_ai_elsewhere"


def test_mark_of_another_output_under_our_own_manifest(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    image = embed_mark(
        photograph(seed=13), bytes.fromhex("c3f09c1122334451"), key=maker.keys.active
    )
    signed = maker.make(image, output_id="c3f09c1122334461", mark=False)
    report = maker.verify(signed.data)
    assert report.watermark.state == "conflict"
    assert report.verdict == "contradictory"


def test_forged_issuer_name_from_a_private_root(
    maker: Maker,
    outsider: Callable[..., attacks.Outsider],
    photograph: Callable[..., Image.Image],
) -> None:
    forger = outsider(organisation="OpenAI OpCo, LLC", name="OpenAI Media Service API")
    ai = maker.look(
        forger.sign(encode_image(photograph(seed=14), "png"), source_type="trainedAlgorithmicMedia")
    )
    assert ai.manifest.state == "intact"
    assert ai.credential.state == "untrusted"
    assert ai.credential.anchor is None
    assert "calls itself 'OpenAI OpCo, LLC'" in ai.summary
    assert "tamper" not in ai.summary
    camera = maker.look(forger.sign(encode_image(photograph(seed=14), "png")))
    assert camera.verdict == "no_signal"
    assert "proves nothing" in camera.summary


def test_forged_chopmark_root_of_the_same_name_is_not_ours(
    maker: Maker,
    outsider: Callable[..., attacks.Outsider],
    photograph: Callable[..., Image.Image],
) -> None:
    ours = maker.credential.leaf.subject
    forger = outsider(organisation=str(next(iter(ours)).value), name="Chopmark development signer")
    report = maker.look(
        forger.sign(encode_image(photograph(seed=15), "png"), source_type="trainedAlgorithmicMedia")
    )
    assert not report.credential.own
    assert report.credential.state == "untrusted"


def test_neighbour_under_the_same_commercial_ca_is_not_us(
    photograph: Callable[..., Image.Image], outsider: Callable[..., attacks.Outsider]
) -> None:
    we = outsider(organisation="Commercial CA customer", name="us")
    they = we.another("them")
    ours = AnchorList(
        name="own credential",
        pem=we.middle.public_bytes(Encoding.PEM).decode(),
        kind="own",
        serials=frozenset({we.leaf.serial_number}),
    )
    picture = encode_image(photograph(seed=16), "png")
    anchors = TrustAnchors(lists=(ours,))
    mine = verify(we.sign(picture, source_type="trainedAlgorithmicMedia"), anchors=anchors)
    assert mine.credential.own
    theirs = verify(they.sign(picture, source_type="trainedAlgorithmicMedia"), anchors=anchors)
    assert not theirs.credential.own
    assert theirs.credential.state == "untrusted"
    # A list that does vouch for that CA says so of the neighbour, and still not that it is us.
    both = TrustAnchors(lists=(ours, AnchorList(name="list", pem=we.root_pem, kind="manifest")))
    listed = verify(they.sign(picture, source_type="trainedAlgorithmicMedia"), anchors=both)
    assert (listed.credential.own, listed.credential.anchor) == (False, "list")


def test_a_time_stamping_root_vouches_for_no_signer(
    photograph: Callable[..., Image.Image], outsider: Callable[..., attacks.Outsider]
) -> None:
    stranger = outsider()
    data = stranger.sign(encode_image(photograph(seed=17), "png"))
    anchors = TrustAnchors(lists=(AnchorList(name="tsa", pem=stranger.root_pem, kind="tsa"),))
    report = verify(data, anchors=anchors)
    assert report.credential.state == "untrusted"
    assert report.verdict == "no_signal"


def test_expired_without_time_stamp(
    maker: Maker,
    photograph: Callable[..., Image.Image],
    outsider: Callable[..., attacks.Outsider],
) -> None:
    plain = encode_image(photograph(seed=18), "png")

    def sign_and_look(short: attacks.Outsider) -> tuple[bytes, TrustAnchors]:
        data = short.sign(plain, source_type="trainedAlgorithmicMedia")
        anchors = TrustAnchors(
            lists=(AnchorList(name="list", pem=short.root_pem, kind="manifest"),)
        )
        assert maker.look(data, anchors=anchors).credential.state == "trusted"
        return data, anchors

    (data, anchors), _ = attacks.outlived(sign_and_look, outsider)
    report = maker.look(data, anchors=anchors)
    assert report.manifest.state == "intact"
    assert report.credential.state == "expired"
    assert report.time.state == "absent"
    assert report.verdict == "made_by_ai_elsewhere"
    assert any("expired" in note for note in report.notes)


def test_trusted_camera_is_authentic_other(
    maker: Maker,
    photograph: Callable[..., Image.Image],
    outsider: Callable[..., attacks.Outsider],
) -> None:
    camera = outsider(organisation="Camera maker", name="Camera 1")
    anchors = TrustAnchors(
        lists=(AnchorList(name="list", pem=camera.root_pem, kind="manifest", date="2026-11-01"),)
    )
    report = maker.look(camera.sign(encode_image(photograph(seed=19), "jpeg")), anchors=anchors)
    assert report.verdict == "authentic_other"
    assert report.credential.anchor_date == "2026-11-01"


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp"])
def test_stripped_metadata_with_the_very_pixels(
    maker: Maker, made: dict[str, Signed], fmt: str
) -> None:
    report = maker.verify(attacks.stripped_metadata(made[fmt].data))
    assert report.manifest.state == "absent"
    assert report.watermark.state == "detected"
    assert report.recovered is not None
    assert (report.recovered.by, report.recovered.exact) == ("watermark", "pixels")
    assert report.recovered.confidence == "certain"
    assert report.verdict == "made_here"


@pytest.mark.parametrize("quality", [80, 60])
def test_re_encoded(maker: Maker, made: dict[str, Signed], quality: int) -> None:
    report = maker.verify(attacks.re_encoded(made["png"].data, quality))
    assert report.manifest.state == "absent"
    assert report.verdict == "marked_but_altered"
    assert report.recovered is not None
    assert report.recovered.by == "watermark"
    assert report.recovered.manifest_id == made["png"].manifest_id
    assert report.recovered.exact == "no"
    assert report.recovered.distance is not None
    assert report.recovered.distance <= 10
    assert report.record is not None


def test_cropped(maker: Maker, made: dict[str, Signed]) -> None:
    report = maker.verify(attacks.cropped(made["png"].data))
    assert report.verdict == "marked_but_altered"
    assert report.watermark.state == "detected"
    assert report.record is not None
    assert report.recovered is not None
    assert report.recovered.exact == "no"


def test_fingerprint_finds_what_lost_its_mark(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    signed = maker.make(photograph(seed=20), output_id="d3f09c1122334451", mark=False)
    report = maker.verify(attacks.re_encoded(signed.data, 90))
    assert report.watermark.state == "none"
    assert report.recovered is not None
    assert report.recovered.by == "fingerprint"
    assert report.recovered.confidence in {"likely", "possible"}
    assert report.verdict == "resembles_ours"
    assert "likeness alone" in report.summary


@pytest.mark.parametrize("turn", ["FLIP_LEFT_RIGHT", "ROTATE_90", "TRANSVERSE"])
def test_fingerprint_finds_what_was_turned(
    maker: Maker, photograph: Callable[..., Image.Image], turn: str
) -> None:
    seed = 280 + len(turn)
    signed = maker.make(photograph(seed=seed), output_id="d3f09c1122334481", mark=False)
    image = Image.open(io.BytesIO(signed.data)).transpose(Image.Transpose[turn])
    report = maker.look(encode_image(image, "jpeg"))
    assert report.recovered is not None
    assert report.recovered.manifest_id == signed.manifest_id
    assert report.recovered.by == "fingerprint"


def test_a_mark_from_an_input_does_not_book_an_unbooked_output(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    """An edit of our own picture, signed but never booked: the input's record is not its own."""
    parent = made["png"].data
    payload = bytes.fromhex(maker.look(parent).manifest.output_id or "")
    image = embed_mark(photograph(seed=29), payload, key=maker.keys.active)
    child = maker.make(image, output_id="d5f09c1122334451", mark=False, parent=parent, book=False)
    report = maker.verify(child.data)
    assert report.watermark.payload == payload.hex()
    assert report.record is None
    assert report.verdict == "made_by_ai_elsewhere"


def test_public_detector_names_nobody(
    maker: Maker,
    outsider: Callable[..., attacks.Outsider],
    photograph: Callable[..., Image.Image],
) -> None:
    person = outsider(organisation="Jane Doe Photography", name="Jane Doe")
    parent = encode_image(photograph(64, 64, seed=30), "png")
    data = person.sign(parent, source_type="trainedAlgorithmicMedia", component=parent)
    open_ = json.dumps(maker.look(data).to_dict())
    assert "Jane Doe" in open_
    assert "component" in open_
    public = json.dumps(maker.look(data, public=True).to_dict())
    assert "Jane" not in public
    assert '"title": "component"' not in public
    assert "made_by_ai_elsewhere" in public
    remote = person.sign(parent, remote="https://jane.example/m.c2pa", embed=False)
    assert "jane.example" not in json.dumps(maker.look(remote, public=True).to_dict())


def test_the_input_of_an_edit_is_not_called_ai(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    """The result of a small edit has the fingerprint of the honest photograph that it came from."""
    honest = encode_image(photograph(seed=21), "jpeg")
    maker.make(photograph(seed=21), output_id="d3f09c1122334461", mark=False, parent=honest)
    report = maker.look(honest)
    assert report.recovered is not None
    assert report.verdict == "resembles_ours"
    assert "may be its input" in report.summary


def test_plain_photograph(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    report = maker.verify(encode_image(photograph(seed=22), "jpeg"))
    assert report.verdict == "no_signal"
    assert "does not mean that it was not made by AI" in report.summary
    assert report.recovered is None
    assert report.manifest.state == "absent"


def test_metadata_alone(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    from chopmark.provenance import XmpFields, write_xmp

    fields = XmpFields(
        system="Elsewhere", system_version="2", source_type="trainedAlgorithmicMedia"
    )
    data = write_xmp(encode_image(photograph(seed=23), "jpeg"), "jpeg", fields)
    report = maker.look(data)
    assert report.ai_signal.state == "metadata"
    assert report.ai_signal.system == "Elsewhere 2"
    assert report.verdict == "made_by_ai_elsewhere"


def test_remote_manifest_is_never_fetched(
    maker: Maker, photograph: Callable[..., Image.Image], outsider: Callable[..., attacks.Outsider]
) -> None:
    with Loopback(lambda _: Reply(404)) as server:
        address = f"{server.url}/manifest.c2pa"
        data = outsider().sign(
            encode_image(photograph(seed=24), "jpeg"), remote=address, embed=False
        )
        report = maker.look(data)
        as_input = maker.make(photograph(seed=24), output_id="d3f09c1122334471", parent=data)
        maker.look(as_input.data)
        seen = list(server.asked)
        # Shows that this test could fail: the library's own defaults do go there.
        with contextlib.suppress(c2pa.C2paError):
            c2pa.Reader("image/jpeg", io.BytesIO(data), context=c2pa.Context())
    assert report.manifest.state == "remote_only"
    assert report.manifest.address == address
    assert report.verdict == "no_signal"
    assert seen == []
    assert server.asked


def test_five_different_answers(
    maker: Maker,
    made: dict[str, Signed],
    photograph: Callable[..., Image.Image],
    outsider: Callable[..., attacks.Outsider],
) -> None:
    """Made, stripped, cropped, foreign signed, plain: five truthful sentences, no two alike."""
    foreign = outsider().sign(
        encode_image(photograph(seed=25), "png"), source_type="trainedAlgorithmicMedia"
    )
    files = {
        "made": made["png"].data,
        "stripped": attacks.stripped_metadata(made["png"].data),
        "cropped": attacks.cropped(made["png"].data),
        "foreign": foreign,
        "plain": encode_image(photograph(seed=26), "png"),
    }
    reports = {name: maker.verify(data) for name, data in files.items()}
    assert {name: report.verdict for name, report in reports.items()} == {
        "made": "made_here",
        "stripped": "made_here",
        "cropped": "marked_but_altered",
        "foreign": "made_by_ai_elsewhere",
        "plain": "no_signal",
    }
    assert len({report.summary for report in reports.values()}) == 5
    assert len({json.dumps(report.to_dict(), sort_keys=True) for report in reports.values()}) == 5


def test_report_has_the_shape_that_the_manual_fixes(maker: Maker, made: dict[str, Signed]) -> None:
    plain = maker.verify(made["png"].data).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert set(plain) >= {
        "verdict", "summary", "manifest", "credential", "time", "ai_signal", "ingredients",
        "watermark", "record", "recovered",
    }  # fmt: skip
    for axis in ("manifest", "credential", "time", "ai_signal", "watermark"):
        found = plain[axis]
        assert isinstance(found, dict)
        assert "state" in found
    watermark = plain["watermark"]
    assert isinstance(watermark, dict)
    assert {"payload", "p_value"} <= set(watermark)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"hello", b"GIF89a"]
)
def test_what_is_no_picture_is_one_error(maker: Maker, data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        maker.verify(data)


def test_limits(maker: Maker, made: dict[str, Signed]) -> None:
    with pytest.raises(ImageTooLarge):
        maker.verify(made["png"].data, limits=Limits(max_bytes=1000))
    # Pixels over the limit are not decoded; what the manifest says is told all the same.
    report = maker.verify(made["png"].data, limits=Limits(max_pixels=1000))
    assert report.manifest.state == "intact"
    assert report.watermark.state == "not_examined"
    assert "limit" in (report.watermark.reason or "")
    bare = encode_image(Image.new("RGB", (64, 64)), "png")
    with pytest.raises(ImageTooLarge):
        maker.verify(bare, limits=Limits(max_pixels=1000))


def test_decompression_bomb_is_refused_before_it_opens(maker: Maker) -> None:
    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG")
    with pytest.raises(ChopmarkError) as caught:
        maker.look(out.getvalue())
    assert caught.value.code == "image_too_large"


def test_verify_keeps_nothing(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in maker.home.rglob("*") if p.is_file())
    maker.look(encode_image(photograph(seed=27), "png"))
    after = sorted((p, p.stat().st_mtime_ns) for p in maker.home.rglob("*") if p.is_file())
    assert [one for one in before if "sqlite" not in one[0].name] == [
        one for one in after if "sqlite" not in one[0].name
    ]
