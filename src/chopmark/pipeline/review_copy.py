"""Small copies of flagged outputs, so that a reviewer can decide on what a guard was unsure of.

They go into the log's private part, under the person's key: encrypted, erased with the prompt, gone
when its retention ends. What may touch minors, or stands on a hash list, is never kept.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["look_at"]

_SIDE: Final = 256
_NEVER: Final = "sexual/minors"
_ANY_SIGN: Final = 0.05


def look_at(
    picture: Image.Image, verdict: Verdict, others: Sequence[Verdict]
) -> dict[str, JsonValue] | None:
    """Return a copy of a picture at most 256 pixels wide and high, and what its guard points at.

    Args:
        picture: An output, before it is marked.
        verdict: On this picture.
        others: On the prompt and the input picture of the same request.

    Returns:
        ``webp`` (base64) and ``boxes`` (left, top, width, height in percent, category); ``None``
        where nothing was flagged, or where nothing may be kept.
    """
    every = (verdict, *others)
    if all(one.action == "allow" for one in every):
        return None
    for one in every:
        listed = any(item.kind == "hash" for item in one.evidence)
        minors = _NEVER in one.categories or one.scores.get(_NEVER, 0.0) >= _ANY_SIGN
        if listed or minors:
            return None
    small = picture.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=70)
    boxes: list[JsonValue] = []
    for item in verdict.evidence:
        box = getattr(item, "box", None)
        if box is not None:
            left, top, right, bottom = box
            wide, high = 100 / picture.width, 100 / picture.height
            boxes.append(
                [
                    round(left * wide, 2),
                    round(top * high, 2),
                    round((right - left) * wide, 2),
                    round((bottom - top) * high, 2),
                    item.category,
                ]
            )
    return {"webp": base64.b64encode(out.getvalue()).decode(), "boxes": boxes}
