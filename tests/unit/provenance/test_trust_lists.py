"""Published trust lists: read, put in place, never back; staleness is said."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.errors import ChopmarkError, ConfigurationError, TrustListRefused
from chopmark.provenance import encode_image, load_anchors, verify
from chopmark.provenance.trust_lists import parse_trust_list, update_trust_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from tests.unit.provenance import provenance_attacks as attacks
else:
    import provenance_attacks as attacks

STATUS = "http://c2pa.org/conformance/trust-list/"
TITLE = "C2PA Trust List"


def lote(
    *services: tuple[attacks.Outsider, str],
    sequence: Any = 8,
    title: str = TITLE,
    next_update: str | None = "2999-02-24T00:00:00Z",
    begins: str = "2025-01-01T00:00:00Z",
) -> dict[str, Any]:
    """A list in C2PA's form, with one service for each signer and status."""
    head: dict[str, Any] = {
        "LoTEVersionIdentifier": 1, "LoTESequenceNumber": sequence,
        "SchemeName": [{"lang": "en", "value": title}],
        "ListIssueDateTime": "2026-11-26T00:00:00Z",
    }  # fmt: skip
    if next_update is not None:
        head["NextUpdate"] = next_update
    entities = [
        {
            "TrustedEntityInformation": {"TEName": [{"lang": "en", "value": one.organisation}]},
            "TrustedEntityServices": [
                {
                    "ServiceInformation": {
                        "ServiceDigitalIdentity": {
                            "X509Certificates": [
                                {
                                    "val": base64.b64encode(
                                        one.root.public_bytes(Encoding.DER)
                                    ).decode()
                                }
                            ]
                        },
                        "ServiceStatus": STATUS + status,
                        "StatusStartingTime": begins,
                    }
                }
            ],
        }
        for one, status in services
    ]
    return {"LoTE": {"ListAndSchemeInformation": head, "TrustedEntitiesList": entities}}


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def camera() -> attacks.Outsider:
    return attacks.Outsider(organisation="Camera maker")


@pytest.fixture(scope="module")
def signed(camera: attacks.Outsider, photograph: Callable[..., Image.Image]) -> bytes:
    return camera.sign(encode_image(photograph(64, 64, seed=80), "png"))


def test_a_published_list_is_believed(
    camera: attacks.Outsider, signed: bytes, tmp_path: Path
) -> None:
    assert verify(signed, anchors=load_anchors(tmp_path)).credential.state == "untrusted"
    path, found, old = update_trust_list(tmp_path / "anchors", _bytes(lote((camera, "trusted"))))
    assert path == tmp_path / "anchors" / "manifest" / "c2pa-trust-list.json"
    assert (found.sequence, found.certificates, old) == (8, 1, None)
    report = verify(signed, anchors=load_anchors(tmp_path))
    assert (report.credential.state, report.credential.anchor) == ("trusted", "c2pa-trust-list")
    assert report.credential.anchor_date == "2026-11-26"
    assert not report.credential.list_stale
    # It took the place of the list of that name which comes with Chopmark.
    names = [one.name for one in load_anchors(tmp_path).lists]
    assert names.count("c2pa-trust-list") == 1


@pytest.mark.parametrize("status", ["untrusted", "withdrawn"])
def test_who_is_listed_as_untrusted_is_not_believed(
    camera: attacks.Outsider, signed: bytes, tmp_path: Path, status: str
) -> None:
    other = attacks.Outsider(organisation="Another")
    listed = lote((camera, status), (other, "trusted"))
    _, found, _ = update_trust_list(tmp_path / "anchors", _bytes(listed))
    assert (found.certificates, found.left_out) == (1, 1)
    assert verify(signed, anchors=load_anchors(tmp_path)).credential.state == "untrusted"


