"""Small copies of flagged outputs, so that a reviewer can decide on what a guard was unsure of.

They go into the log's private part, under the person's key: encrypted, erased with the prompt, gone
when its retention ends. What may touch minors, or stands on a hash list, is never kept.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

from chopmark.kit import ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["may_be_kept", "review_copies", "review_copy"]

_SIDE: Final = 256
_NEVER: Final = "sexual/minors"
_ANY_SIGN: Final = 0.05


def review_copies(
    record_id: str,
    judged: Sequence[tuple[int, Image.Image, Verdict]],
    others: Sequence[Verdict],
) -> dict[str, JsonValue]:
    """Return the copies of a request's outputs by output id, of those that need one.

    Args:
        record_id: Of the request.
        judged: Place (1..n), picture and verdict of each output.
        others: Verdicts on the prompt and the input pictures.
    """
    copies = {
        ids.output_id(record_id, index): review_copy(picture, verdict, others)
        for index, picture, verdict in judged
    }
    return {output_id: copy for output_id, copy in copies.items() if copy is not None}


def may_be_kept(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether a copy of a picture may be kept: nothing listed, no sign of minors."""
    return not any(
        any(item.kind == "hash" for item in one.evidence)
        # Far below the threshold of any policy: in doubt nothing is kept.
        or _NEVER in one.categories
        or one.scores.get(_NEVER, 0.0) >= _ANY_SIGN
        for one in verdicts
    )


def review_copy(
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
    verdicts = (verdict, *others)
    if all(one.action == "allow" for one in verdicts):
        return None
    if not may_be_kept(verdicts):
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
