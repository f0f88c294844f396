"""Would a C2PA verifier accept this certificate? Asked before the first picture, not after.

The rules are those of C2PA 2.4, section 14.5.1 (certificate profile), each of them checked against
what c2pa-rs 0.91 really refuses; the answer is in words, since the library's own is
"the certificate is invalid".
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import CredentialRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

__all__ = ["Algorithm", "algorithm_of", "check_chain", "parse_chain"]

Algorithm = Literal["es256", "es384", "es512", "ps256", "ed25519"]

_SIGNING_USES: Final = {
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",
    "1.3.6.1.4.1.62558.2.1": "C2PA claim signing",
}
_ANY: Final = "2.5.29.37.0"
_OCSP: Final = "1.3.6.1.5.5.7.3.9"
_TIMESTAMPING: Final = "1.3.6.1.5.5.7.3.8"
_CURVES: Final[dict[str, Algorithm]] = {
    "secp256r1": "es256",
    "secp384r1": "es384",
    "secp521r1": "es512",
}
_MIN_RSA: Final = 2048


def parse_chain(pem: bytes, *, source: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, in the file's order.

    Raises:
        CredentialRefused: No certificate, or one that cannot be parsed.
    """
    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise CredentialRefused(
            f"{source} holds no PEM certificate",
            hint="the file starts with -----BEGIN CERTIFICATE-----, the signing certificate first",
        ) from error
    if not chain:
        raise CredentialRefused(f"{source} holds no PEM certificate")
    return chain


def algorithm_of(public: CertificatePublicKeyTypes) -> Algorithm:
    """Return the COSE algorithm that a key of this kind signs with.

    Raises:
        CredentialRefused: C2PA has none for it.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, ec.EllipticCurvePublicKey):
        found = _CURVES.get(public.curve.name)
        if found is not None:
            return found
        raise CredentialRefused(
            f"the key is on the curve {public.curve.name}",
            hint="C2PA signs with P-256, P-384, P-521, Ed25519 or RSA-PSS",
        )
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _MIN_RSA:
            raise CredentialRefused(
                f"the RSA key has {public.key_size} bits", hint=f"at least {_MIN_RSA}"
            )
        return "ps256"
    raise CredentialRefused(
        f"C2PA has no algorithm for a {type(public).__name__}",
        hint="use P-256, P-384, P-521, Ed25519 or RSA",
    )


def check_chain(chain: Sequence[x509.Certificate], *, now: dt.datetime | None = None) -> Algorithm:
    """Check leaf-first chain ``chain`` and return the algorithm of its leaf.

    Raises:
        CredentialRefused: What is wrong, of the first thing found wrong.
    """
    leaf = chain[0]
    moment = now or dt.datetime.now(dt.UTC)
    algorithm = algorithm_of(leaf.public_key())
    _check_order(chain)
    _check_validity(leaf, moment)
    _check_leaf(leaf)
    return algorithm


def _check_order(chain: Sequence[x509.Certificate]) -> None:
    leaf = chain[0]
    # 14.5.1 allows no self-signed claim signer, and c2pa-rs says only "invalid" of one.
    if leaf.issuer == leaf.subject:
        raise CredentialRefused(
            "the signing certificate is self-signed",
            hint="C2PA wants one that a CA issued; `chopmark keys init` makes a development CA",
        )
    if len(chain) == 1:
        raise CredentialRefused(
            "the chain holds the signing certificate only",
            hint="append the certificate of its issuer; verifiers cannot guess it",
        )
    for child, parent in itertools.pairwise(chain):
        if child.issuer != parent.subject:
            raise CredentialRefused(
                f"the chain is out of order: {child.subject.rfc4514_string()} is not issued by "
                f"{parent.subject.rfc4514_string()}, which follows it",
                hint="the signing certificate first, then its issuer, then that one's issuer",
            )
        try:
            child.verify_directly_issued_by(parent)
        except Exception as error:  # ValueError, TypeError, InvalidSignature
            raise CredentialRefused(
                f"{parent.subject.rfc4514_string()} did not sign "
                f"{child.subject.rfc4514_string()}, although it bears the issuer's name",
            ) from error


def _check_validity(leaf: x509.Certificate, now: dt.datetime) -> None:
    if now < leaf.not_valid_before_utc:
        raise CredentialRefused(
            f"the certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            hint="wait, or set the clock right",
        )
    if now > leaf.not_valid_after_utc:
        raise CredentialRefused(
            f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}",
            hint="renew it; `chopmark keys rotate` takes a new one without a restart",
        )


def _check_leaf(leaf: x509.Certificate) -> None:
    from cryptography import x509

    def extension(kind: type) -> x509.ExtensionType | None:
        try:
            return leaf.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    constraints = extension(x509.BasicConstraints)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise CredentialRefused(
            "the first certificate is a CA", hint="put the signing certificate first"
        )
    usage = extension(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage):
        raise CredentialRefused(
            "the certificate has no KeyUsage extension", hint="it needs digitalSignature"
        )
    # The specification names digitalSignature; c2pa-rs takes contentCommitment as well.
    if not (usage.digital_signature or usage.content_commitment):
        raise CredentialRefused("KeyUsage lacks digitalSignature")
    if usage.key_cert_sign:
        raise CredentialRefused("KeyUsage has keyCertSign, which is for a CA only")
    if extension(x509.AuthorityKeyIdentifier) is None:
        raise CredentialRefused(
            "the certificate has no AuthorityKeyIdentifier extension",
            hint="issue it with `authorityKeyIdentifier=keyid`",
        )
    extended = extension(x509.ExtendedKeyUsage)
    if not isinstance(extended, x509.ExtendedKeyUsage):
        raise CredentialRefused(
            "the certificate has no ExtendedKeyUsage extension",
            hint="one of " + ", ".join(_SIGNING_USES.values()),
        )
    _check_uses({use.dotted_string for use in extended})


def _check_uses(uses: set[str]) -> None:
    if _ANY in uses:
        raise CredentialRefused("ExtendedKeyUsage has anyExtendedKeyUsage, which C2PA forbids")
    if not uses & set(_SIGNING_USES):
        raise CredentialRefused(
            f"ExtendedKeyUsage has none that may sign a claim, only {', '.join(sorted(uses))}",
            hint="one of " + ", ".join(f"{name} ({oid})" for oid, name in _SIGNING_USES.items()),
        )
    for alone, name in ((_TIMESTAMPING, "timeStamping"), (_OCSP, "OCSPSigning")):
        if alone in uses:
            raise CredentialRefused(
                f"ExtendedKeyUsage mixes {name} with signing, which C2PA forbids",
                hint="use a certificate of its own for each",
            )
