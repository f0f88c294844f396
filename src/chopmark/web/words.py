"""Field terms in the words of somebody who never met them."""

from __future__ import annotations

from typing import Final

__all__ = ["category", "stage"]

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
}
_STAGES: Final = {
    "received": "Booked",
    "judge_prompt": "Prompt judged",
    "judge_input": "Input judged",
    "decided": "Decision booked",
    "generate": "Made",
    "judge_output": "Picture judged",
    "mark": "Watermarked",
    "sign": "Signed",
    "completed": "Result booked",
}


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
