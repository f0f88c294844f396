"""Gemini's safety settings as policy thresholds. They may tighten a policy, never loosen it.

Gemini names four harm categories and four thresholds; a threshold names the lowest probability
that is blocked. Ours are scores where 0.5 is each category's own operating point, so that the
bands below are ours too: HIGH begins at the operating point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from chopmark.safety.categories import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chopmark.kit.types import JsonValue
    from chopmark.safety import Policy, Verdict

__all__ = ["HARMS", "Threshold", "safety_ratings", "tighten"]

Threshold = Literal[
    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
]

_TEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "HARASSMENT": ("harassment", "harassment/threatening"),
    "HATE_SPEECH": ("hate", "hate/threatening", "extremism"),
    "SEXUALLY_EXPLICIT": ("sexual", "sexual/minors"),
    "DANGEROUS_CONTENT": (
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/intent",
        "self-harm/instructions",
        "violence",
        "violence/graphic",
    ),
}
# Gemini has the same four once more for pictures, and one for elections.
HARMS: Final[Mapping[str, tuple[str, ...]]] = {
    **{f"HARM_CATEGORY_{name}": ours for name, ours in _TEXT.items()},
    "HARM_CATEGORY_IMAGE_HARASSMENT": _TEXT["HARASSMENT"],
    "HARM_CATEGORY_IMAGE_HATE": _TEXT["HATE_SPEECH"],
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT": _TEXT["SEXUALLY_EXPLICIT"],
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT": _TEXT["DANGEROUS_CONTENT"],
    "HARM_CATEGORY_CIVIC_INTEGRITY": ("disinformation", "deepfake"),
}
_BANDS: Final = (("HIGH", 0.5), ("MEDIUM", 0.35), ("LOW", 0.2), ("NEGLIGIBLE", 0.0))
_BLOCKS_FROM: Final[Mapping[str, float]] = {
    "BLOCK_ONLY_HIGH": 0.5,
    "BLOCK_MEDIUM_AND_ABOVE": 0.35,
    "BLOCK_LOW_AND_ABOVE": 0.2,
}


def tighten(policy: Policy, settings: Iterable[tuple[str, Threshold]]) -> Policy:
    """Return a policy that is nowhere laxer than ``policy``.

    Args:
        policy: The tenant's own.
        settings: Pairs of Gemini's category and threshold. A category that we do not know, and
            ``BLOCK_NONE`` or ``OFF``, change nothing.
    """
    content = policy.model_dump(mode="json")
    changed = False
    for category, threshold in settings:
        limit = _BLOCKS_FROM.get(threshold)
        if limit is None:
            continue
        for name in HARMS.get(category, ()):
            for stage in STAGES:
                levels = content["categories"][name][stage]
                if levels["block"] is None or levels["block"] > limit:
                    levels["block"] = limit
                    changed = True
                if levels["review"] is not None:
                    levels["review"] = min(levels["review"], levels["block"])
    if not changed:
        return policy
    content["name"] = f"{policy.name}.tightened"
    return type(policy).model_validate(content)


def safety_ratings(verdicts: Iterable[Verdict]) -> list[JsonValue]:
    """Return Gemini's ratings of what was judged; what nothing looked for is left out."""
    verdicts = list(verdicts)
    ratings: list[JsonValue] = []
    for name, ours in _TEXT.items():
        scores = [v.scores[category] for v in verdicts for category in ours if category in v.scores]
        if scores:
            highest = max(scores)
            blocked = any(
                verdict.action == "block" and category in verdict.categories
                for verdict in verdicts
                for category in ours
            )
            ratings.append(
                {
                    "category": f"HARM_CATEGORY_{name}",
                    "probability": next(band for band, least in _BANDS if highest >= least),
                    "probabilityScore": round(highest, 4),
                    "blocked": blocked,
                }
            )
    return ratings
