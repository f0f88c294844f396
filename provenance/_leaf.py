"""The certificates that signed a claim, which the native library does not hand out.

They stand in the ``x5chain`` header of the COSE signature (C2PA 2.4, 13.2; RFC 9360), the leaf
first, as DER; they are found there by where DER begins. Nothing is believed because it was found:
the library has checked the signature with the first of them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from chopmark.provenance._jumbf import part_of

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["assurance_level", "certificates_of", "leaf_of"]

_LEVELS: Final = {
    "1.3.6.1.4.1.62558.3.10": 1,
    "1.3.6.1.4.1.62558.3.20": 2,
}
# C2PA Certificate Policy 0.2: extension `c2pa-al`, whose value is the OID of a level.
_EXTENSION: Final = "1.3.6.1.4.1.62558.3"
_SEQUENCE: Final = b"\x30\x82"
_MAX_TRIED: Final = 64
_MAX_FOUND: Final = 8


def leaf_of(store: bytes, manifest_id: str) -> str | None:
    """Return the certificate that signed a manifest, DER in base64; None where none is found."""
    from cryptography.hazmat.primitives.serialization import Encoding

    found = certificates_of(store, manifest_id)
    return base64.b64encode(found[0].public_bytes(Encoding.DER)).decode() if found else None


def certificates_of(store: bytes, manifest_id: str) -> list[x509.Certificate]:
    """Return the chain in a manifest's signature, the leaf first.

    Args:
        store: The manifest store (JUMBF).
        manifest_id: Of one of its manifests.
    """
    from cryptography import x509

    signature = part_of(store, manifest_id, "c2pa.signature") or b""
    found: list[x509.Certificate] = []
    at, tried = signature.find(_SEQUENCE), 0
    while at >= 0 and tried < _MAX_TRIED and len(found) < _MAX_FOUND:
        tried += 1
        end = at + 4 + int.from_bytes(signature[at + 2 : at + 4], "big")
        try:
            found.append(x509.load_der_x509_certificate(signature[at:end]))
        except (ValueError, x509.InvalidVersion):
            if found:
                break  # the chain stands in one piece; what follows are time stamps
            end = at + 1
        at = signature.find(_SEQUENCE, end)
    return found


def assurance_level(leaf: str | None) -> int | None:
    """Return the assurance level that a certificate states, 1 or 2; None where it states none.

    Args:
        leaf: DER in base64.
    """
    if leaf is None:
        return None
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(leaf))
        extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(_EXTENSION))
    except (
        ValueError,
        x509.InvalidVersion,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return None
    value = extension.value
    if not isinstance(value, x509.UnrecognizedExtension):
        return None
    return next((level for oid, level in _LEVELS.items() if value.value == _der(oid)), None)


def _der(oid: str) -> bytes:
    """Return an object identifier as DER (ITU-T X.690, 8.19)."""
    first, second, *rest = (int(part) for part in oid.split("."))
    body = bytearray([first * 40 + second])
    for part in rest:
        digits = [part & 0x7F]
        while part := part >> 7:
            digits.append(part & 0x7F | 0x80)
        body += bytes(reversed(digits))
    return bytes([0x06, len(body)]) + bytes(body)
