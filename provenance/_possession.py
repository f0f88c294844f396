"""Does the key belong to the certificate? Asked by a signature, so that tokens can be asked too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import CredentialRefused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from chopmark.provenance.credential import Signer

__all__ = ["KeyInMemory", "check_key"]

_PROBE: Final = b"chopmark: do certificate and key belong together?"


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
