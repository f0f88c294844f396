"""The categories that Chopmark knows, the form of any other's name, and the stages of judgement.

A category is data: a policy or a plugin's guard may name one that is not in this list (`gambling`),
and it is judged, logged and shown like ours. The first thirteen are those of OpenAI's moderation
endpoint, by the same names, so that ``/v1/moderations`` needs no translation; the other eight
are ours.

>>> is_category("gambling"), is_category("Gambling!")
(True, False)
>>> closest("sexual/miners")
'sexual/minors'
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.kit.types import Action

__all__ = [
    "CATEGORIES",
    "FORM",
    "MODEL_CATEGORIES",
    "OPENAI_CATEGORIES",
    "STAGES",
    "Stage",
    "closest",
    "in_order",
    "is_category",
    "worst",
]

Stage: TypeAlias = Literal["prompt", "input", "output"]

CATEGORIES: Final[tuple[str, ...]] = (
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
    "sexual/nonconsensual",
    "extremism",
    "deepfake",
    "disinformation",
    "ip",
    "obfuscated",
    "weapons",
    "hate/symbols",
)
OPENAI_CATEGORIES: Final[tuple[str, ...]] = CATEGORIES[:13]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
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
    "sexual/nonconsensual",
)
#: The form of a name, for people who read an error.
FORM: Final[str] = (
    "lower-case letters, digits, '-' and '_', with '/' between parts, 64 characters at most"
)

# One part or several with single slashes between; each begins with a letter or digit, so that no
# name is mistaken for a path (`/x`, `../x`) or for an option of a command (`-x`).
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*)*")
_LONGEST: Final[int] = 64
#: From this ratio on (difflib's: 2 * matching characters / all characters of both) a name is taken
#: for a misspelling of another: one wrong letter in five.
_ALIKE: Final[float] = 0.8
_ORDER: Final[dict[Action, int]] = {"allow": 0, "review": 1, "block": 2}


def is_category(name: str) -> bool:
    """Tell whether a text has the form of a category's name; see :data:`FORM`."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def closest(name: str) -> str | None:
    """Return the known category that an unknown name may be a misspelling of."""
    if name in CATEGORIES:
        return None
    near = difflib.get_close_matches(name.lower(), CATEGORIES, n=1, cutoff=_ALIKE)
    return near[0] if near else None


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once: known categories in the order of this list, then others by name."""
    wanted = set(names)
    known = tuple(name for name in CATEGORIES if name in wanted)
    return known + tuple(sorted(wanted.difference(CATEGORIES)))


def worst(*actions: Action) -> Action:
    """Return the strictest of the actions; ``allow`` when there is none."""
    return max(actions, key=_ORDER.__getitem__, default="allow")
