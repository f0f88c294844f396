"""Time stamps: trusted, late, and never in the way."""

from __future__ import annotations

import datetime as dt
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from chopmark.errors import ConfigurationError
from chopmark.provenance import (
    AnchorList,
    ManifestInfo,
    ManifestStore,
    TimestampAuthority,
    TimestampQueue,
    TrustAnchors,
    encode_image,
    load_credential,
    sign,
    verify,
)
from tests.support.wait import until
from tests.unit.provenance.provenance_attacks import outlived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL import Image

    from chopmark.provenance import Credential, Signed
    from tests.unit.provenance.conftest import Maker
    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_tsa import LocalAuthority
else:
    from provenance_tsa import LocalAuthority

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: no local authority"
)


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[LocalAuthority]:
    authority = LocalAuthority(tmp_path / "tsa")
    yield authority
    authority.close()


def _info() -> ManifestInfo:
    return ManifestInfo(
        output_id="a3f09c1122334451",
        record_id="a3f09c1122334450",
        model_id="tiny",
        model_version="1",
        created_at=dt.datetime.now(dt.UTC),
        generator_version="0",
    )


def _anchors(maker: Maker, tsa: LocalAuthority) -> TrustAnchors:
    own = TrustAnchors.of(maker.credential).lists
    return TrustAnchors(lists=(*own, AnchorList(name="tsa", pem=tsa.root_pem, kind="tsa")))


def test_a_stamp_while_signing(
    maker: Maker, tsa: LocalAuthority, photograph: Callable[..., Image.Image]
) -> None:
    picture = encode_image(photograph(64, 64), "png")
    authority = TimestampAuthority(tsa.url)
    signed = sign(picture, "png", _info(), maker.credential, authority=authority)
    assert signed.time_stamped
    report = verify(signed.data, anchors=_anchors(maker, tsa))
    assert report.time.state == "trusted"
    assert report.time.signed_at is not None
    assert report.time.signed_at.startswith(str(dt.datetime.now(dt.UTC).year))
    assert report.credential.own
    # An authority that we do not know is not believed, and says nothing against the picture.
    alone = verify(signed.data, anchors=TrustAnchors.of(maker.credential))
    assert (alone.time.state, alone.manifest.state) == ("untrusted", "intact")
    assert alone.credential.own


@pytest.mark.parametrize("mode", ["error", "garbage", "hang", "closed"])
def test_an_authority_that_is_down_stops_nothing(
    maker: Maker, tsa: LocalAuthority, photograph: Callable[..., Image.Image], mode: str
) -> None:
    picture = encode_image(photograph(64, 64), "png")
    tsa.mode = mode
    if mode == "closed":
        tsa.close()
    authority = TimestampAuthority(tsa.url, timeout_s=1.0)
    first = sign(picture, "png", _info(), maker.credential, authority=authority)
    second = sign(picture, "png", _info(), maker.credential, authority=authority)
    assert not first.time_stamped
    assert verify(first.data).manifest.state == "intact"
    assert not second.time_stamped
    # The second picture did not wait for what had just failed.
    assert len(tsa.asked) <= 1


def test_sign_now_and_stamp_later(
    maker: Maker, tsa: LocalAuthority, photograph: Callable[..., Image.Image], tmp_path: Path
) -> None:
    store = ManifestStore.open(tmp_path)
    queue = TimestampQueue(tmp_path, store)
    for index, fmt in enumerate(("png", "jpeg", "webp", "avif")):
        picture = encode_image(photograph(64, 64, seed=index), fmt)  # type: ignore[arg-type]
        signed = sign(picture, fmt, _info(), maker.credential)  # type: ignore[arg-type]
        store.put(manifest_id=signed.manifest_id, manifest=signed.manifest)
        queue.add(signed)
        (tmp_path / fmt).write_bytes(signed.data)
    assert queue.waiting() == 4
    for path in (tmp_path / "manifests" / "unstamped").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    authority = TimestampAuthority(tsa.url)
    tsa.mode = "error"
    down = queue.run(authority, maker.credential)
    assert (down.stamped, down.failed, down.left) == (0, 3, 4)  # and then it asks no more
    assert "HttpErrorResponse(500" in down.reason
    tsa.mode = "ok"
    # A new process finds the queue as it was.
    again = TimestampQueue(tmp_path, store)
    done = again.run(authority, maker.credential)
    assert (done.stamped, done.failed, done.left) == (4, 0, 0)
    anchors = _anchors(maker, tsa)
    for fmt in ("png", "jpeg", "webp", "avif"):
        data = (tmp_path / fmt).read_bytes()
        assert verify(data, anchors=anchors).time.state == "absent"
        report = verify(data, anchors=anchors, store=store)
        assert report.time.state == "trusted", fmt
        assert report.manifest.state == "intact"
        assert report.credential.own
        assert report.ai_signal.state == "active"
        assert report.manifest.output_id == "a3f09c1122334451"
        assert report.manifest.updates is not None
        assert report.ingredients == ()
        assert any("time stamp was added after" in note for note in report.notes)
    store.close()


