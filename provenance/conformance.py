"""A file's manifests as crJSON, as C2PA's conformance harness asks for it, with lists and a time.

Source: C2PA 2.4, Content Credentials JSON; C2PA Conformance Program 0.2 (asset, trust list, TSA
list, time). The native library validates at the time that it is: where a signature has no trusted
time stamp, what depends on the time is decided here instead (2.4, 15.8: a credential must be valid
at the time of validation then).
"""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ManifestNotFound
from chopmark.provenance import _native
from chopmark.provenance._formats import mime_of, sniff
from chopmark.provenance._json import as_dict, as_list, as_text
from chopmark.provenance._leaf import certificates_of

if TYPE_CHECKING:
    from cryptography import x509

    from chopmark.provenance.trust_lists import TrustList

__all__ = ["crjson"]

_EXPIRED: Final = "signingCredential.expired"
_INSIDE: Final = "claimSignature.insideValidity"
_TRUSTED: Final = "signingCredential.trusted"
_UNTRUSTED: Final = "signingCredential.untrusted"
# Told by newer drafts only; the published schema forbids whatever it does not name.
_NOT_IN_THE_SCHEMA: Final = ("isUpdateManifest", "isCompressedManifest")
# Empty where the claim has none (3.5.1).
_LISTS: Final = {
    "claim": ("redacted_assertions",),
    "claim.v2": ("gathered_assertions", "redacted_assertions"),
}


def crjson(
    data: bytes,
    *,
    trust: TrustList | None = None,
    tsa: TrustList | None = None,
    time: dt.datetime | None = None,
) -> dict[str, Any]:
    """Return a file's crJSON, validated with these lists at this time, and nothing else.

    Args:
        data: The file.
        trust: Roots of claim signers.
        tsa: Roots of time-stamping authorities.
        time: Of the validation, with a time zone; now where none is given.

    Raises:
        ManifestNotFound: The file has no manifest that can be read.
    """
    import c2pa

    lists = [("manifest", trust), ("tsa", tsa)]
    anchors = [
        _native.Anchors(name=f"{kind}:{at}", pem=one.pem, kind=kind)  # type: ignore[arg-type]
        for at, (kind, one) in enumerate(lists)
        if one is not None and one.pem
    ]
    context = _native.context(_native.settings(*anchors))
    moment = time or dt.datetime.now(dt.UTC)
    try:
        with c2pa.Reader(_mime(data), io.BytesIO(data), context=context) as reader:
            found: dict[str, Any] = json.loads(reader.crjson())
            manifests = [as_dict(one) for one in as_list(found.get("manifests"))]
            active = as_text(manifests[0].get("label")) if manifests else None
            store = _store(reader, active or "")
    except c2pa.C2paError as error:
        raise ManifestNotFound(
            f"the file has no manifest that can be read: {error}",
            hint="a sidecar, or a manifest at an address, is not part of the file",
        ) from error
    roots = _certificates(trust.pem) if trust is not None else []
    for manifest in manifests:
        results = as_dict(manifest.get("validationResults"))
        chain = certificates_of(store, as_text(manifest.get("label")) or "")
        if chain:
            _at(moment, results, chain, roots)
        results["validationTime"] = _text(moment)
        _shape(manifest)
    as_dict(found.get("jsonGenerator")).setdefault("date", _text(dt.datetime.now(dt.UTC)))
    return found


def _shape(manifest: dict[str, Any]) -> None:
    """Bring a manifest into the shape that the schema of 2.4 asks for; the library's is another."""
    for name in _NOT_IN_THE_SCHEMA:
        manifest.pop(name, None)
    stamp = manifest.get("signature", {}).get("timeStampInfo")
    if stamp is not None and not as_dict(stamp).get("timestamp"):
        del manifest["signature"]["timeStampInfo"]  # of a token that cannot be read
    for label, lists in _LISTS.items():
        claim = as_dict(manifest.get(label))
        for name in lists if claim else ():
            claim.setdefault(name, [])
        # Claims of before 2.0 have a list of it; the schema has one map.
        several = as_list(claim.get("metadata"))
        if several:
            claim["metadata"] = as_dict(several[0])


