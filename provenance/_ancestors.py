"""Whether each manifest of a store still is as it was signed, however far back it stands.

The native library looks into the manifests of a file's inputs, and not into those of their inputs.
What is checked here is what any change of a manifest breaks: the digests of its assertions, which
its claim names, and the signature over that claim. Sources: C2PA 2.4, 8.4.2 (hashed URIs), 10.3
(claims), 13.2 (signatures); RFC 9052, 4.4 (what is signed); RFC 9053, 2 (algorithms); RFC 9360
(``x5chain``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from chopmark.provenance._json import as_dict, as_list, as_text
from chopmark.provenance._jumbf import children, contents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = ["broken_ancestors"]

_CLAIMS: Final = ("c2pa.claim.v2", "c2pa.claim")
_LISTS: Final = ("assertions", "created_assertions", "gathered_assertions")
_DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
_X5CHAIN: Final = 33
_ALG: Final = 1
_MOST: Final = 64
_SHAS: Final = {-7: 256, -35: 384, -36: 512, -37: 256, -38: 384, -39: 512}
_ECDSA: Final = frozenset({-7, -35, -36})
_PSS: Final = frozenset({-37, -38, -39})
_EDDSA: Final = -8


def broken_ancestors(store: bytes) -> dict[str, list[str]]:
    """Return C2PA failure codes by the id of the manifest; only of those that do not hold.

    The active manifest is the library's to judge. What cannot be read, or is signed in a way that
    is not known here, is not judged: the library says so where it looks.

    Args:
        store: The manifest store (JUMBF).
    """
    manifests = [(label, box) for label, box in children(store) if label is not None]
    redacted: set[str] = set()
    claims: list[tuple[str, dict[str, bytes], dict[str, Any], bytes]] = []
    for label, box in manifests[:_MOST]:
        parts = {name: part for name, part in children(box) if name is not None}
        raw = next((_content(parts[one]) for one in _CLAIMS if one in parts), b"")
        claim = as_dict(_loaded(raw))
        redacted.update(
            url.rpartition("/c2pa/")[2]
            for url in map(as_text, as_list(claim.get("redacted_assertions")))
            if url is not None
        )
        claims.append((label, parts, claim, raw))
    found: dict[str, list[str]] = {}
    for label, parts, claim, raw in claims[:-1]:
        codes = [*_assertions(label, parts, claim, redacted)]
        if claim and _signed(parts.get("c2pa.signature", b""), raw) is False:
            codes.append("claimSignature.mismatch")
        if codes:
            found[label] = list(dict.fromkeys(codes))
    return found


def _assertions(
    label: str, parts: dict[str, bytes], claim: dict[str, Any], redacted: set[str]
) -> Iterator[str]:
    """Yield a code for each assertion that is not the one that the claim names."""
    boxes = dict(children(parts.get("c2pa.assertions", b"")))
    usual = as_text(claim.get("alg")) or "sha256"
    for one in (each for name in _LISTS for each in as_list(claim.get(name))):
        entry = as_dict(one)
        url, said = as_text(entry.get("url")) or "", entry.get("hash")
        name, alg = url.rpartition("/")[2], as_text(entry.get("alg")) or usual
        if f"{label}/c2pa.assertions/{name}" in redacted or alg not in _DIGESTS:
            continue
        box = boxes.get(name)
        if box is None:
            yield "assertion.missing"
        elif isinstance(said, bytes) and not hmac.compare_digest(
            hashlib.new(alg, box[8:]).digest(), said
        ):
            yield "assertion.hashedURI.mismatch"


def _signed(signature_box: bytes, claim: bytes) -> bool | None:
    """Whether the claim is what the certificate's key signed; None where that cannot be told."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    message = _loaded(_content(signature_box))
    message = getattr(message, "value", message)  # tag 18 (COSE_Sign1), or without it
    parts = message if isinstance(message, (list, tuple)) else ()
    if len(parts) != 4 or not isinstance(parts[0], bytes) or not isinstance(parts[3], bytes):
        return None
    protected, unprotected = _header(_loaded(parts[0])), _header(parts[1])
    chain: Any = next(
        (
            head[key]
            for head in (protected, unprotected)
            for key in (_X5CHAIN, "x5chain")
            if key in head
        ),
        None,
    )
    leaf = chain[0] if isinstance(chain, (list, tuple)) and chain else chain
    if not isinstance(leaf, bytes):
        return None
    try:
        key = x509.load_der_x509_certificate(leaf).public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        return None
    import cbor2

    content = cbor2.dumps(["Signature1", parts[0], b"", claim])
    return _holds(key, protected.get(_ALG), parts[3], content)


def _holds(key: PublicKeyTypes, alg: object, signature: bytes, content: bytes) -> bool | None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    bits = _SHAS.get(alg) if isinstance(alg, int) else None
    sha = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}.get(bits or 0)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey) and alg == _EDDSA:
            key.verify(signature, content)
        elif isinstance(key, ec.EllipticCurvePublicKey) and alg in _ECDSA and sha is not None:
            half = len(signature) // 2
            numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(encode_dss_signature(*numbers), content, ec.ECDSA(sha))
        elif isinstance(key, rsa.RSAPublicKey) and alg in _PSS and sha is not None:
            key.verify(signature, content, padding.PSS(padding.MGF1(sha), sha.digest_size), sha)
        else:
            return None
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm):
        return None
    return True


def _header(value: object) -> Mapping[Any, Any]:
    """Return a COSE header, whose keys are numbers and texts."""
    return value if isinstance(value, Mapping) else {}


def _content(superbox: bytes) -> bytes:
    """Return the CBOR in a superbox: what stands behind its description."""
    for kind, content in contents(superbox):
        if kind == b"cbor":
            return content
    return b""


def _loaded(data: bytes) -> Any:
    import cbor2

    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, TypeError, RecursionError):
        return None
