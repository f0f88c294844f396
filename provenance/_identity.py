"""Identity assertions (CAWG 1.2) judged on their own: a second reading, with its own anchors.

The first reading leaves them undecoded, since the library lets their failures turn an intact
manifest into an invalid one. Roots for them are the lists of ``anchors/identity``; neither a claim
signer's root nor a time-stamping one vouches for an identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.provenance import _native
from chopmark.provenance._json import as_dict, as_list, as_text, codes
from chopmark.provenance.report import IdentityFinding

if TYPE_CHECKING:
    from chopmark.provenance._formats import Limits
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["identity_of"]

_UNKNOWN: Final = ("cawg.x509.credential.untrusted", "cawg.ica.untrusted_issuer")
# What a DID document or a status list on the network would tell, or a kind that is not known here.
_UNJUDGED: Final = (
    "did_unavailable", "did.unavailable", "revocation_unavailable", "sig_type.unknown",
)  # fmt: skip


def identity_of(data: bytes, mime: str, anchors: TrustAnchors, limits: Limits) -> IdentityFinding:
    """Judge the identity assertions of a file's active manifest, which must be intact."""
    config = _native.settings(
        *anchors.native(identities=True), max_manifest_bytes=limits.max_manifest_bytes
    )
    config["core"]["decode_identity_assertions"] = True
    try:
        found = _native.read(data, mime, config)
    except (_native.NoManifest, _native.RemoteOnly, _native.NativeRefusal) as error:
        return IdentityFinding(state="broken", problems=(str(error)[:200],))
    return _judge(found)


def _judge(found: dict[str, Any]) -> IdentityFinding:
    status = as_dict(as_dict(found.get("validation_results")).get("activeManifest"))
    failed = [code for code in codes(status, "failure") if code.startswith("cawg.")]
    passed = [code for code in codes(status, "success") if code.startswith("cawg.")]
    data = _assertion(found)
    info = as_dict(data.get("signature_info"))
    return IdentityFinding(
        state=_state(failed, passed),
        kind=as_text(as_dict(data.get("signer_payload")).get("sig_type")),
        name=as_text(info.get("common_name")),
        issuer=as_text(info.get("issuer")),
        problems=tuple(dict.fromkeys(failed)),
    )


def _state(
    failed: list[str], passed: list[str]
) -> Literal["trusted", "untrusted", "broken", "unjudged"]:
    if not failed and not passed:
        return "broken"  # the library passes over what it cannot decode
    grave = [code for code in failed if code not in _UNKNOWN and not code.endswith(_UNJUDGED)]
    if grave:
        return "broken"
    if any(code.endswith(_UNJUDGED) for code in failed):
        return "unjudged"
    if failed:
        return "untrusted"
    return "trusted" if "cawg.x509.credential.trusted" in passed else "unjudged"


def _assertion(found: dict[str, Any]) -> dict[str, Any]:
    active = as_dict(as_dict(found.get("manifests")).get(str(found.get("active_manifest"))))
    for raw in as_list(active.get("assertions")):
        if (as_text(as_dict(raw).get("label")) or "").startswith("cawg.identity"):
            return as_dict(as_dict(raw).get("data"))
    return {}
