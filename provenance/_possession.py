"""Who holds the private key, and whether it belongs to the certificate.

That is asked by way of a signature, so that tokens and services can be asked too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from chopmark.errors import CredentialRefused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["KeyInMemory", "Signer", "check_key"]

_PROBE: Final = b"chopmark: do certificate and key belong together?"


@runtime_checkable
class Signer(Protocol):
    """Whatever holds the private key: a PEM in memory, a PKCS#11 token, a service.

    Implementations must be callable from several threads at once.
    """

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over ``data``, in the algorithm of the credential.

        ECDSA signatures may be DER or the raw ``r || s``; RSA is PSS with MGF1 and a salt as long
        as the digest.

        Raises:
            SigningFailed: The key cannot be used now.
        """


@dataclass(frozen=True)
class KeyInMemory:
    """A private key that this process holds."""

    _key: PrivateKeyTypes = field(repr=False)

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over ``data``; RSA is PSS with SHA-256."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        key = self._key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            digest = {256: hashes.SHA256(), 384: hashes.SHA384()}.get(
                key.curve.key_size, hashes.SHA512()
            )
            return key.sign(data, ec.ECDSA(digest))
        if isinstance(key, rsa.RSAPrivateKey):
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
            return key.sign(data, scheme, hashes.SHA256())
        raise CredentialRefused(f"cannot sign with a {type(key).__name__}")


def check_key(
    leaf: x509.Certificate, signer: Signer, private: PrivateKeyTypes | None = None
) -> None:
    """Check that a signer (and the private key, where it is at hand) is the certificate's.

    Raises:
        CredentialRefused: It is not.
    """
    from cryptography.exceptions import InvalidSignature

    # Cheaper than a signature, and it can name the usual mistake.
    if private is not None and private.public_key() != leaf.public_key():
        raise CredentialRefused(
            "the private key does not belong to the signing certificate",
            hint="the signing certificate comes first in the chain",
        )
    try:
        _verify(leaf, signer.sign(_PROBE))
    except (InvalidSignature, ValueError) as error:
        raise CredentialRefused(
            "the signer's key does not belong to the signing certificate"
        ) from error


def _verify(leaf: x509.Certificate, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    public = leaf.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, _PROBE)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        # Tokens (PKCS#11) and COSE give raw r || s; the library verifies DER.
        if len(signature) == 2 * size:
            signature = encode_dss_signature(
                int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            )
        digest = {256: hashes.SHA256(), 384: hashes.SHA384()}.get(
            public.curve.key_size, hashes.SHA512()
        )
        public.verify(signature, _PROBE, ec.ECDSA(digest))
    elif isinstance(public, rsa.RSAPublicKey):
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        public.verify(signature, _PROBE, scheme, hashes.SHA256())
