"""From the C2PA library's JSON to our axes. The library's one word ("Trusted") is never looked at.

Source of the codes: C2PA 2.4, section 15.2.2 (standard status codes).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chopmark.provenance.manifest import RECORD_LABEL
from chopmark.provenance.report import (
    AiSignal,
    CredentialFinding,
    Ingredient,
    ManifestFinding,
    TimeFinding,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.provenance.report import CredentialState, ManifestState
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["AI_TYPES", "DENYING_TYPES", "Examined", "examine"]

AI_TYPES: Final = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicData",
        "compositeSynthetic",
    }
)
"""Last parts of the source types by which a file says that a trained model took part."""

DENYING_TYPES: Final = frozenset(
    {
        "digitalCapture",
        "computationalCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "humanEdits",
        "minorHumanEdits",
        "digitalCreation",
        "softwareImage",
        "screenCapture",
        "compositeCapture",
        "algorithmicMedia",
    }
)
"""Source types that a picture with our watermark cannot truly have as a whole."""

_CREDENTIAL: Final[dict[str, CredentialState]] = {
    "signingCredential.revoked": "revoked",
    "signingCredential.ocsp.revoked": "revoked",
    "signingCredential.invalid": "refused",
    "signingCredential.expired": "expired",
    "claimSignature.outsideValidity": "expired",
    "signingCredential.untrusted": "untrusted",
}
_BINDINGS: Final = frozenset(
    f"assertion.{kind}Hash.{answer}"
    for kind in ("data", "bmff", "boxes")
    for answer in ("match", "mismatch")
)
_SOUND: Final = ("intact", "trusted")
_SEVERITY: Final[tuple[CredentialState, ...]] = ("revoked", "refused", "expired", "untrusted")
# Judged on an axis of their own, or no failure of the file: who signed, when, other identities.
_ELSEWHERE: Final = ("signingCredential.", "timeStamp.", "timeOfSigning.", "cawg.", "ingredient.")
_MALFORMED: Final = (
    ".malformed",
    ".cbor.invalid",
    ".json.invalid",
    "claim.missing",
    "claim.multiple",
    "manifest.compressed.invalid",
    "manifest.inaccessible",
)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The axes that a manifest store answers."""

    manifest: ManifestFinding
    credential: CredentialFinding
    time: TimeFinding
    ai_signal: AiSignal
    ingredients: tuple[Ingredient, ...]
    ancestor_outputs: frozenset[str]
    neighbour: bool = False
    pixels_sha256: str | None
    action: str | None


@dataclass(frozen=True)
class _Delta:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def examine(store: dict[str, Any], anchors: TrustAnchors, *, max_manifests: int = 64) -> Examined:
    """Read the axes off the library's JSON. Anything odd in it counts as broken, never as good."""
    manifests = _dict(store.get("manifests"))
    active_id = str(store.get("active_manifest") or "")
    active = _dict(manifests.get(active_id))
    results = _dict(store.get("validation_results"))
    status = _dict(results.get("activeManifest"))
    failures = _codes(status, "failure")
    passed = _codes(status, "success")
    subject_id = _subject(status, active_id, manifests)
    subject = _dict(manifests.get(subject_id))
    record = _record(subject)
    credential, neighbour = _credential(active, failures, passed, results, anchors)
    time = _time(active, passed, _codes(status, "informational") + failures, results, anchors)
    above = [_dict(manifests[key]) for key in manifests if key not in {active_id, subject_id}]
    ingredients = tuple(_ingredients(manifests, active, results, max_manifests))
    vouched = {one.id for one in ingredients if (one.manifest, one.credential) == _SOUND}
    if subject_id != active_id:
        # An update manifest (C2PA 2.4, 11.2.3) adds to a manifest and changes no content: what is
        # asked about is the one below, and both signers must be ours for the file to be.
        if subject_id not in vouched:
            credential = dataclasses.replace(credential, own=False)
        ingredients = tuple(
            dataclasses.replace(one, depth=one.depth - 1)
            for one in ingredients
            if one.id != subject_id
        )
    ai = _ai(subject, _source_type(subject), above)
    generator = _list(subject.get("claim_generator_info"))
    named = _dict(generator[0]) if generator else {}
    return Examined(
        manifest=ManifestFinding(
            state=_state(failures, passed),
            id=active_id or None,
            updates=subject_id if subject_id != active_id else None,
            claim_generator=_text(named.get("name")) or _text(subject.get("claim_generator")),
            output_id=_text(record.get("outputId")),
            record_id=_text(record.get("recordId")),
            problems=tuple(dict.fromkeys(_own_problems(failures))),
            count=len(manifests),
            identity=any(
                (_text(_dict(one).get("label")) or "").startswith("cawg.identity")
                for one in _list(subject.get("assertions"))
            ),
        ),
        credential=credential,
        time=time,
        ai_signal=ai,
        ingredients=ingredients,
        ancestor_outputs=frozenset(
            text
            for key, one in manifests.items()
            if key != active_id
            and key in vouched
            and (text := _text(_record(_dict(one)).get("outputId")))
        ),
        neighbour=neighbour,
        pixels_sha256=_text(_dict(record.get("pixels")).get("hash")),
        action=_first_action(subject),
    )


