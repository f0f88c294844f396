"""Where a manifest says that its picture comes from: source types, actions, our own record.

The source types are IPTC's (digital source type NewsCodes), told by their last parts.
"""

from __future__ import annotations

from typing import Any, Final

from chopmark.provenance._json import as_dict, as_list, as_text, as_texts, last_part
from chopmark.provenance.manifest import RECORD_LABEL
from chopmark.provenance.report import AiSignal

__all__ = ["AI_TYPES", "DENYING_TYPES", "ai_signal", "first_action", "record_of", "source_type"]

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


def ai_signal(
    active: dict[str, Any], source: str | None, ancestors: list[dict[str, Any]]
) -> AiSignal:
    """Return where a trained model is named: in this manifest, or in one above it."""
    if source is not None and last_part(source) in AI_TYPES:
        return AiSignal(state="active", source_type=source, system=_agent(active))
    born = [
        as_text(one.get("digitalSourceType"))
        for one in _actions(active)
        if one.get("action") == "c2pa.created"
    ]
    denied = any(one is not None and last_part(one) in DENYING_TYPES for one in born)
    for one in ancestors:
        above = source_type(one)
        if above is not None and last_part(above) in AI_TYPES:
            return AiSignal(state="ancestor", source_type=above, system=_agent(one), denied=denied)
    return AiSignal(state="none", source_type=source, denied=denied)


def source_type(manifest: dict[str, Any]) -> str | None:
    """Return the manifest's strongest statement of origin: an AI one if any, else the first."""
    found: list[str] = []
    for raw in as_list(manifest.get("assertions")):
        assertion = as_dict(raw)
        label = as_text(assertion.get("label")) or ""
        data = as_dict(assertion.get("data"))
        if label.startswith("c2pa.actions"):
            for action in as_list(data.get("actions")):
                found += as_texts(as_dict(action).get("digitalSourceType"))
        elif label in {"c2pa.metadata", "cawg.metadata", "stds.iptc"}:
            found += as_texts(data.get("Iptc4xmpExt:DigitalSourceType"))
        elif label == "stds.schema-org.CreativeWork":
            found += as_texts(data.get("digitalSourceType"))
    for one in found:
        if last_part(one) in AI_TYPES:
            return one
    return found[0] if found else None


def _agent(manifest: dict[str, Any]) -> str | None:
    for raw in _actions(manifest):
        source = as_text(raw.get("digitalSourceType"))
        if source is not None and last_part(source) in AI_TYPES:
            agent = raw.get("softwareAgent")
            named = as_dict(agent)
            if named:
                words = [as_text(named.get("name")), as_text(named.get("version"))]
                return " ".join(word for word in words if word) or None
            if text := as_text(agent):
                return text
    generator = as_list(manifest.get("claim_generator_info"))
    return (as_text(as_dict(generator[0]).get("name")) if generator else None) or as_text(
        manifest.get("claim_generator")
    )


def first_action(manifest: dict[str, Any]) -> str | None:
    """Return the name of the manifest's first action."""
    actions = _actions(manifest)
    return as_text(actions[0].get("action")) if actions else None


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
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
