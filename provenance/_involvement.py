"""What a trained model did, as a manifest and those of its inputs say: made, edited, contains.

A picture is *made* by a model where the first thing said of it is that; *edited* where a model
changed a picture that it had not made; it *contains* a model's work where that was placed in it.
Sources: IPTC digital source type NewsCodes; C2PA 2.4, 18.15.4 (actions), 18.16 (ingredients) and
the ``c2pa.ai-disclosure`` assertion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.provenance._json import as_dict, as_list, as_text
from chopmark.provenance._origin import (
    actions,
    agent_of,
    ai_kind,
    disclosure,
    maker,
    metadata_types,
)
from chopmark.provenance.metadata import action_names_generator
from chopmark.provenance.report import AiSignal
from chopmark.provenance.source_types import source_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.provenance.report import AiKind

__all__ = ["Involvement", "ai_signal", "involvement"]

_RANK: Final[tuple[AiKind, ...]] = ("made", "edited", "contains", "maybe")
# Bounds the walk up a hostile history.
_MAX_DEPTH: Final = 64


@dataclass(frozen=True, kw_only=True)
class Involvement:
    """What a model did, and who says so.

    Attributes:
        kind: None where nothing is said.
        source_type: The statement, or the first one where none speaks of AI.
        system: The model or service.
    """

    kind: AiKind | None = None
    source_type: str | None = None
    system: str | None = None


def ai_signal(subject: dict[str, Any], manifests: dict[str, Any]) -> AiSignal:
    """Return where a trained model is named: in this manifest, or in one above it.

    Args:
        subject: The manifest that is asked about.
        manifests: All of the store, by id.
    """
    own = involvement(subject)
    above = _inherited(subject, manifests, {id(subject)}, 0)
    found = _strongest([own, *above])
    denied = own.kind is None and _born_otherwise(actions(subject))
    if found.kind is None:
        # What no ingredient leads to is no part of the history, and yet it is in the file.
        others = [involvement(as_dict(one)) for one in manifests.values() if one is not subject]
        if any(one.kind is not None for one in others):
            stray = _strongest(others)
            return AiSignal(
                state="ancestor", kind="contains", source_type=stray.source_type,
                system=stray.system, denied=denied,
            )  # fmt: skip
        return AiSignal(state="none", source_type=own.source_type, denied=denied)
    said = disclosure(subject) or {}
    return AiSignal(
        state="active" if own.kind is not None else "ancestor",
        kind=found.kind,
        source_type=own.source_type if own.kind is not None else found.source_type,
        system=found.system,
        denied=denied,
        oversight=as_text(as_dict(said.get("contentProfile")).get("humanOversightLevel")),
    )


def involvement(manifest: dict[str, Any]) -> Involvement:
    """Return what a manifest itself says, without its inputs."""
    found = list(_statements(manifest))
    first = next((one.source_type for one in found if one.source_type), None)
    strongest = _strongest([one for one in found if one.kind is not None])
    return strongest if strongest.kind is not None else Involvement(source_type=first)


def _statements(manifest: dict[str, Any]) -> Iterator[Involvement]:
    acts = actions(manifest)
    created = any(
        one.get("action") == "c2pa.created" and as_text(one.get("digitalSourceType"))
        for one in acts
    )
    based = created or _has_parent(manifest, acts)
    for act in acts:
        source = as_text(act.get("digitalSourceType"))
        if source is None:
            if act.get("action") == "c2pa.created" and _by_generator(act):
                yield Involvement(kind="made", system=agent_of(act) or maker(manifest))
            continue
        kind = ai_kind(source)
        # What a model does to a picture that was there before does not make it.
        if kind == "made" and act.get("action") != "c2pa.created" and based:
            kind = "contains" if act.get("action") == "c2pa.placed" else "edited"
        yield Involvement(
            kind=kind, source_type=source, system=agent_of(act) or maker(manifest)
        )  # fmt: skip
    for source in metadata_types(manifest):
        kind = ai_kind(source)
        if kind == "made" and based:
            kind = "edited"
        yield Involvement(kind=kind, source_type=source, system=maker(manifest))
    said = disclosure(manifest)
    if said is not None:
        system = as_text(said.get("modelName")) or maker(manifest)
        yield Involvement(kind="edited" if _other_base(manifest, acts) else "made", system=system)


def _by_generator(act: dict[str, Any]) -> bool:
    more = as_dict(act.get("parameters"))
    description = as_text(act.get("description")) or as_text(more.get("description"))
    return action_names_generator(description, agent_of(act))


def _has_parent(manifest: dict[str, Any], acts: list[dict[str, Any]]) -> bool:
    return any(one.get("action") == "c2pa.opened" for one in acts) or any(
        as_dict(one).get("relationship") == "parentOf"
        for one in as_list(manifest.get("ingredients"))
    )


def _other_base(manifest: dict[str, Any], acts: list[dict[str, Any]]) -> bool:
    """Whether the picture began as something that no model made, as far as is said."""
    return _has_parent(manifest, acts) or _born_otherwise(acts)


def _born_otherwise(acts: list[dict[str, Any]]) -> bool:
    return any(
        one.get("action") == "c2pa.created"
        and source_kind(as_text(one.get("digitalSourceType"))) == "denied"
        for one in acts
    )


def _inherited(
    manifest: dict[str, Any], manifests: dict[str, Any], entered: set[int], depth: int
) -> list[Involvement]:
    """Return what a manifest's inputs bring along; each manifest is gone into once."""
    found: list[Involvement] = []
    if depth >= _MAX_DEPTH:
        return found
    for raw in as_list(manifest.get("ingredients")):
        entry = as_dict(raw)
        inner = as_dict(manifests.get(as_text(entry.get("active_manifest")) or ""))
        if not inner or id(inner) in entered:
            continue
        entered.add(id(inner))
        one = _strongest([involvement(inner), *_inherited(inner, manifests, entered, depth + 1)])
        if one.kind is None:
            continue
        if entry.get("relationship") == "parentOf":
            found.append(one)
        else:
            found.append(
                Involvement(kind="contains", source_type=one.source_type, system=one.system)
            )
    return found


def _strongest(found: list[Involvement]) -> Involvement:
    for kind in _RANK:
        for one in found:
            if one.kind == kind:
                return one
    return Involvement()
