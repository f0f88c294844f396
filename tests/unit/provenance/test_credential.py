"""What a verifier would refuse is refused before the first picture, in words."""

from __future__ import annotations

import datetime as dt
import stat
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from chopmark.errors import ConfigurationError, CredentialRefused
from chopmark.provenance import (
    Credential,
    DevelopmentCredentialWarning,
    encode_image,
    load_anchors,
    load_credential,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from tests.unit.provenance.provenance_attacks import Outsider


def _write(folder: Path, chain: str, key: Any, *, encrypt: bool = False) -> tuple[Path, Path]:
    cert, key_file = folder / "chain.pem", folder / "key.pem"
    cert.write_text(chain)
    scheme = BestAvailableEncryption(b"x") if encrypt else NoEncryption()
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme))
    return cert, key_file


def test_development_ca_is_made_once_private_and_said_loudly(tmp_path: Path) -> None:
    with pytest.warns(DevelopmentCredentialWarning, match="CHOPMARK_SIGNING_CERT"):
        first = load_credential(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = load_credential(tmp_path)
    assert first.chain_pem == second.chain_pem
    assert first.is_development
    files = [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert not (tmp_path / "keys" / "root.key").exists()


def test_processes_that_start_at_once_share_one_authority(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, warnings; warnings.simplefilter('ignore');"
        "from chopmark.provenance import load_credential;"
        "print(load_credential(pathlib.Path(sys.argv[1])).fingerprint)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    fingerprints = {process.communicate(timeout=60)[0] for process in running}
    assert len(fingerprints) == 1
    chain = x509.load_pem_x509_certificates((tmp_path / "keys" / "signer.pem").read_bytes())
    root = x509.load_pem_x509_certificate((tmp_path / "keys" / "root.pem").read_bytes())
    chain[1].verify_directly_issued_by(root)


@pytest.mark.parametrize("kind", ["es256", "ed25519"])
def test_development_leaf_is_one_that_c2pa_accepts(tmp_path: Path, kind: Any) -> None:
    with pytest.warns(DevelopmentCredentialWarning):
        credential = load_credential(tmp_path, kind=kind)
    assert credential.alg == kind
    credential.check()
    leaf = credential.leaf
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= dt.timedelta(days=366)
    assert "key_pem" not in repr(credential)
    assert "PRIVATE" not in repr(credential)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    with pytest.warns(DevelopmentCredentialWarning):
        load_credential(tmp_path)
    (tmp_path / "keys" / "signer.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read"):
        load_credential(tmp_path)


def test_the_leaf_is_renewed_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark.provenance import _devca

    monkeypatch.setattr(_devca, "_LEAF_DAYS", 13)
    with pytest.warns(DevelopmentCredentialWarning):
        old = load_credential(tmp_path)
    monkeypatch.undo()
    new = load_credential(tmp_path)
    assert new.fingerprint != load_credential(tmp_path).fingerprint or new.leaf != old.leaf
    assert new.own_anchor == old.own_anchor
    assert new.leaf.not_valid_after_utc > old.leaf.not_valid_after_utc


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_half_a_credential(tmp_path: Path, missing: str) -> None:
    cert = None if missing == "cert" else tmp_path / "a"
    key = None if missing == "key" else tmp_path / "b"
    with pytest.raises(CredentialRefused, match="without a"):
        load_credential(tmp_path, cert=cert, key=key)


def _uses(*uses: ObjectIdentifier) -> Callable[[dict[str, Any], Any], None]:
    def change(values: dict[str, Any], _: Any) -> None:
        values["eku"] = x509.ExtendedKeyUsage(list(uses))

    return change


def _drop(name: str) -> Callable[[dict[str, Any], Any], None]:
    def change(values: dict[str, Any], _: Any) -> None:
        values[name] = None

    return change


def _times(start: float, end: float) -> Callable[[dict[str, Any], Any], None]:
    def change(values: dict[str, Any], _: Any) -> None:
        now = dt.datetime.now(dt.UTC)
        values["start"] = now + dt.timedelta(days=start)
        values["end"] = now + dt.timedelta(days=end)

    return change


EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
REFUSED = {
    "no EKU": (_drop("eku"), "ExtendedKeyUsage"),
    "no KU": (_drop("usage"), "KeyUsage"),
    "no AKI": (_drop("aki"), "AuthorityKeyIdentifier"),
    "any EKU": (_uses(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, EMAIL), "anyExtendedKeyUsage"),
    "code signing": (_uses(ExtendedKeyUsageOID.CODE_SIGNING), "none that may sign"),
    "server": (_uses(ExtendedKeyUsageOID.SERVER_AUTH), "none that may sign"),
    "time stamping too": (_uses(EMAIL, ExtendedKeyUsageOID.TIME_STAMPING), "mixes timeStamping"),
    "expired": (_times(-10, -1), "expired"),
    "not yet": (_times(1, 10), "not valid before"),
}
ACCEPTED = {
    "no SKI": _drop("ski"),
    "no BasicConstraints": _drop("basic"),
    "document signing": _uses(ObjectIdentifier("1.3.6.1.5.5.7.3.36")),
    "claim signing": _uses(ObjectIdentifier("1.3.6.1.4.1.62558.2.1")),
    "code signing too": _uses(EMAIL, ExtendedKeyUsageOID.CODE_SIGNING),
}


@pytest.mark.parametrize("name", REFUSED)
def test_certificates_that_c2pa_refuses_are_refused_here(
    tmp_path: Path, outsider: Callable[..., Outsider], name: str
) -> None:
    change, words = REFUSED[name]
    them = outsider(leaf_changes=change)
    cert, key = _write(tmp_path, them.chain_pem, them.key)
    with pytest.raises(CredentialRefused, match=words) as caught:
        load_credential(tmp_path, cert=cert, key=key)
    assert caught.value.message


@pytest.mark.parametrize("name", ACCEPTED)
def test_certificates_that_we_accept_do_sign_and_read_back(
    tmp_path: Path,
    outsider: Callable[..., Outsider],
    photograph: Callable[..., Image.Image],
    name: str,
) -> None:
    from chopmark.provenance import ManifestInfo, sign

    them = outsider(leaf_changes=ACCEPTED[name])
    cert, key = _write(tmp_path, them.chain_pem, them.key)
    credential = load_credential(tmp_path, cert=cert, key=key)
    info = ManifestInfo(
        output_id="a3f09c1122334451", record_id="a3f09c1122334450", model_id="m",
        model_version="1", created_at=dt.datetime.now(dt.UTC), generator_version="0",
    )  # fmt: skip
    signed = sign(encode_image(photograph(64, 64), "png"), "png", info, credential)
    report = verify(signed.data, anchors=load_anchors(tmp_path))
    assert (report.manifest.state, report.credential.state) == ("intact", "trusted")
    assert report.credential.own


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("reversed", "is a CA|out of order"),
        ("leaf only", "signing certificate only"),
        ("root as leaf", "self-signed"),
        ("stranger's issuer", "out of order|did not sign"),
        ("not PEM", "no PEM certificate"),
        ("wrong key", "does not belong"),
        ("encrypted key", "encrypted"),
    ],
)
def test_chains_and_keys_that_do_not_fit(
    tmp_path: Path, outsider: Callable[..., Outsider], what: str, words: str
) -> None:
    them, other = outsider(), outsider()
    pem = {
        name: getattr(them, name).public_bytes(Encoding.PEM).decode()
        for name in ("leaf", "middle", "root")
    }
    chain = {
        "reversed": pem["middle"] + pem["leaf"],
        "leaf only": pem["leaf"],
        "root as leaf": pem["root"] + pem["root"],
        "stranger's issuer": pem["leaf"] + other.middle.public_bytes(Encoding.PEM).decode(),
        "not PEM": "hello",
    }.get(what, them.chain_pem)
    cert, key = _write(
        tmp_path,
        chain,
        other.key if what == "wrong key" else them.key,
        encrypt=what == "encrypted key",
    )
    with pytest.raises(CredentialRefused, match=words):
        load_credential(tmp_path, cert=cert, key=key)


def test_key_kinds() -> None:
    from chopmark.provenance._profile import algorithm_of

    assert algorithm_of(ec.generate_private_key(ec.SECP384R1()).public_key()) == "es384"
    assert algorithm_of(ed25519.Ed25519PrivateKey.generate().public_key()) == "ed25519"
    assert algorithm_of(rsa.generate_private_key(65537, 2048).public_key()) == "ps256"
    with pytest.raises(CredentialRefused, match="curve"):
        algorithm_of(ec.generate_private_key(ec.SECP256K1()).public_key())
    with pytest.raises(CredentialRefused, match="1024 bits"):
        algorithm_of(rsa.generate_private_key(65537, 1024).public_key())  # noqa: S505 - refused


def test_rotation_needs_no_restart_and_forgets_nothing(
    tmp_path: Path, outsider: Callable[..., Outsider], photograph: Callable[..., Image.Image]
) -> None:
    from chopmark.provenance import ManifestInfo, sign

    anchors = load_anchors(tmp_path)
    info = ManifestInfo(
        output_id="a3f09c1122334451", record_id="a3f09c1122334450", model_id="m",
        model_version="1", created_at=dt.datetime.now(dt.UTC), generator_version="0",
    )  # fmt: skip
    picture = encode_image(photograph(64, 64), "png")
    signed = []
    for _ in range(2):
        them = outsider()
        cert, key = _write(tmp_path, them.chain_pem, them.key)
        signed.append(sign(picture, "png", info, load_credential(tmp_path, cert=cert, key=key)))
    for one in signed:
        assert verify(one.data, anchors=anchors).credential.own


def test_a_signer_that_holds_another_key_is_refused(
    maker: Any, outsider: Callable[..., Outsider]
) -> None:
    class Wrong:
        def sign(self, data: bytes, /) -> bytes:
            from cryptography.hazmat.primitives import hashes

            signature: bytes = outsider().key.sign(data, ec.ECDSA(hashes.SHA256()))
            return signature

    credential = Credential(
        chain_pem=maker.credential.chain_pem, alg=maker.credential.alg, signer=Wrong()
    )
    with pytest.raises(CredentialRefused, match="does not belong"):
        credential.check()
