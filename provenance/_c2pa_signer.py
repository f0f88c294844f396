"""The native library's signer over a credential of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance import _native

if TYPE_CHECKING:
    import c2pa

    from chopmark.provenance.credential import Credential

__all__ = ["make_signer"]


def make_signer(
    credential: Credential, failure: list[BaseException], tsa_url: str | None = None
) -> c2pa.Signer:
    """Return the library's signer; what its callback raises goes to ``failure``."""
    import c2pa

    if credential.key_pem is not None:
        return _native.native_signer(
            credential.alg, credential.chain_pem, credential.key_pem, tsa_url
        )

    def callback(data: bytes) -> bytes:
        try:
            return credential.signer.sign(data)
        except BaseException as error:
            failure.append(error)
            raise

    return c2pa.Signer.from_callback(
        callback, c2pa.C2paSigningAlg[credential.alg.upper()], credential.chain_pem, tsa_url
    )
