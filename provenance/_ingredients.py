"""The inputs that a manifest names, and theirs: each with a result of its own.

An input's result has three sources: what was recorded when it came in, in the newer form
(``validation_results``) or in the older one (``validation_status``, claims of version 1), and what
this reading finds in its manifest. Whatever any of them says against it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from chopmark.provenance._codes import MALFORMED, credential_state, is_failure, own_problems
from chopmark.provenance._involvement import involvement
from chopmark.provenance._json import as_dict, as_list, as_text, codes
from chopmark.provenance.report import Ingredient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chopmark.provenance.report import CredentialState, ManifestState

__all__ = ["Inputs", "walk"]

# Bounds the walk over a hostile store; the largest real one known names a dozen inputs.
_MAX_SEEN: Final = 4_096
_BAD: Final = ("broken", "malformed")
_NONE: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a manifest names as its inputs.

    Attributes:
        reported: The first ones, breadth first, and every one beyond that something is wrong with,
            as far as there is room for twice as many.
        left_out: How many more there are.
    """

    reported: tuple[Ingredient, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class _Delta:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def walk(
    manifests: dict[str, Any],
    active: dict[str, Any],
    results: dict[str, Any],
    limit: int,
    broken: Mapping[str, Sequence[str]] = _NONE,
) -> Inputs:
    """Walk the tree breadth first.

    A manifest that several name is reported each time, since each records a finding of its own,
    and gone into once. ``broken`` is what `_ancestors` found, by manifest.
    """
    reported: list[Ingredient] = []
    left_out = 0
    deltas = _deltas(results, manifests)
    for name, failures in broken.items():
        deltas.setdefault(name, _Delta()).failed.extend(failures)
    for one in _every(manifests, active, deltas):
        room = limit if one.manifest not in _BAD else 2 * limit
        if len(reported) < room:
            reported.append(one)
        else:
            left_out += 1
    return Inputs(reported=tuple(reported), left_out=left_out)


def _every(
    manifests: dict[str, Any], active: dict[str, Any], deltas: dict[str, _Delta]
) -> Iterator[Ingredient]:
    entered: set[str] = set()
    level = [(active, 1)]
    count = 0
    while level:
        following: list[tuple[dict[str, Any], int]] = []
        for manifest, depth in level:
            for raw in as_list(manifest.get("ingredients")):
                entry = as_dict(raw)
                name = as_text(entry.get("active_manifest"))
                inner = as_dict(manifests.get(name)) if name else {}
                count += 1
                if count > _MAX_SEEN:
                    return
                yield _ingredient(entry, name, inner, deltas, depth)
                if name and name not in entered:
                    entered.add(name)
                    following.append((inner, depth + 1))
        level = following


def _ingredient(
    entry: dict[str, Any],
    name: str | None,
    inner: dict[str, Any],
    deltas: dict[str, _Delta],
    depth: int,
) -> Ingredient:
    # What its signer recorded when it came in is their word; what this reading finds overrules it.
    now = deltas.get(name or "", _Delta())
    said = _recorded(entry)
    failures = [
        code
        for code in said.failed
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
        trusted = "signingCredential.trusted" in {*said.passed, *now.passed}
        credential = credential_state(failures) or ("trusted" if trusted else "untrusted")
    signed = as_dict(inner.get("signature_info"))
    generator = as_dict(next(iter(as_list(inner.get("claim_generator_info"))), None))
    return Ingredient(
        manifest=state,
        credential=credential,
        title=as_text(entry.get("title")),
        relationship=as_text(entry.get("relationship")),
        id=name,
        ai=involvement(inner).kind is not None,
        signer=as_text(signed.get("issuer")),
        signed_at=as_text(signed.get("time")),
        made_with=as_text(generator.get("name")) or as_text(inner.get("claim_generator")),
        problems=tuple(failures),
        depth=depth,
    )


def _recorded(entry: dict[str, Any]) -> _Delta:
    """Return what was recorded of an input when it came in, in either form."""
    active = as_dict(as_dict(entry.get("validation_results")).get("activeManifest"))
    found = _Delta(codes(active, "success"), codes(active, "failure"))
    for raw in as_list(entry.get("validation_status")):
        status = as_dict(raw)
        code = as_text(status.get("code")) or "general.error"
        # What it says in favour is nothing that this reading would not find itself.
        if status.get("success") is False or (status.get("success") is None and is_failure(code)):
            found.failed.append(code)
    return found


def _deltas(results: dict[str, Any], manifests: dict[str, Any]) -> dict[str, _Delta]:
    """Return what is found in ingredients' manifests now and was not recorded, by manifest id."""
    found: dict[str, _Delta] = {}
    for raw in as_list(results.get("ingredientDeltas")):
        delta = as_dict(as_dict(raw).get("validationDeltas"))
        for kind in ("success", "failure"):
            for one in as_list(delta.get(kind)):
                status = as_dict(one)
                for part in (as_text(status.get("url")) or "").split("/"):
                    # Ids of older claims begin with their maker's name: `contentauth:urn:uuid:`.
                    if part in manifests or "urn:" in part:
                        into = found.setdefault(part, _Delta())
                        (into.passed if kind == "success" else into.failed).append(
                            str(status.get("code"))
                        )
    return found
