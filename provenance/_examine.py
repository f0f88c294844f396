"""From the C2PA library's JSON to our axes. The library's one word ("Trusted") is never looked at.

Source of the codes: C2PA 2.4, section 15.2.2 (standard status codes).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.provenance._codes import BINDINGS, MALFORMED, credential_state, own_problems
from chopmark.provenance._ingredients import Inputs, walk
from chopmark.provenance._involvement import ai_signal
from chopmark.provenance._json import as_dict, as_list, as_text, codes
from chopmark.provenance._leaf import assurance_level
from chopmark.provenance._origin import born_as, first_action, maker, record_of
from chopmark.provenance.report import (
    NO_IDENTITY,
    AiSignal,
    CredentialFinding,
    IdentityFinding,
    Ingredient,
    ManifestFinding,
    TimeFinding,
)

if TYPE_CHECKING:
    from chopmark.provenance.report import ManifestState
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["Examined", "examine"]

_SOUND: Final = ("intact", "trusted")


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The axes that a manifest store answers."""

    manifest: ManifestFinding
    credential: CredentialFinding
    time: TimeFinding
    ai_signal: AiSignal
    ingredients: tuple[Ingredient, ...]
    more_ingredients: int = 0
    ancestor_outputs: frozenset[str]
    identity: IdentityFinding = NO_IDENTITY
    neighbour: bool = False
    pixels_sha256: str | None
    action: str | None
    born_as: str | None = None


def examine(store: dict[str, Any], anchors: TrustAnchors, *, max_manifests: int = 64) -> Examined:
    """Read the axes off the library's JSON. Anything odd in it counts as broken, never as good."""
    manifests = as_dict(store.get("manifests"))
    active_id = str(store.get("active_manifest") or "")
    active = as_dict(manifests.get(active_id))
    results = as_dict(store.get("validation_results"))
    status = as_dict(results.get("activeManifest"))
    failures = codes(status, "failure")
    passed = codes(status, "success")
    subject_id = _subject(status, active_id, manifests)
    subject = as_dict(manifests.get(subject_id))
    record = record_of(subject)
    leaf = store.get("chopmark:leaf")
    credential, neighbour = _credential(active, failures, passed, results, anchors, leaf)
    time = _time(active, passed, codes(status, "informational") + failures, results, anchors)
    broken = as_dict(store.get("chopmark:broken_ancestors"))
    inputs: Inputs = walk(manifests, active, results, max_manifests, broken)
    ingredients = inputs.reported
    # A manifest that two inputs name must be sound as either.
    sound = {one: (one.manifest, one.credential) == _SOUND for one in ingredients}
    vouched = {one.id for one in ingredients if sound[one]}
    vouched -= {one.id for one in ingredients if not sound[one]}
    if subject_id != active_id:
        # An update manifest (C2PA 2.4, 11.2.3) adds to a manifest and changes no content: what is
        # asked about is the one below, and both signers must be ours for the file to be.
        if subject_id not in vouched:
            below = next((one.credential for one in ingredients if one.id == subject_id), None)
            trusted = credential.state == "trusted"
            state = below if trusted and below is not None else credential.state
            credential = dataclasses.replace(credential, own=False, state=state)
        ingredients = tuple(
            dataclasses.replace(one, depth=one.depth - 1)
            for one in ingredients
            if one.id != subject_id
        )
    ai = ai_signal(subject, {key: one for key, one in manifests.items() if key != active_id})
    return Examined(
        manifest=ManifestFinding(
            state=_state(failures, passed),
            id=active_id or None,
            updates=subject_id if subject_id != active_id else None,
            claim_generator=maker(subject),
            output_id=as_text(record.get("outputId")),
            record_id=as_text(record.get("recordId")),
            problems=tuple(dict.fromkeys(own_problems(failures))),
            count=len(manifests),
            identity=any(
                (as_text(as_dict(one).get("label")) or "").startswith("cawg.identity")
                for one in as_list(subject.get("assertions"))
            ),
        ),
        credential=credential,
        time=time,
        ai_signal=ai,
        ingredients=ingredients,
        more_ingredients=inputs.left_out,
        ancestor_outputs=frozenset(
            text
            for key, one in manifests.items()
            if key != active_id
            and key in vouched
            and (text := as_text(record_of(as_dict(one)).get("outputId")))
        ),
        neighbour=neighbour,
        pixels_sha256=as_text(as_dict(record.get("pixels")).get("hash")),
        action=first_action(subject),
        born_as=born_as(subject),
    )