def test_a_status_that_begins_later_does_not_count_yet(camera: attacks.Outsider) -> None:
    data = _bytes(lote((camera, "trusted"), begins="2027-01-01T00:00:00Z"))
    before = parse_trust_list(data, now=dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    after = parse_trust_list(data, now=dt.datetime(2027, 1, 2, tzinfo=dt.UTC))
    assert (before.certificates, after.certificates) == (0, 1)


def test_no_way_back(camera: attacks.Outsider, tmp_path: Path) -> None:
    folder = tmp_path / "anchors"
    update_trust_list(folder, _bytes(lote((camera, "trusted"), sequence=8)))
    with pytest.raises(TrustListRefused, match="number 7"):
        update_trust_list(folder, _bytes(lote((camera, "trusted"), sequence=7)))
    with pytest.raises(TrustListRefused, match="has none"):
        update_trust_list(folder, camera.root_pem.encode(), name="c2pa-trust-list")
    other = attacks.Outsider(organisation="Another")
    with pytest.raises(TrustListRefused, match="other certificates"):
        update_trust_list(folder, _bytes(lote((other, "trusted"), sequence=8)))
    update_trust_list(folder, _bytes(lote((camera, "trusted"), sequence=8)))
    update_trust_list(folder, _bytes(lote((camera, "trusted"), sequence=9)))
    # Taking the list away is no way back either.
    (folder / "manifest" / "c2pa-trust-list.json").unlink()
    with pytest.raises(TrustListRefused, match="number 9"):
        update_trust_list(folder, _bytes(lote((camera, "trusted"), sequence=8)))


def test_a_list_past_its_date_is_said_to_be_stale(
    camera: attacks.Outsider, signed: bytes, tmp_path: Path
) -> None:
    old = lote((camera, "trusted"), next_update="2026-01-01T00:00:00Z")
    update_trust_list(tmp_path / "anchors", _bytes(old))
    report = verify(signed, anchors=load_anchors(tmp_path))
    assert report.credential.state == "trusted"
    assert report.credential.list_stale
    assert any("should have been renewed" in note for note in report.notes)


def test_a_tsa_list_vouches_for_no_signer(
    camera: attacks.Outsider, signed: bytes, tmp_path: Path
) -> None:
    listed = lote((camera, "trusted"), title="C2PA TSA Trust List")
    path, _, _ = update_trust_list(tmp_path / "anchors", _bytes(listed))
    assert path.parent.name == "tsa"
    assert verify(signed, anchors=load_anchors(tmp_path)).credential.state == "untrusted"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no list", b"{", b"[]", b"{}", b'{"LoTE": 7}',
        b'{"LoTE": {"ListAndSchemeInformation": {"LoTESequenceNumber": "8"}}}',
        b'{"LoTE": {"ListAndSchemeInformation": {"LoTESequenceNumber": true}}}',
        b'{"LoTE": {"ListAndSchemeInformation": {"LoTESequenceNumber": 1}}}',
        b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
        b"{" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(TrustListRefused):
        update_trust_list(tmp_path, data, name="list")
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("change", ["status", "certificate", "base64", "time"])
def test_a_list_with_something_odd_in_it_is_refused(
    camera: attacks.Outsider, change: str, tmp_path: Path
) -> None:
    listed = lote((camera, "trusted"))
    service = listed["LoTE"]["TrustedEntitiesList"][0]["TrustedEntityServices"][0]
    inner = service["ServiceInformation"]
    if change == "status":
        inner["ServiceStatus"] = STATUS + "perhaps"
    elif change == "time":
        listed["LoTE"]["ListAndSchemeInformation"]["NextUpdate"] = "soon"
    else:
        bad = {"certificate": "MA==", "base64": "%%%"}[change]
        inner["ServiceDigitalIdentity"]["X509Certificates"] = [{"val": bad}]
    with pytest.raises(TrustListRefused):
        update_trust_list(tmp_path, _bytes(listed))


def test_a_name_does_not_lead_out_of_the_folder(camera: attacks.Outsider, tmp_path: Path) -> None:
    for name in ("../x", "a/b", "..", ".hidden", ""):
        with pytest.raises(TrustListRefused):
            update_trust_list(tmp_path, camera.root_pem.encode(), name=name)


def test_a_damaged_list_in_place_is_an_error_and_not_no_list(tmp_path: Path) -> None:
    (tmp_path / "anchors" / "manifest").mkdir(parents=True)
    (tmp_path / "anchors" / "manifest" / "c2pa-trust-list.json").write_text("{")
    with pytest.raises(ConfigurationError):
        load_anchors(tmp_path)


def test_on_the_command_line(
    camera: attacks.Outsider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    (tmp_path / "new.json").write_bytes(_bytes(lote((camera, "trusted"), sequence=8)))
    (tmp_path / "old.json").write_bytes(_bytes(lote((camera, "trusted"), sequence=7)))
    said = CliRunner().invoke(app, ["trust", "update", str(tmp_path / "new.json"), "--json"])
    assert json.loads(said.stdout)["sequence"] == 8
    refused = CliRunner().invoke(app, ["trust", "update", str(tmp_path / "old.json")])
    assert isinstance(refused.exception, ChopmarkError)
    assert refused.exception.code == "trust_list_refused"
    listed = CliRunner().invoke(app, ["trust", "list", "--json"]).stdout.splitlines()
    [ours] = [one for one in map(json.loads, listed) if one["name"] == "c2pa-trust-list"]
    assert (ours["sequence"], ours["stale"], ours["certificates"]) == (8, False, 1)
    pem = tmp_path / "interim.pem"
    pem.write_text(camera.root_pem)
    named = ["--name", "c2pa-interim-trust-list", "--kind", "manifest"]
    CliRunner().invoke(app, ["trust", "update", str(pem), *named], catch_exceptions=False)
    assert "c2pa-interim-trust-list" in CliRunner().invoke(app, ["trust", "list"]).stdout