def _at(
    moment: dt.datetime,
    results: dict[str, Any],
    chain: list[x509.Certificate],
    roots: list[x509.Certificate],
) -> None:
    """Decide what depends on the time of validation, where no trusted stamp decides it."""
    passed = {str(as_dict(one).get("code")) for one in as_list(results.get("success"))}
    failed = {str(as_dict(one).get("code")) for one in as_list(results.get("failure"))}
    if "timeStamp.trusted" in passed:
        return
    inside = _valid(chain[0], moment)
    url = _signature_url(results)
    if inside and _EXPIRED in failed:
        _drop(results, "failure", _EXPIRED, "claimSignature.outsideValidity")
        _drop(results, "success", _INSIDE)
        _add(results, "success", _INSIDE, url, "the credential is valid at the time of validation")
        if _leads_to(chain, roots, moment):
            _drop(results, "failure", _UNTRUSTED)
            _add(results, "success", _TRUSTED, url, "the credential leads to the trust list")
    elif not inside and _EXPIRED not in failed:
        _drop(results, "success", _INSIDE, _TRUSTED)
        _add(results, "failure", _EXPIRED, url, "the credential is not valid at that time")


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _valid(certificate: x509.Certificate, moment: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def _leads_to(
    chain: list[x509.Certificate], roots: list[x509.Certificate], moment: dt.datetime
) -> bool:
    """Whether the chain ends at a root, each certificate valid at the time and signed by the next.

    That the library found nothing else to say against the leaf is known by then.
    """
    current, rest = chain[0], chain[1:]
    for _ in range(len(chain) + 1):
        if not _valid(current, moment):
            return False
        if current in roots or any(_issued(current, root) for root in roots):
            return True
        following = next((one for one in rest if _issued(current, one)), None)
        if following is None:
            return False
        rest = [one for one in rest if one != following]
        current = following
    return False


def _issued(child: x509.Certificate, parent: x509.Certificate) -> bool:
    if child.issuer != parent.subject:
        return False
    try:
        child.verify_directly_issued_by(parent)
    except Exception:  # noqa: BLE001  ValueError, TypeError, InvalidSignature: it did not
        return False
    return True


def _drop(results: dict[str, Any], kind: str, *codes: str) -> None:
    results[kind] = [
        one for one in as_list(results.get(kind)) if as_dict(one).get("code") not in codes
    ]


def _add(results: dict[str, Any], kind: str, code: str, url: str | None, words: str) -> None:
    entry = {"code": code, **({"url": url} if url else {}), "explanation": words}
    results[kind] = [*as_list(results.get(kind)), entry]


def _signature_url(results: dict[str, Any]) -> str | None:
    for kind in ("success", "failure", "informational"):
        for one in as_list(results.get(kind)):
            url = as_text(as_dict(one).get("url"))
            if url is not None and url.endswith("c2pa.signature"):
                return url
    return None


def _certificates(pem: str) -> list[x509.Certificate]:
    from cryptography import x509

    return x509.load_pem_x509_certificates(pem.encode()) if pem.strip() else []


def _store(reader: Any, active: str) -> bytes:
    import c2pa

    out = io.BytesIO()
    try:
        reader.resource_to_stream(f"self#jumbf=/c2pa/{active}/c2pa.signature", out)
    except c2pa.C2paError:
        return b""
    return out.getvalue()


def _mime(data: bytes) -> str:
    kind = sniff(data)
    if kind is not None:
        return mime_of(kind)
    # Of a brand that is not known: an MP4 of some kind, which is how it is read.
    return "video/mp4" if data[4:8] == b"ftyp" else "image/jpeg"