def _subject(status: dict[str, Any], active_id: str, manifests: dict[str, Any]) -> str:
    """Return the id of the manifest that binds the bytes: the active one, or one it updates."""
    for kind in ("success", "failure"):
        for one in as_list(status.get(kind)):
            code, url = as_text(as_dict(one).get("code")), as_text(as_dict(one).get("url"))
            if code in BINDINGS and url is not None:
                for part in url.split("/"):
                    if part in manifests:
                        return part
    return active_id


def _state(failures: list[str], passed: list[str]) -> ManifestState:
    own = own_problems(failures)
    if any(code.endswith(MALFORMED) for code in own):
        return "malformed"
    if own or "claimSignature.validated" not in passed:
        return "broken"
    # Without this a manifest that binds no bytes at all would count as fitting the file.
    return "intact" if BINDINGS & set(passed) else "broken"


def _credential(
    active: dict[str, Any],
    failures: list[str],
    passed: list[str],
    results: dict[str, Any],
    anchors: TrustAnchors,
    leaf: Any,
) -> tuple[CredentialFinding, bool]:
    """Return who signed, and whether it was another customer of a CA that signs for us."""
    info = as_dict(active.get("signature_info"))
    anchor = anchors.find(as_text(results.get("trustListUri")))
    state = credential_state(failures)
    # A TSA root vouches for times only, although the library lets it vouch for signers too; so
    # does a root of identities.
    vouched = (
        state is None
        and "signingCredential.trusted" in passed
        and anchor is not None
        and anchor.kind in {"own", "manifest"}
    )
    own = neighbour = False
    if vouched and anchor is not None and anchor.kind == "own":
        serial = as_text(info.get("cert_serial_number")) or ""
        own = not anchor.serials or (serial.isdecimal() and int(serial) in anchor.serials)
        vouched, neighbour = own, not own
    finding = CredentialFinding(
        state=state or ("trusted" if vouched else "untrusted"),
        own=own,
        anchor=anchor.name if vouched and anchor else None,
        anchor_date=(anchor.date or None) if vouched and anchor else None,
        issuer=as_text(info.get("issuer")),
        name=as_text(info.get("common_name")),
        alg=as_text(info.get("alg")),
        revocation=_revocation(failures, passed),
        assurance_level=assurance_level(as_text(leaf)),
        list_stale=bool(vouched and anchor and anchor.is_stale()),
    )
    return finding, neighbour


def _revocation(failures: list[str], passed: list[str]) -> Literal["good", "revoked", "unknown"]:
    """Return what OCSP responses within the manifest say; nobody is asked."""
    if "signingCredential.ocsp.revoked" in failures or "signingCredential.revoked" in failures:
        return "revoked"
    return "good" if "signingCredential.ocsp.notRevoked" in passed else "unknown"


def _time(
    active: dict[str, Any],
    passed: list[str],
    others: list[str],
    results: dict[str, Any],
    anchors: TrustAnchors,
) -> TimeFinding:
    at = as_text(as_dict(active.get("signature_info")).get("time"))
    if "timeStamp.trusted" in passed and "timeStamp.untrusted" not in others:
        anchor = anchors.find(as_text(results.get("timestampTrustListUri")))
        known = anchor is None or anchor.kind in {"tsa", "own"}
        return TimeFinding(state="trusted" if known else "untrusted", signed_at=at)
    stamped = "timeStamp.validated" in passed or any(
        code.startswith("timeStamp.") for code in others
    )
    return TimeFinding(
        state="untrusted" if stamped else "absent", signed_at=at if stamped else None
    )
