"""What Gemini's clients read, made from what the pipeline says."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from chopmark.api.gemini.safety_settings import safety_ratings

if TYPE_CHECKING:
    from chopmark.api.usage import Usage
    from chopmark.generation import ModelInfo
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output, Refused, Released

__all__ = ["beside", "candidates", "inline", "refusal"]


def beside(released: Released, usage: Usage) -> dict[str, JsonValue]:
    """Return what stands beside the candidates."""
    return {
        "usageMetadata": usage.gemini(),
        "modelVersion": released.model,
        "responseId": released.record_id,
        "provenance": {
            **released.about(),
            "outputs": [output.to_dict() for output in released.outputs],
            "receipt": released.receipt.to_dict(),
        },
    }


def candidates(released: Released) -> list[JsonValue]:
    """Return one candidate for each picture that was asked for, in order."""
    made: dict[int, dict[str, JsonValue]] = {
        output.index: {
            "content": {"role": "model", "parts": [_part(output)]},
            "finishReason": "STOP",
            "safetyRatings": safety_ratings([output.verdict]),
        }
        for output in released.outputs
    }
    for item in released.withheld:
        made[item.index] = {
            "finishReason": "IMAGE_SAFETY" if item.reason == "policy" else "IMAGE_OTHER",
            "safetyRatings": safety_ratings([item.verdict]),
        }
    return [{"index": index - 1, **made[index]} for index in sorted(made)]


def _part(output: Output) -> dict[str, JsonValue]:
    # Some clients keep a picture in the conversation only with a signature: ours is its name.
    signature = base64.b64encode(output.output_id.encode()).decode()
    return {"inlineData": inline(output), "thoughtSignature": signature}


def inline(picture: Output | Preview) -> dict[str, JsonValue]:
    """Return the bytes of a picture as Gemini writes them."""
    return {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}


def refusal(
    refused: Refused, info: ModelInfo, usage: Usage
) -> tuple[list[JsonValue], dict[str, JsonValue], str]:
    """Return the candidates of a refusal, what stands beside them, and the record."""
    verdict = refused.verdict
    ratings = safety_ratings([verdict]) if refused.categories else []
    rest: dict[str, JsonValue] = {
        "usageMetadata": usage.gemini(),
        "modelVersion": f"{info.id}@{info.version}",
        "responseId": refused.record_id,
        "provenance": {
            "record_id": refused.record_id,
            "decision_id": refused.record_id,
            "categories": list(refused.categories),
            "evidence": refused.evidence,
        },
    }
    if refused.stage == "output":
        return (
            [{"index": 0, "finishReason": "IMAGE_SAFETY", "safetyRatings": ratings}],
            rest,
            refused.record_id,
        )
    minors = "sexual/minors" in refused.categories
    rest["promptFeedback"] = {
        "blockReason": "PROHIBITED_CONTENT" if minors else "SAFETY",
        "safetyRatings": ratings,
    }
    return [], rest, refused.record_id
