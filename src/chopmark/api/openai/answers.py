"""What OpenAI's clients read, made from what the pipeline says."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Literal

from chopmark.safety.categories import OPENAI_CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.api.openai.schemas import ImageOptions
    from chopmark.api.usage import Usage
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output, Released
    from chopmark.safety import Verdict

__all__ = [
    "Kind",
    "completed_event",
    "data_url",
    "images_response",
    "moderation_result",
    "partial_event",
    "sealed_response",
]

InputType = Literal["text", "image"]
Kind = Literal["image_generation", "image_edit"]


def images_response(
    released: Released,
    body: ImageOptions,
    usage: Usage,
    address: Callable[[Output], str] | None = None,
) -> dict[str, JsonValue]:
    """Return OpenAI's ``ImagesResponse``, with ``provenance`` at both levels as extras.

    Args:
        released: What leaves.
        body: What was asked for.
        usage: What it took.
        address: Makes the URL of a picture, where URLs are asked for; unset: a ``data:`` URL.
    """
    first = released.outputs[0]
    data: list[JsonValue] = []
    for output in released.outputs:
        picture: dict[str, JsonValue] = (
            {"url": (address or data_url)(output)}
            if body.response_format == "url"
            else {"b64_json": base64.b64encode(output.data).decode()}
        )
        data.append({**picture, "provenance": output.to_dict()})
    return {
        "created": int(time.time()),
        "data": data,
        **_look(first),
        "background": _ground(body),
        "quality": _quality(body),
        "safety_identifier": body.safety_identifier or body.user or None,
        "usage": usage.openai(),
        "provenance": _provenance(released),
    }


def data_url(output: Output) -> str:
    """Return a picture as its own URL."""
    return f"data:{output.mime};base64,{base64.b64encode(output.data).decode()}"


def sealed_response(released: Released) -> dict[str, JsonValue]:
    """Return what ``POST /api/v1/seal`` answers: an ``ImagesResponse`` of the one picture."""
    output = released.outputs[0]
    text = base64.b64encode(output.data).decode()
    return {
        "created": int(time.time()),
        "data": [{"b64_json": text, "provenance": output.to_dict()}],
        **_look(output),
        "provenance": _provenance(released),
    }


def partial_event(
    kind: Kind, preview: Preview, number: int, body: ImageOptions
) -> dict[str, JsonValue]:
    """Return the event that carries one preview; ``number`` counts those of the whole stream."""
    return {
        "type": f"{kind}.partial_image",
        "partial_image_index": number,
        "b64_json": base64.b64encode(preview.data).decode(),
        "created_at": int(time.time()),
        "size": f"{preview.width}x{preview.height}",
        "output_format": "png",
        "background": "opaque",
        "quality": _quality(body),
        "provenance": {"preview": True, **preview.to_dict()},
    }


def completed_event(
    kind: Kind,
    released: Released,
    output: Output,
    body: ImageOptions,
    usage: Usage,
) -> dict[str, JsonValue]:
    """Return the event that carries one final picture."""
    return {
        "type": f"{kind}.completed",
        "b64_json": base64.b64encode(output.data).decode(),
        "created_at": int(time.time()),
        **_look(output),
        "background": _ground(body),
        "quality": _quality(body),
        "safety_identifier": body.safety_identifier or body.user or None,
        "usage": usage.openai(),
        "provenance": {**_provenance(released), "output": output.to_dict()},
    }


def _look(output: Output) -> dict[str, JsonValue]:
    return {
        "size": f"{output.width}x{output.height}",
        "output_format": output.format,
        "background": "opaque",
    }


def _ground(body: ImageOptions) -> str:
    return "transparent" if getattr(body, "background", None) == "transparent" else "opaque"


def _quality(body: ImageOptions) -> str:
    asked: str = getattr(body, "quality", None) or "auto"
    # The answer names an effort of the newer scale only.
    return {"standard": "medium", "hd": "high", "auto": "medium"}.get(asked, asked)


def _provenance(released: Released) -> dict[str, JsonValue]:
    return {
        **released.about(),
        "prompt_verdict": released.prompt_verdict.to_dict(),
        "withheld": [
            {
                "index": item.index,
                "reason": item.reason,
                "categories": list(item.verdict.categories),
            }
            for item in released.withheld
        ],
        "timings_ms": {name: round(ms, 1) for name, ms in released.timings_ms.items()},
        "receipt": released.receipt.to_dict(),
    }


def moderation_result(parts: Sequence[tuple[InputType, Verdict]]) -> dict[str, JsonValue]:
    """Return one result of ``/v1/moderations`` over the parts of one input.

    OpenAI's 13 categories are always there, since clients read them by name; ours and a plugin's
    stand beside them. One that nothing here looks for is listed in ``not_evaluated``: its false is
    no promise.
    """
    names = list(OPENAI_CATEGORIES)
    named = {name for _, verdict in parts for name in (*verdict.scores, *verdict.categories)}
    names += sorted(named.difference(names))
    scores = {n: max(verdict.scores.get(n, 0.0) for _, verdict in parts) for n in names}
    applied: dict[str, JsonValue] = {
        name: [*sorted({kind for kind, verdict in parts if name in verdict.scores})]
        for name in names
    }
    evaluated = {name for _, verdict in parts for name in verdict.evaluated}
    reached = {name for _, verdict in parts for name in verdict.categories}
    actions = [verdict.action for _, verdict in parts]
    evidence: list[JsonValue] = [
        item.to_dict() for _, verdict in parts for item in verdict.evidence
    ]
    return {
        "flagged": any(verdict.flagged for _, verdict in parts),
        "categories": {name: name in reached for name in names},
        "category_scores": dict(scores),
        "category_applied_input_types": applied,
        "action": next((a for a in ("block", "review") if a in actions), "allow"),
        "evidence": evidence,
        "language": next((verdict.language for kind, verdict in parts if kind == "text"), None),
        "not_evaluated": [name for name in names if name not in evaluated],
    }
