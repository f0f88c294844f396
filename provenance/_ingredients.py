"""The inputs that a manifest names, and theirs: each with a result of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chopmark.provenance._codes import MALFORMED, credential_state, own_problems
from chopmark.provenance._json import as_dict, as_list, as_text, codes, last_part
from chopmark.provenance._origin import AI_TYPES, source_type
from chopmark.provenance.report import Ingredient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.provenance.report import CredentialState, ManifestState

__all__ = ["walk"]


@dataclass(frozen=True)
class _Delta:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def walk(
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
            for raw in as_list(manifest.get("ingredients")):
                entry = as_dict(raw)
                name = as_text(entry.get("active_manifest"))
                if name is not None and name in seen:
                    continue
                count += 1
                if count > limit:
                    return
                inner = as_dict(manifests.get(name)) if name else {}
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
    recorded = as_dict(as_dict(entry.get("validation_results")).get("activeManifest"))
    # What its signer recorded when it came in is their word; what this reading finds overrules it.
    now = deltas.get(name or "", _Delta())
    source = source_type(inner)
    failures = [
        code
        for code in codes(recorded, "failure")
        if not (code == "signingCredential.untrusted" and "signingCredential.trusted" in now.passed)
    ]
    failures = list(dict.fromkeys(failures + now.failed))
    if name is None:
        state: ManifestState = "malformed" if own_problems(failures) else "absent"
        credential: CredentialState = "absent"
    else:
        own = [code for code in failures if not code.startswith(("signing", "timeStamp", "cawg"))]
        malformed = any(code.endswith(MALFORMED) for code in own)
        state = "malformed" if malformed else "broken" if own or not inner else "intact"
        passed = {*codes(recorded, "success"), *now.passed}
        trusted = "signingCredential.trusted" in passed
        credential = credential_state(failures) or ("trusted" if trusted else "untrusted")
    return Ingredient(
        manifest=state,
        credential=credential,
        title=as_text(entry.get("title")),
        relationship=as_text(entry.get("relationship")),
        id=name,
        ai=source is not None and last_part(source) in AI_TYPES,
        problems=tuple(failures),
        depth=depth,
    )


def _deltas(results: dict[str, Any]) -> dict[str, _Delta]:
    """Return what is found in ingredients' manifests now and was not recorded, by manifest id."""
    found: dict[str, _Delta] = {}
    for raw in as_list(results.get("ingredientDeltas")):
        delta = as_dict(as_dict(raw).get("validationDeltas"))
        for kind in ("success", "failure"):
            for one in as_list(delta.get(kind)):
                status = as_dict(one)
                for part in (as_text(status.get("url")) or "").split("/"):
                    if part.startswith("urn:"):
                        into = found.setdefault(part, _Delta())
                        (into.passed if kind == "success" else into.failed).append(
                            str(status.get("code"))
                        )
    return found
