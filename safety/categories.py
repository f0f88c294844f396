"""The closed set of categories and stages that policies and verdicts speak of.

The first thirteen are those of OpenAI's moderation endpoint, by the same names, so that
``/v1/moderations`` needs no translation; the other five are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from chopmark.kit.types import Action

__all__ = [
    "CATEGORIES",
    "MODEL_CATEGORIES",
    "OPENAI_CATEGORIES",
    "STAGES",
    "Category",
    "Stage",
    "worst",
]

Category: TypeAlias = Literal[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
    "extremism",
    "deepfake",
    "disinformation",
    "ip",
    "obfuscated",
]
Stage: TypeAlias = Literal["prompt", "input", "output"]

CATEGORIES: Final[tuple[str, ...]] = get_args(Category)
OPENAI_CATEGORIES: Final[tuple[str, ...]] = CATEGORIES[:13]
STAGES: Final[tuple[str, ...]] = get_args(Stage)
#: What the trained prompt head scores, in the order of its outputs.
MODEL_CATEGORIES: Final[tuple[str, ...]] = (
    "sexual",
    "violence",
    "hate",
    "harassment",
    "self-harm",
    "illicit",
    "extremism",
    "deepfake",
    "disinformation",
    "ip",
)

_ORDER: Final[dict[Action, int]] = {"allow": 0, "review": 1, "block": 2}


def worst(*actions: Action) -> Action:
    """Return the strictest of the actions; ``allow`` when there is none."""
    return max(actions, key=_ORDER.__getitem__, default="allow")