def _subject(status: dict[str, Any], active_id: str, manifests: dict[str, Any]) -> str:
    """Return the id of the manifest that binds the bytes: the active one, or one it updates."""
    for kind in ("success", "failure"):
        for one in _list(status.get(kind)):
            code, url = _text(_dict(one).get("code")), _text(_dict(one).get("url"))
            if code in _BINDINGS and url is not None:
                for part in url.split("/"):
                    if part in manifests:
                        return part
    return active_id


def _state(failures: list[str], passed: list[str]) -> ManifestState:
    own = _own_problems(failures)
    if any(code.endswith(_MALFORMED) for code in own):
        return "malformed"
    if own or "claimSignature.validated" not in passed:
        return "broken"
    # Without this a manifest that binds no bytes at all would count as fitting the file.
    return "intact" if _BINDINGS & set(passed) else "broken"


def _own_problems(failures: list[str]) -> list[str]:
    return [
        code
        for code in failures
        if not code.startswith(_ELSEWHERE) and code != "claimSignature.outsideValidity"
    ]


def _credential_state(failures: list[str]) -> CredentialState | None:
    found = {_CREDENTIAL[code] for code in failures if code in _CREDENTIAL}
    for state in _SEVERITY:
        if state in found:
            return state
    return None


def _credential(
    active: dict[str, Any],
    failures: list[str],
    passed: list[str],
    results: dict[str, Any],
    anchors: TrustAnchors,
) -> tuple[CredentialFinding, bool]:
    """Return who signed, and whether it was another customer of a CA that signs for us."""
    info = _dict(active.get("signature_info"))
    anchor = anchors.find(_text(results.get("trustListUri")))
    state = _credential_state(failures)
    # A TSA root vouches for times only, although the library lets it vouch for signers too.
    vouched = (
        state is None
        and "signingCredential.trusted" in passed
        and anchor is not None
        and anchor.kind != "tsa"
    )
    own = neighbour = False
    if vouched and anchor is not None and anchor.kind == "own":
        serial = _text(info.get("cert_serial_number")) or ""
        own = not anchor.serials or (serial.isdecimal() and int(serial) in anchor.serials)
        vouched, neighbour = own, not own
    finding = CredentialFinding(
        state=state or ("trusted" if vouched else "untrusted"),
        own=own,
        anchor=anchor.name if vouched and anchor else None,
        anchor_date=(anchor.date or None) if vouched and anchor else None,
        issuer=_text(info.get("issuer")),
        name=_text(info.get("common_name")),
        alg=_text(info.get("alg")),
    )
    return finding, neighbour


def _time(
    active: dict[str, Any],
    passed: list[str],
    others: list[str],
    results: dict[str, Any],
    anchors: TrustAnchors,
) -> TimeFinding:
    at = _text(_dict(active.get("signature_info")).get("time"))
    if "timeStamp.trusted" in passed and "timeStamp.untrusted" not in others:
        anchor = anchors.find(_text(results.get("timestampTrustListUri")))
        known = anchor is None or anchor.kind in {"tsa", "own"}
        return TimeFinding(state="trusted" if known else "untrusted", signed_at=at)
    stamped = "timeStamp.validated" in passed or any(
        code.startswith("timeStamp.") for code in others
    )
    return TimeFinding(
        state="untrusted" if stamped else "absent", signed_at=at if stamped else None
    )


def _ai(active: dict[str, Any], source: str | None, ancestors: list[dict[str, Any]]) -> AiSignal:
    if source is not None and _last(source) in AI_TYPES:
        return AiSignal(state="active", source_type=source, system=_agent(active))
    born = [
        _text(one.get("digitalSourceType"))
        for one in _actions(active)
        if one.get("action") == "c2pa.created"
    ]
    denied = any(one is not None and _last(one) in DENYING_TYPES for one in born)
    for one in ancestors:
        above = _source_type(one)
        if above is not None and _last(above) in AI_TYPES:
            return AiSignal(state="ancestor", source_type=above, system=_agent(one), denied=denied)
    return AiSignal(state="none", source_type=source, denied=denied)


def _ingredients(
    manifests: dict[str, Any],
    active: dict[str, Any],
    results: dict[str, Any],
    limit: int,
) -> Iterator[Ingredient]:
    """Walk the tree breadth first; a manifest that several name is reported once."""
    deltas = _deltas(results)
    seen: set[str] = set()
    level = [(active, 1)]
    count = 0
    while level:
        following: list[tuple[dict[str, Any], int]] = []
        for manifest, depth in level:
            for raw in _list(manifest.get("ingredients")):
                entry = _dict(raw)
                name = _text(entry.get("active_manifest"))
                if name is not None and name in seen:
                    continue
                count += 1
                if count > limit:
                    return
                inner = _dict(manifests.get(name)) if name else {}
                yield _ingredient(entry, name, inner, deltas, depth)
                if name:
                    seen.add(name)
                    following.append((inner, depth + 1))
        level = following


