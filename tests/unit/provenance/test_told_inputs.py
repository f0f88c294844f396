"""A tampered input is told, whichever way it was recorded and whoever named it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.provenance import TrustAnchors, verify
from chopmark.provenance._ancestors import broken_ancestors
from chopmark.provenance._ingredients import walk
from tests.support.picture_files import encoded
from tests.support.public_files import PUBLIC_FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.provenance.report import Ingredient
    from tests.unit.provenance import provenance_attacks as attacks
else:
    import provenance_attacks as attacks

OLD_ID = "contentauth:urn:uuid:00000000-0000-0000-0000-000000000001"
NEW_ID = "urn:c2pa:00000000-0000-0000-0000-000000000002"
INNER: dict[str, Any] = {"claim_generator": "tool", "signature_info": {"issuer": "Press"}}


def _inputs(
    *entries: dict[str, Any], deltas: tuple[dict[str, Any], ...] = (), limit: int = 64
) -> tuple[Ingredient, ...]:
    manifests = {OLD_ID: INNER, NEW_ID: INNER}
    results = {"ingredientDeltas": [{"validationDeltas": delta} for delta in deltas]}
    return walk(manifests, {"ingredients": list(entries)}, results, limit).reported


@pytest.mark.parametrize("name", [OLD_ID, NEW_ID])
@pytest.mark.parametrize(
    "code",
    ["claimSignature.mismatch", "assertion.dataHash.mismatch", "assertion.hashedURI.mismatch",
     "assertion.bmffHash.mismatch", "ingredient.manifest.mismatch", "general.error",
     "something.new"],
)  # fmt: skip
def test_recorded_in_the_older_form(name: str, code: str) -> None:
    [one] = _inputs({"active_manifest": name, "validation_status": [{"code": code}]})
    assert one.manifest == "broken"
    assert code in one.problems


@pytest.mark.parametrize(
    "code",
    ["claimSignature.validated", "assertion.dataHash.match", "timeStamp.trusted",
     "assertion.accessible", "signingCredential.ocsp.skipped"],
)  # fmt: skip
def test_what_the_older_form_says_in_favour_is_no_problem(code: str) -> None:
    [one] = _inputs({"active_manifest": NEW_ID, "validation_status": [{"code": code}]})
    assert (one.manifest, one.problems) == ("intact", ())


def test_nobody_is_trusted_because_the_older_form_says_so() -> None:
    status = [{"code": "signingCredential.trusted", "success": True}]
    [one] = _inputs({"active_manifest": NEW_ID, "validation_status": status})
    assert one.credential == "untrusted"


@pytest.mark.parametrize("name", [OLD_ID, NEW_ID])
def test_found_now(name: str) -> None:
    failure = {"code": "assertion.hashedURI.mismatch", "url": f"self#jumbf=/c2pa/{name}/c2pa.claim"}
    [one] = _inputs({"active_manifest": name}, deltas=({"failure": [failure]},))
    assert one.manifest == "broken"


def test_each_of_several_inputs_of_one_manifest_is_told() -> None:
    """The same manifest came in twice, once with pixels that did not fit it."""
    bad = {
        "active_manifest": OLD_ID,
        "validation_status": [{"code": "assertion.dataHash.mismatch"}],
    }
    found = _inputs({"active_manifest": OLD_ID}, bad)
    assert [one.manifest for one in found] == ["intact", "broken"]


def test_a_tampered_input_behind_many_is_told() -> None:
    good: dict[str, Any] = {"active_manifest": NEW_ID}
    bad = {"active_manifest": OLD_ID, "validation_status": [{"code": "claimSignature.mismatch"}]}
    found = _inputs(*[good] * 200, bad, limit=8)
    assert [one.manifest for one in found] == ["intact"] * 8 + ["broken"]


def test_inputs_have_signer_and_maker() -> None:
    [one] = _inputs({"active_manifest": NEW_ID})
    assert (one.signer, one.made_with) == ("Press", "tool")


@pytest.mark.skipif(not PUBLIC_FILES.is_dir(), reason="the public C2PA files are not here")
@pytest.mark.parametrize(
    ("name", "manifest", "inputs"),
    [
        ("public_adobe-20220124-CIE-sig-CA.jpg", "intact", ["broken", "absent"]),
        ("public_adobe-20220124-E-uri-CIE-sig-CA.jpg", "intact", ["broken", "absent"]),
        ("c2pa-rs_CACAE-uri-CA.jpg", "intact", ["intact", "broken", "absent"]),
        ("public_adobe-20220124-E-clm-CAICAI.jpg", "broken", ["absent", "broken"]),
        ("public_adobe-20220124-CACAICAICICA.jpg", "intact",
         ["intact", "intact", "absent", "intact", "intact", "absent"]),
        ("public_adobe-20220124-XCA.jpg", "broken", ["absent"]),
    ],
)  # fmt: skip
def test_public_files(name: str, manifest: str, inputs: list[str]) -> None:
    report = verify((PUBLIC_FILES / name).read_bytes(), anchors=TrustAnchors())
    assert report.manifest.state == manifest
    assert [one.manifest for one in report.ingredients] == inputs
    if manifest == "intact" and "broken" in inputs:
        assert "does not fit the manifest that came with it" in report.summary
        assert not report.holds


@pytest.mark.parametrize(
    ("place", "change", "codes"),
    [
        ("nowhere", b"", []),
        ("an assertion", b"digitalCapture", ["assertion.hashedURI.mismatch"]),
        ("the claim", b"Somebody else", ["claimSignature.mismatch"]),
        ("the signature", b"c2pa.signature\0", ["claimSignature.mismatch"]),
    ],
)
def test_a_break_two_manifests_back_is_told(
    place: str, change: bytes, codes: list[str], make_picture: Callable[..., Image.Image]
) -> None:
    """The native library does not look there; its signatures were made by it all the same."""
    stranger = attacks.Outsider()
    first, second, third = (encoded(make_picture(64, 48, seed=seed), "JPEG") for seed in range(3))
    data = stranger.sign(second, parent=stranger.sign(first))
    if change:
        # The oldest manifest stands first in the store.
        at = data.index(change, data.index(b"jumb"))
        if place == "the signature":
            at = data.index(b"jumb", at) - 14  # its last bytes, before the next box's length
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    # Whoever signs onward records the break or does not: it is found either way.
    report = verify(stranger.sign(third, parent=data), anchors=TrustAnchors())
    assert report.manifest.state == "intact"
    parent, grandparent = report.ingredients
    assert grandparent.depth == 2
    assert set(codes) <= set(grandparent.problems)
    assert grandparent.manifest == ("broken" if change else "intact")
    assert ("not fit the manifest" in report.summary) == bool(change)
    assert parent.manifest == "intact" or change


def test_no_hostile_store_is_more_than_unknown() -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    def named(label: str, *inner: bytes) -> bytes:
        head = box(b"jumd", bytes(16) + b"\3" + label.encode() + b"\0")
        return box(b"jumb", head + b"".join(inner))

    for claim in (
        b"", b"\xff", b"\x81" * 9_000, b"\xa1\x6aassertions\x81\xa1\x63url\x01", b"\x80",
        b"\xa1\x6aassertions\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ):  # fmt: skip
        old = named("urn:a", named("c2pa.claim", box(b"cbor", claim)))
        store = named("c2pa", old, named("urn:b"))
        assert broken_ancestors(store) in ({}, {"urn:a": ["assertion.missing"]})
    assert broken_ancestors(b"") == broken_ancestors(b"jumb" * 40) == {}


def test_a_key_of_an_unknown_kind_further_back_ends_nothing(
    make_picture: Callable[..., Image.Image],
) -> None:
    stranger = attacks.Outsider()
    first, second = (encoded(make_picture(64, 48, seed=seed), "JPEG") for seed in range(2))
    data = stranger.sign(second, parent=stranger.sign(first))
    elliptic = bytes.fromhex("2a8648ce3d0201")
    assert data.count(elliptic) > 1
    odd = data.replace(elliptic, elliptic[:-1] + b"\x7f")
    assert not verify(odd, anchors=TrustAnchors()).holds
