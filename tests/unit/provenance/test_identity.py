"""Identity assertions (CAWG) have an axis of their own, and change no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.provenance import AnchorList, TrustAnchors, encode_image, load_anchors, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from tests.unit.provenance.provenance_attacks import Outsider


@pytest.fixture
def person(outsider: Callable[..., Outsider]) -> Outsider:
    return outsider(organisation="Jane Doe Photography", name="Jane Doe")


@pytest.fixture
def camera(outsider: Callable[..., Outsider]) -> Outsider:
    return outsider(organisation="Camera maker", name="Camera 1")


@pytest.fixture
def data(camera: Outsider, person: Outsider, photograph: Callable[..., Image.Image]) -> bytes:
    return camera.sign_with_identity(encode_image(photograph(64, 64), "jpeg"), person)


def _trusting(camera: Outsider, *more: AnchorList) -> TrustAnchors:
    return TrustAnchors(
        lists=(AnchorList(name="cameras", pem=camera.root_pem, kind="manifest"), *more)
    )


def test_an_identity_that_nobody_here_knows(data: bytes, camera: Outsider) -> None:
    report = verify(data, anchors=_trusting(camera))
    assert report.identity.state == "untrusted"
    assert (report.identity.name, report.identity.issuer) == ("Jane Doe", "Jane Doe Photography")
    assert report.identity.kind == "cawg.x509.cose"
    assert report.identity.problems == ("cawg.x509.credential.untrusted",)
    # An unknown person makes neither the file broken nor the camera unknown.
    assert report.manifest.state == "intact"
    assert (report.credential.state, report.credential.anchor) == ("trusted", "cameras")
    assert report.verdict == "authentic_other"


def test_an_identity_that_a_list_vouches_for(
    data: bytes, camera: Outsider, person: Outsider
) -> None:
    known = AnchorList(name="people", pem=person.root_pem, kind="identity")
    report = verify(data, anchors=_trusting(camera, known))
    assert report.identity.state == "trusted"
    assert report.identity.problems == ()
    assert (report.credential.state, report.credential.anchor) == ("trusted", "cameras")


@pytest.mark.parametrize("kind", ["manifest", "tsa"])
def test_other_lists_vouch_for_no_identity(
    data: bytes, camera: Outsider, person: Outsider, kind: str
) -> None:
    other = AnchorList(name="others", pem=person.root_pem, kind=kind)  # type: ignore[arg-type]
    assert verify(data, anchors=_trusting(camera, other)).identity.state == "untrusted"


def test_a_list_of_identities_vouches_for_no_signer(data: bytes, camera: Outsider) -> None:
    anchors = TrustAnchors(lists=(AnchorList(name="x", pem=camera.root_pem, kind="identity"),))
    report = verify(data, anchors=anchors)
    assert report.credential.state == "untrusted"
    assert report.verdict == "no_signal"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"signer_payload": 1, "signature": "x"},
        {
            "signer_payload": {"sig_type": "cawg.x509.cose", "referenced_assertions": []},
            "signature": [1, 2, 3],
            "pad1": [0],
        },
        {
            "signer_payload": {
                "sig_type": "cawg.x509.cose",
                "referenced_assertions": [
                    {"url": "self#jumbf=c2pa.assertions/c2pa.hash.data", "hash": [1, 2]}
                ],
            },
            "signature": [1, 2, 3],
            "pad1": [0],
        },
    ],
)
def test_an_identity_that_is_nonsense_is_broken_and_nothing_else_is(
    camera: Outsider, photograph: Callable[..., Image.Image], nonsense: dict[str, Any]
) -> None:
    forged = camera.sign(
        encode_image(photograph(64, 64), "jpeg"),
        assertions=({"label": "cawg.identity", "data": nonsense},),
    )
    report = verify(forged, anchors=_trusting(camera))
    assert report.identity.state == "broken"
    assert report.manifest.state == "intact"
    assert report.verdict == "authentic_other"


def test_most_pictures_have_none(camera: Outsider, photograph: Callable[..., Image.Image]) -> None:
    report = verify(camera.sign(encode_image(photograph(64, 64), "jpeg")))
    assert report.identity.state == "absent"


def test_a_public_detector_names_no_person(data: bytes, camera: Outsider) -> None:
    public = verify(data, anchors=_trusting(camera), public=True)
    assert public.identity.state == "untrusted"
    assert "Jane" not in json.dumps(public.to_dict())


def test_the_lists_come_from_a_folder(tmp_path: Path, data: bytes, person: Outsider) -> None:
    (tmp_path / "anchors" / "identity").mkdir(parents=True)
    (tmp_path / "anchors" / "identity" / "people.pem").write_text(person.root_pem)
    assert verify(data, anchors=load_anchors(tmp_path)).identity.state == "trusted"