def test_a_late_stamp_outlives_the_certificate(
    tsa: LocalAuthority,
    photograph: Callable[..., Image.Image],
    outsider: Callable[..., Outsider],
    tmp_path: Path,
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    store = ManifestStore.open(tmp_path)
    queue = TimestampQueue(tmp_path, store)
    plain, key, chain = encode_image(photograph(64, 64), "png"), "key.pem", "chain.pem"

    def sign_and_stamp(short: Outsider) -> tuple[Credential, Signed]:
        (tmp_path / chain).write_text(short.chain_pem)
        (tmp_path / key).touch(mode=0o600)
        (tmp_path / key).write_bytes(
            short.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        credential = load_credential(tmp_path, cert=tmp_path / chain, key=tmp_path / key)
        signed = sign(plain, "png", _info(), credential)
        store.put(manifest_id=signed.manifest_id, manifest=signed.manifest)
        queue.add(signed)
        assert queue.run(TimestampAuthority(tsa.url), credential).stamped == 1
        return credential, signed

    (credential, signed), _ = outlived(sign_and_stamp, outsider)
    lists = (
        *TrustAnchors.of(credential).lists,
        AnchorList(name="tsa", pem=tsa.root_pem, kind="tsa"),
    )
    anchors = TrustAnchors(lists=lists)
    assert verify(signed.data, anchors=anchors).credential.state == "expired"
    report = verify(signed.data, anchors=anchors, store=store)
    assert (report.credential.state, report.time.state) == ("trusted", "trusted")
    assert report.credential.own
    store.close()


@pytest.mark.parametrize("url", ["", "ftp://x", "tsa.example", "http://", "file:///etc/passwd"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError):
        TimestampAuthority(url)


def test_one_file_that_cannot_be_stamped_keeps_no_other_waiting(
    maker: Maker, tsa: LocalAuthority, photograph: Callable[..., Image.Image], tmp_path: Path
) -> None:
    store = ManifestStore.open(tmp_path)
    queue = TimestampQueue(tmp_path, store)
    broken = tmp_path / "manifests" / "unstamped" / "0"
    broken.write_bytes(b"urn:c2pa:0\nno picture")
    signed = sign(encode_image(photograph(64, 64), "png"), "png", _info(), maker.credential)
    store.put(manifest_id=signed.manifest_id, manifest=signed.manifest)
    queue.add(signed)
    done = queue.run(TimestampAuthority(tsa.url), maker.credential)
    assert (done.stamped, done.failed, done.left) == (1, 1, 1)
    assert "no picture" in done.reason
    store.close()


def test_an_authority_that_never_answers_costs_a_picture_no_more_than_it_may(
    maker: Maker, tsa: LocalAuthority, photograph: Callable[..., Image.Image]
) -> None:
    tsa.mode = "hang"
    authority = TimestampAuthority(tsa.url, timeout_s=0.3)
    picture = encode_image(photograph(64, 64), "png")
    assert not sign(picture, "png", _info(), maker.credential, authority=authority).time_stamped
    sign(picture, "png", _info(), maker.credential, authority=authority)
    until(lambda: tsa.asked)
    assert len(tsa.asked) == 1  # it is left alone for a minute
    never = TimestampAuthority(tsa.url, timeout_s=0)
    assert not sign(picture, "png", _info(), maker.credential, authority=never).time_stamped
    assert len(tsa.asked) == 1
