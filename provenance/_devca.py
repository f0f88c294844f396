"""A certificate authority for development: root, intermediate and leaf, made on first use.

Its root is in nobody's trust list, so that a stranger's verifier says "intact, signed by somebody
unknown", which is the truth. The root's private key is thrown away once the intermediate is
signed; the intermediate's key stays, to renew the leaf.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.kit.files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    _Key = EllipticCurvePrivateKey | Ed25519PrivateKey

__all__ = ["KeyKind", "issue_leaf", "make_authority", "needs_renewal"]

KeyKind = Literal["es256", "ed25519"]

_ORGANISATION: Final = "Chopmark development (in no trust list)"
_CA_DAYS: Final = 3650
# The conformance programme's profile allows a signing certificate 366 days at most.
_LEAF_DAYS: Final = 365
_RENEW_BEFORE: Final = dt.timedelta(days=14)
# A verifier whose clock is a little behind must not find a certificate of the future.
_SKEW: Final = dt.timedelta(hours=1)
_CLAIM_SIGNING: Final = "1.3.6.1.4.1.62558.2.1"


@dataclass(frozen=True, kw_only=True)
class _Party:
    certificate: x509.Certificate
    key: _Key


def make_authority(folder: Path, *, kind: KeyKind) -> None:
    """Write ``root.pem``, ``intermediate.pem``, ``intermediate.key`` and ``signer.pem``."""
    tag = secrets.token_hex(4)
    root = _issue(f"Chopmark development root {tag}", kind=kind, issuer=None, path_length=1)
    middle = _issue(f"Chopmark development CA {tag}", kind=kind, issuer=root, path_length=0)
    write_private(folder / "intermediate.key", _key_pem(middle.key))
    write_private(folder / "intermediate.pem", _pem(middle.certificate))
    _write_leaf(folder, middle, kind=kind)
    # Last, since its presence says that the rest is there.
    write_private(folder / "root.pem", _pem(root.certificate))


def issue_leaf(folder: Path, *, kind: KeyKind) -> None:
    """Replace the leaf and its key by new ones of the same authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(read_private(folder / "intermediate.key"), None)
    certificate = x509.load_pem_x509_certificate((folder / "intermediate.pem").read_bytes())
    _write_leaf(folder, _Party(certificate=certificate, key=key), kind=kind)  # type: ignore[arg-type]


def needs_renewal(leaf: x509.Certificate) -> bool:
    """Tell whether a leaf ends within two weeks."""
    return dt.datetime.now(dt.UTC) > leaf.not_valid_after_utc - _RENEW_BEFORE


def _write_leaf(folder: Path, middle: _Party, *, kind: KeyKind) -> None:
    leaf = _issue("Chopmark development signer", kind=kind, issuer=middle, path_length=None)
    chain = _pem(leaf.certificate) + _pem(middle.certificate)
    # One file, so that certificate and key can never be of two different renewals.
    write_private(folder / "signer.pem", chain + _key_pem(leaf.key))


def _issue(name: str, *, kind: KeyKind, issuer: _Party | None, path_length: int | None) -> _Party:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

    key: _Key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "es256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    is_ca = path_length is not None
    now = dt.datetime.now(dt.UTC)
    signing_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + dt.timedelta(days=_CA_DAYS if is_ca else _LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_ca,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_ca,
                crl_sign=is_ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    if not is_ca:
        uses = [ExtendedKeyUsageOID.EMAIL_PROTECTION, ObjectIdentifier(_CLAIM_SIGNING)]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    digest = None if isinstance(signing_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return _Party(certificate=builder.sign(signing_key, digest), key=key)


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: _Key) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
