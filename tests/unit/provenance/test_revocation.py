"""Whether a certificate was revoked: read from what is kept, asked of nobody."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest

from chopmark.provenance import (
    AnchorList,
    Credential,
    ManifestInfo,
    ManifestStore,
    Report,
    Signed,
    TimestampAuthority,
    TimestampQueue,
    TrustAnchors,
    encode_image,
    load_credential,
    sign,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL import Image

    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_ocsp import Responder
    from tests.unit.provenance.provenance_tsa import LocalAuthority
else:
    from provenance_ocsp import Responder
    from provenance_tsa import LocalAuthority

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: no local authority"
)


@pytest.fixture
def responder() -> Iterator[Responder]:
    made = Responder()
    yield made
    made.close()


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[LocalAuthority]:
    authority = LocalAuthority(tmp_path / "tsa")
    yield authority
    authority.close()


@pytest.fixture
def party(responder: Responder, outsider: Callable[..., Outsider]) -> Outsider:
    made = outsider(organisation="Our company", leaf_changes=responder.names_itself)
    responder.answers_for(made)
    return made


@pytest.fixture
def credential(party: Outsider, tmp_path: Path) -> Credential:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_text(party.chain_pem)
    key.touch(0o600)
    key.write_text(party.key_pem)
    return load_credential(tmp_path, cert=chain, key=key)


@pytest.fixture
def signed(credential: Credential, photograph: Callable[..., Image.Image]) -> Signed:
    info = ManifestInfo(
        output_id="a3f09c1122334451",
        record_id="a3f09c1122334450",
        model_id="tiny",
        model_version="1",
        created_at=dt.datetime.now(dt.UTC),
        generator_version="0",
    )
    return sign(encode_image(photograph(64, 64), "png"), "png", info, credential)


def _stamped(
    tmp_path: Path, signed: Signed, credential: Credential, party: Outsider, tsa: LocalAuthority
) -> Report:
    """Stamp it from the queue, then verify as somebody who lists the party's CA."""
    store = ManifestStore.open(tmp_path)
    store.put(manifest_id=signed.manifest_id, manifest=signed.manifest)
    queue = TimestampQueue(tmp_path, store)
    queue.add(signed)
    done = queue.run(TimestampAuthority(tsa.url), credential)
    assert (done.stamped, done.reason) == (1, "")
    anchors = TrustAnchors(
        lists=(
            AnchorList(name="list", pem=party.root_pem, kind="manifest"),
            AnchorList(name="tsa", pem=tsa.root_pem, kind="tsa"),
        )
    )
    report = verify(signed.data, anchors=anchors, store=store)
    store.close()
    return report


def test_a_good_certificate(
    tmp_path: Path,
    signed: Signed,
    credential: Credential,
    party: Outsider,
    responder: Responder,
    tsa: LocalAuthority,
) -> None:
    report = _stamped(tmp_path, signed, credential, party, tsa)
    assert responder.asked
    assert (report.credential.state, report.credential.revocation) == ("trusted", "good")
    assert report.time.state == "trusted"


def test_a_revoked_certificate(
    tmp_path: Path,
    signed: Signed,
    credential: Credential,
    party: Outsider,
    responder: Responder,
    tsa: LocalAuthority,
) -> None:
    responder.revoked = True
    report = _stamped(tmp_path, signed, credential, party, tsa)
    assert (report.credential.state, report.credential.revocation) == ("revoked", "revoked")
    # The picture is not tampered with because its signer was revoked.
    assert report.manifest.state == "intact"
    assert report.verdict == "made_by_ai_elsewhere"
    assert "was revoked" in report.summary
    assert not report.credential.own


def test_a_revoked_certificate_under_an_update_by_its_successor(
    tmp_path: Path,
    signed: Signed,
    party: Outsider,
    responder: Responder,
    tsa: LocalAuthority,
    outsider: Callable[..., Outsider],
) -> None:
    """What a newer, good credential stapled on does not hide who signed the picture."""
    responder.revoked = True
    newer = party.another("renewed")
    newer.leaf, newer.key = party.issue("renewed", responder.names_itself)
    chain, key = tmp_path / "newer.pem", tmp_path / "newer.key"
    chain.write_text(newer.chain_pem)
    key.touch(0o600)
    key.write_text(newer.key_pem)
    report = _stamped(tmp_path, signed, load_credential(tmp_path, cert=chain, key=key), party, tsa)
    assert report.credential.state == "revoked"
    assert not report.credential.own


def test_nobody_is_asked_while_reading(
    signed: Signed, party: Outsider, responder: Responder
) -> None:
    anchors = TrustAnchors(lists=(AnchorList(name="list", pem=party.root_pem, kind="manifest"),))
    report = verify(signed.data, anchors=anchors)
    assert (report.credential.state, report.credential.revocation) == ("trusted", "unknown")
    assert not responder.asked


def test_a_responder_that_is_gone_stops_no_time_stamp(
    tmp_path: Path,
    signed: Signed,
    credential: Credential,
    party: Outsider,
    responder: Responder,
    tsa: LocalAuthority,
) -> None:
    responder.close()
    report = _stamped(tmp_path, signed, credential, party, tsa)
    assert report.time.state == "trusted"
    assert report.credential.revocation == "unknown"
