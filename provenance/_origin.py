"""Where a manifest says that its picture comes from: source types, actions, our own record.

The source types are IPTC's (digital source type NewsCodes), told by their last parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.provenance._json import as_dict, as_list, as_text, as_texts, last_part
from chopmark.provenance.manifest import DISCLOSURE_LABEL, RECORD_LABEL
from chopmark.provenance.source_types import find_source_type, source_kind

if TYPE_CHECKING:
    from chopmark.provenance.report import AiKind
    from chopmark.provenance.source_types import SourceKind

__all__ = [
    "actions",
    "agent_of",
    "ai_kind",
    "ai_kind_of",
    "born_as",
    "disclosure",
    "first_action",
    "maker",
    "metadata_types",
    "record_of",
    "words_of",
]


def ai_kind(stated: str | None) -> AiKind | None:
    """Return what a stated source type says that a trained model did, or None."""
    return ai_kind_of(source_kind(stated))


def ai_kind_of(kind: SourceKind) -> AiKind | None:
    """Return a kind if it names a trained model, or None."""
    if kind == "denied" or kind == "open":  # noqa: PLR1714  what mypy narrows by
        return None
    return kind


def words_of(stated: str | None) -> str:
    """Return what a stated source type means, to follow "says that it is"."""
    found = find_source_type(stated)
    return found.words if found else repr(last_part(stated or "nothing")[:64])


def metadata_types(manifest: dict[str, Any]) -> list[str]:
    """Return the source types that stand beside the actions, in metadata assertions."""
    found: list[str] = []
    for raw in as_list(manifest.get("assertions")):
        assertion = as_dict(raw)
        label = as_text(assertion.get("label")) or ""
        data = as_dict(assertion.get("data"))
        if label in {"c2pa.metadata", "cawg.metadata", "stds.iptc"}:
            found += as_texts(data.get("Iptc4xmpExt:DigitalSourceType"))
        elif label == "stds.schema-org.CreativeWork":
            found += as_texts(data.get("digitalSourceType"))
    return found


def disclosure(manifest: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first ``c2pa.ai-disclosure`` assertion (C2PA 2.4), or None."""
    for raw in as_list(manifest.get("assertions")):
        label = as_text(as_dict(raw).get("label")) or ""
        if label.partition("__")[0] == DISCLOSURE_LABEL:
            return as_dict(as_dict(raw).get("data"))
    return None


def agent_of(action: dict[str, Any]) -> str | None:
    """Return what did an action, as it is named there."""
    agent = action.get("softwareAgent")
    named = as_dict(agent)
    if named:
        words = [as_text(named.get("name")), as_text(named.get("version"))]
        return " ".join(word for word in words if word) or None
    return as_text(agent)


def maker(manifest: dict[str, Any]) -> str | None:
    """Return what a manifest says made it."""
    generator = as_list(manifest.get("claim_generator_info"))
    return (as_text(as_dict(generator[0]).get("name")) if generator else None) or as_text(
        manifest.get("claim_generator")
    )


def first_action(manifest: dict[str, Any]) -> str | None:
    """Return the name of the manifest's first action."""
    done = actions(manifest)
    return as_text(done[0].get("action")) if done else None


def born_as(manifest: dict[str, Any]) -> str | None:
    """Return the source type that the picture was created with, where that is said."""
    for one in actions(manifest):
        if one.get("action") == "c2pa.created":
            return as_text(one.get("digitalSourceType"))
    return None


def actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a manifest's actions, in their order."""
    return [
        as_dict(action)
        for raw in as_list(manifest.get("assertions"))
        if (as_text(as_dict(raw).get("label")) or "").startswith("c2pa.actions")
        for action in as_list(as_dict(as_dict(raw).get("data")).get("actions"))
    ]


def record_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return our own assertion, or nothing."""
    for raw in as_list(manifest.get("assertions")):
        if as_dict(raw).get("label") == RECORD_LABEL:
            return as_dict(as_dict(raw).get("data"))
    return {}
