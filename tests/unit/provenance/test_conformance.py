"""crJSON for the conformance programme; the certificates within a signature; assurance levels."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.errors import ManifestNotFound
from chopmark.provenance import TrustAnchors, encode_image, verify
from chopmark.provenance._leaf import assurance_level
from chopmark.provenance.conformance import crjson
from chopmark.provenance.trust_lists import parse_trust_list
from tests.support.crjson_shape import problems
from tests.support.public_files import PUBLIC_FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from tests.unit.provenance import provenance_attacks as attacks
else:
    import provenance_attacks as attacks


def _codes(found: dict[str, Any], kind: str) -> set[str]:
    return {one["code"] for one in found["manifests"][0]["validationResults"][kind]}


@pytest.fixture(scope="module")
def signer() -> attacks.Outsider:
    return attacks.Outsider(organisation="Maker")


@pytest.fixture(scope="module")
def signed(signer: attacks.Outsider, photograph: Callable[..., Image.Image]) -> bytes:
    return signer.sign(encode_image(photograph(64, 64, seed=81), "png"))


def test_only_the_lists_that_are_given_count(signer: attacks.Outsider, signed: bytes) -> None:
    assert "signingCredential.untrusted" in _codes(crjson(signed), "failure")
    trust = parse_trust_list(signer.root_pem.encode())
    found = crjson(signed, trust=trust)
    assert "signingCredential.trusted" in _codes(found, "success")
    as_tsa = crjson(signed, tsa=trust)
    assert as_tsa["manifests"][0]["label"] == found["manifests"][0]["label"]


@pytest.mark.parametrize(("days", "valid"), [(0, True), (-800, False), (800, False)])
def test_the_time_that_is_given_counts(
    signer: attacks.Outsider, signed: bytes, days: int, valid: bool
) -> None:
    trust = parse_trust_list(signer.root_pem.encode())
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    found = crjson(signed, trust=trust, time=moment)
    told = found["manifests"][0]["validationResults"]["validationTime"]
    assert told == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ("signingCredential.expired" not in _codes(found, "failure")) is valid
    assert ("signingCredential.trusted" in _codes(found, "success")) is valid


def test_it_fits_the_schema(
    signer: attacks.Outsider, signed: bytes, photograph: Callable[..., Image.Image]
) -> None:
    again = signer.sign(encode_image(photograph(64, 64, seed=84), "jpeg"), parent=signed)
    for data in (signed, again):
        assert problems(crjson(data)) == []
    found = crjson(again)
    assert len(found["manifests"]) == 2
    assert found["manifests"][0]["claim.v2"]["redacted_assertions"] == []
    found["manifests"][0]["isUpdateManifest"] = False
    del found["manifests"][1]["signature"]["algorithm"]
    assert len(problems(found)) == 2


@pytest.mark.skipif(not PUBLIC_FILES.is_dir(), reason="no public test files here")
def test_public_files_fit_the_schema() -> None:
    fitting = 0
    for file in sorted(PUBLIC_FILES.glob("*.*")):
        try:
            found = crjson(file.read_bytes())
        except ManifestNotFound:
            continue
        assert problems(found) == [], file.name
        fitting += 1
    assert fitting >= 20


def test_a_file_without_a_manifest_has_none(photograph: Callable[..., Image.Image]) -> None:
    with pytest.raises(ManifestNotFound):
        crjson(encode_image(photograph(64, 64, seed=82), "jpeg"))
    with pytest.raises(ManifestNotFound):
        crjson(b"nothing at all")


def test_on_the_command_line(signer: attacks.Outsider, signed: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(signed)
    (tmp_path / "list.pem").write_text(signer.root_pem)
    moment = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    arguments = ["--trust", str(tmp_path / "list.pem"), "--tsa", str(tmp_path / "list.pem")]
    said = CliRunner().invoke(
        app, ["conformance", "crjson", str(tmp_path / "a.png"), *arguments, "--time", moment]
    )
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert found["manifests"][0]["validationResults"]["validationTime"] == moment


@pytest.mark.parametrize(
    ("last", "level"),
    [(10, 1), (20, 2), (30, None)],
)
def test_the_assurance_level_is_read(
    photograph: Callable[..., Image.Image], last: int, level: int | None
) -> None:
    # 1.3.6.1.4.1.62558.3.N as DER: 2b 06 01 04 01, then 62558 in base 128, 3 and N.
    value = bytes.fromhex("060a2b0601040183e85e03") + bytes([last])
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.62558.3"), value)
    signer = attacks.Outsider(leaf_changes=lambda values, _key: values.update(names=extension))
    data = signer.sign(encode_image(photograph(64, 64, seed=83), "png"))
    report = verify(data, anchors=TrustAnchors())
    assert report.credential.assurance_level == level
    assert report.manifest.state == "intact"


def test_a_certificate_of_no_known_version_is_none(signed: bytes) -> None:
    # Found by mutated files. [0] EXPLICIT INTEGER 2 is version 3 (RFC 5280, 4.1.2.1).
    changed = signed.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"))
    assert changed != signed
    assert verify(changed, anchors=TrustAnchors()).manifest.state in {"broken", "malformed"}


@pytest.mark.parametrize("leaf", [None, "", "AAAA", "no base64 at all"])
def test_what_is_no_certificate_has_no_level(leaf: str | None) -> None:
    assert assurance_level(leaf) is None
