"""Keys that are elsewhere: a SoftHSM token, a signing service; and rotation while running."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chopmark.errors import ConfigurationError, CredentialRefused, SigningFailed
from chopmark.provenance import (
    CredentialRotationWarning,
    CredentialSource,
    DevelopmentCredentialWarning,
    ManifestInfo,
    Pkcs11Signer,
    RemoteSigner,
    encode_image,
    load_anchors,
    load_credential,
    rotate_credential,
    sign,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_signer import Service
else:
    from provenance_signer import Service

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


def _info() -> ManifestInfo:
    return ManifestInfo(
        output_id="a3f09c1122334451",
        record_id="a3f09c1122334450",
        model_id="tiny",
        model_version="1",
        created_at=dt.datetime.now(dt.UTC),
        generator_version="0",
    )


def _pkcs8(key: Any) -> bytes:
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data


@pytest.fixture
def party(outsider: Callable[..., Outsider]) -> Outsider:
    return outsider()


@pytest.fixture
def service(party: Outsider) -> Iterator[Service]:
    made = Service(party.key)
    yield made
    made.close()


@pytest.fixture
def chain(party: Outsider, tmp_path: Path) -> Path:
    path = tmp_path / "chain.pem"
    path.write_text(party.chain_pem)
    return path


def test_a_service_signs(
    service: Service, chain: Path, tmp_path: Path, photograph: Callable[..., Image.Image]
) -> None:
    signer = RemoteSigner(service.where, alg="es256", token=lambda: "secret")
    credential = load_credential(tmp_path, cert=chain, signer=signer)
    signed = sign(encode_image(photograph(64, 64), "png"), "png", _info(), credential)
    report = verify(signed.data, anchors=load_anchors(tmp_path))
    assert (report.manifest.state, report.credential.own) == ("intact", True)
    assert service.callers[-1] == ("/sign?alg=es256", "Bearer secret")


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"x"), (302, b"x"), (200, b"x" * 5000), (403, b"no")]
)
def test_a_service_that_answers_nonsense(
    service: Service,
    chain: Path,
    tmp_path: Path,
    photograph: Callable[..., Image.Image],
    status: int,
    body: bytes,
) -> None:
    signer = RemoteSigner(service.where, alg="es256")
    credential = load_credential(tmp_path, cert=chain, signer=signer)
    service.status, service.body = status, body
    with pytest.raises(SigningFailed, match=str(status)):
        sign(encode_image(photograph(64, 64), "png"), "png", _info(), credential)


def test_a_service_that_hangs_or_is_gone(
    service: Service, chain: Path, tmp_path: Path, photograph: Callable[..., Image.Image]
) -> None:
    signer = RemoteSigner(service.where, alg="es256", timeout_s=2.0)
    credential = load_credential(tmp_path, cert=chain, signer=signer)
    service.hangs = True
    with pytest.raises(SigningFailed, match="does not answer"):
        sign(encode_image(photograph(64, 64), "png"), "png", _info(), credential)
    service.close()
    with pytest.raises(SigningFailed, match="does not answer"):
        signer.sign(b"x")


@pytest.mark.parametrize(
    "url", ["http://signer.example/", "ftp://127.0.0.1/", "", "http://10.0.0.1/", "https:///x"]
)
def test_a_service_without_tls_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RemoteSigner(url, alg="es256")


def test_a_service_with_another_key_is_refused(
    service: Service, outsider: Callable[..., Outsider], tmp_path: Path
) -> None:
    path = tmp_path / "other.pem"
    path.write_text(outsider().chain_pem)
    with pytest.raises(CredentialRefused, match="does not belong"):
        load_credential(tmp_path, cert=path, signer=RemoteSigner(service.where, alg="es256"))


@pytest.fixture
def token(party: Outsider, softhsm: Callable[[Any], Path]) -> Path:
    """A fresh token that holds the party's key."""
    return softhsm(party.key)


