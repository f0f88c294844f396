"""A tampered input is told, whichever way it was recorded and whoever named it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.provenance import TrustAnchors, verify
from chopmark.provenance._ingredients import walk
from tests.support.public_files import PUBLIC_FILES

if TYPE_CHECKING:
    from chopmark.provenance.report import Ingredient

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