def _ingredient(
    entry: dict[str, Any],
    name: str | None,
    inner: dict[str, Any],
    deltas: dict[str, _Delta],
    depth: int,
) -> Ingredient:
    recorded = _dict(_dict(entry.get("validation_results")).get("activeManifest"))
    # What its signer recorded when it came in is their word; what this reading finds overrules it.
    now = deltas.get(name or "", _Delta())
    source = _source_type(inner)
    failures = [
        code
        for code in _codes(recorded, "failure")
        if not (code == "signingCredential.untrusted" and "signingCredential.trusted" in now.passed)
    ]
    failures = list(dict.fromkeys(failures + now.failed))
    if name is None:
        state: ManifestState = "malformed" if _own_problems(failures) else "absent"
        credential: CredentialState = "absent"
    else:
        own = [code for code in failures if not code.startswith(("signing", "timeStamp", "cawg"))]
        malformed = any(code.endswith(_MALFORMED) for code in own)
        state = "malformed" if malformed else "broken" if own or not inner else "intact"
        passed = {*_codes(recorded, "success"), *now.passed}
        trusted = "signingCredential.trusted" in passed
        credential = _credential_state(failures) or ("trusted" if trusted else "untrusted")
    return Ingredient(
        manifest=state,
        credential=credential,
        title=_text(entry.get("title")),
        relationship=_text(entry.get("relationship")),
        id=name,
        ai=source is not None and _last(source) in AI_TYPES,
        problems=tuple(failures),
        depth=depth,
    )


def _deltas(results: dict[str, Any]) -> dict[str, _Delta]:
    """Return what is found in ingredients' manifests now and was not recorded, by manifest id."""
    found: dict[str, _Delta] = {}
    for raw in _list(results.get("ingredientDeltas")):
        delta = _dict(_dict(raw).get("validationDeltas"))
        for kind in ("success", "failure"):
            for one in _list(delta.get(kind)):
                status = _dict(one)
                for part in (_text(status.get("url")) or "").split("/"):
                    if part.startswith("urn:"):
                        into = found.setdefault(part, _Delta())
                        (into.passed if kind == "success" else into.failed).append(
                            str(status.get("code"))
                        )
    return found


def _source_type(manifest: dict[str, Any]) -> str | None:
    """Return the manifest's strongest statement of origin: an AI one if any, else the first."""
    found: list[str] = []
    for raw in _list(manifest.get("assertions")):
        assertion = _dict(raw)
        label = _text(assertion.get("label")) or ""
        data = _dict(assertion.get("data"))
        if label.startswith("c2pa.actions"):
            for action in _list(data.get("actions")):
                found += _text_list(_dict(action).get("digitalSourceType"))
        elif label in {"c2pa.metadata", "cawg.metadata", "stds.iptc"}:
            found += _text_list(data.get("Iptc4xmpExt:DigitalSourceType"))
        elif label == "stds.schema-org.CreativeWork":
            found += _text_list(data.get("digitalSourceType"))
    for one in found:
        if _last(one) in AI_TYPES:
            return one
    return found[0] if found else None


def _agent(manifest: dict[str, Any]) -> str | None:
    for raw in _actions(manifest):
        source = _text(raw.get("digitalSourceType"))
        if source is not None and _last(source) in AI_TYPES:
            agent = raw.get("softwareAgent")
            named = _dict(agent)
            if named:
                words = [_text(named.get("name")), _text(named.get("version"))]
                return " ".join(word for word in words if word) or None
            if text := _text(agent):
                return text
    generator = _list(manifest.get("claim_generator_info"))
    return (_text(_dict(generator[0]).get("name")) if generator else None) or _text(
        manifest.get("claim_generator")
    )


def _first_action(manifest: dict[str, Any]) -> str | None:
    actions = _actions(manifest)
    return _text(actions[0].get("action")) if actions else None


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _dict(action)
        for raw in _list(manifest.get("assertions"))
        if (_text(_dict(raw).get("label")) or "").startswith("c2pa.actions")
        for action in _list(_dict(_dict(raw).get("data")).get("actions"))
    ]


def _record(manifest: dict[str, Any]) -> dict[str, Any]:
    for raw in _list(manifest.get("assertions")):
        if _dict(raw).get("label") == RECORD_LABEL:
            return _dict(_dict(raw).get("data"))
    return {}


def _codes(status: dict[str, Any], kind: str) -> list[str]:
    return [str(_dict(one).get("code")) for one in _list(status.get(kind))]


def _last(uri: str) -> str:
    return uri.strip().rstrip("/").rsplit("/", 1)[-1]


# A stranger's manifest may put anything anywhere: these make any other type an absence.


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else []
