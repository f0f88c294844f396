"""Field terms in the words of somebody who never met them."""

from __future__ import annotations

from typing import Final

__all__ = ["MODELS_PAGE", "PROGRESS", "category", "progress_step", "stage"]

MODELS_PAGE: Final = "https://github.com/chopmark/chopmark/blob/main/docs/models.md"
"""Where somebody reads which model draws what."""

_CATEGORIES: Final = {
    "harassment": "Harassment",
    "harassment/threatening": "Threats",
    "hate": "Hate",
    "hate/threatening": "Threats out of hate",
    "illicit": "Illegal acts",
    "illicit/violent": "Illegal acts with violence",
    "self-harm": "Self-harm",
    "self-harm/intent": "Intent of self-harm",
    "self-harm/instructions": "Instructions for self-harm",
    "sexual": "Sexual content",
    "sexual/minors": "Sexual content with minors",
    "violence": "Violence",
    "violence/graphic": "Graphic violence",
    "extremism": "Extremism",
    "deepfake": "Deception about a real person",
    "disinformation": "Disinformation",
    "ip": "Protected characters and brands",
    "obfuscated": "Disguised text",
    "weapons": "Weapons",
    "hate/symbols": "Hate symbols",
}
_STAGES: Final = {
    "received": "Logged",
    "judge_prompt": "Prompt judged",
    "judge_input": "Input judged",
    "decided": "Decision logged",
    "generate": "Made",
    "judge_output": "Picture judged",
    "mark": "Watermarked",
    "sign": "Signed",
    "completed": "Result logged",
}
# What somebody who waits is shown, and the stages of the pipeline that belong to each.
_PROGRESS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("Judging what you asked for", frozenset({"received", "judge prompt", "judge input"})),
    ("Making the pictures", frozenset({"decided", "recall", "generate", "generating"})),
    ("Judging the pictures", frozenset({"judge output"})),
    ("Marking and signing", frozenset({"mark", "sign", "marking and signing"})),
    ("Logging", frozenset({"completed"})),
)
PROGRESS: Final = tuple(name for name, _ in _PROGRESS)


def progress_step(stage_name: str) -> int | None:
    """Return the number of the step in :data:`PROGRESS` that a stage belongs to, if to any."""
    return next((at for at, (_, stages) in enumerate(_PROGRESS) if stage_name in stages), None)


def category(name: str) -> str:
    """Return a category's name for people; one that is not ours as it reads (`games/of-chance`)."""
    known = _CATEGORIES.get(name)
    if known is not None:
        return known
    words = name.replace("/", ": ").replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def stage(name: str) -> str:
    """Return a stage's name for people, by its own name with or without underscores."""
    return _STAGES.get(name.replace(" ", "_"), name)