def test_a_token_signs_from_several_threads(
    token: None, chain: Path, tmp_path: Path, photograph: Callable[..., Image.Image]
) -> None:
    # In a process of its own: the module keeps the configuration that it first saw.
    code = """
import concurrent.futures, datetime, io, pathlib, sys
from chopmark.errors import SigningFailed
from chopmark.provenance import *
home, chain = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
pins = []
def pin():
    pins.append(1)
    return "1234"
signer = Pkcs11Signer(pathlib.Path(sys.argv[3]), token="chop", key="signer", pin=pin, alg="es256")
credential = load_credential(home, cert=chain, signer=signer)
info = ManifestInfo(output_id="a3f09c1122334451", record_id="a3f09c1122334450", model_id="tiny",
    model_version="1", created_at=datetime.datetime.now(datetime.UTC), generator_version="0")
data = pathlib.Path(sys.argv[4]).read_bytes()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    signed = list(pool.map(lambda _: sign(data, "png", info, credential), range(12)))
print({(r.manifest.state, r.credential.own) for r in
       (verify(s.data, anchors=load_anchors(home)) for s in signed)}, len(pins))
signer.close()
print(len(sign(data, "png", info, credential).data) > 0, len(pins))
for wrong in ({"token": "none"}, {"key": "none"}, {"pin": lambda: "0000"}):
    options = {"token": "chop", "key": "signer", "pin": pin, "alg": "es256"} | wrong
    try:
        Pkcs11Signer(pathlib.Path(sys.argv[3]), **options).sign(b"x")
    except SigningFailed as error:
        print("refused", error.code)
"""
    (tmp_path / "picture.png").write_bytes(encode_image(photograph(64, 64), "png"))
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(chain), str(SOFTHSM),
         str(tmp_path / "picture.png")],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == [
        "{('intact', True)} 1",
        "True 2",
        "refused signing_failed",
        "refused signing_failed",
        "refused signing_failed",
    ]


def test_a_token_library_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11")
    signer = Pkcs11Signer(tmp_path / "none.so", token="a", key="b", pin=lambda: "1", alg="es256")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        signer.sign(b"x")


def test_rotation_while_running(tmp_path: Path, outsider: Callable[..., Outsider]) -> None:
    cert, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(party: Outsider) -> None:
        cert.write_text(party.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(_pkcs8(party.key))

    first, second = outsider(), outsider()
    put(first)
    source = CredentialSource(tmp_path, cert=cert, key=key)
    old = source.current()
    assert source.current() is old
    put(second)
    new = source.current()
    assert new.fingerprint != old.fingerprint
    # A rotation half done (new certificate, old key) leaves the one that works in use, and says so.
    cert.write_text(first.chain_pem)
    with pytest.warns(CredentialRotationWarning, match="does not belong"):
        assert source.current() is new
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert source.current() is new
    key.write_bytes(_pkcs8(first.key))
    assert source.current().fingerprint == old.fingerprint


def test_rotating_the_development_credential(
    tmp_path: Path, photograph: Callable[..., Image.Image]
) -> None:
    with pytest.warns(DevelopmentCredentialWarning):
        old = load_credential(tmp_path)
    source, anchors = CredentialSource(tmp_path), load_anchors(tmp_path)
    assert source.current().fingerprint == old.fingerprint
    picture = encode_image(photograph(64, 64), "png")
    before = sign(picture, "png", _info(), old)
    new = rotate_credential(tmp_path)
    assert new.own_anchor != old.own_anchor
    assert source.current().fingerprint == new.fingerprint
    after = sign(picture, "png", _info(), new)
    for signed in (before, after):
        assert verify(signed.data, anchors=anchors).credential.own
    assert new.describe()["development"] is True


def test_threads_ask_the_source_at_once(tmp_path: Path) -> None:
    source = CredentialSource(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: source.current().fingerprint, range(8)))
    assert len(set(found)) == 1
