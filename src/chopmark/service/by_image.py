"""Which record a picture belongs to: by its mark first, then by its likeness to what left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.audit import Query
from chopmark.errors import Cancelled, ChopmarkError, StageTimeout, WorkError
from chopmark.kit.fingerprint import MATCH_DISTANCE
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from chopmark.audit import Desk, Hit
    from chopmark.kit.raw_picture import Shown
    from chopmark.pipeline.parts import Parts

__all__ = ["FoundByImage", "find_by_image"]

_METHODS: Final = ("lattice",)
_MOST: Final = 20


@dataclass(frozen=True, kw_only=True)
class FoundByImage:
    """A record that a picture may come from.

    Attributes:
        hit: Which; its ``distance`` is of the fingerprint, in bits of 256.
        by: What led to it.
        output_id: The output that the mark names.
        p_value: Chance that the mark was read where there is none.
        box: Where the mark was found in a part of the picture: ``[x, y, width, height]``.
    """

    hit: Hit
    by: Literal["watermark", "fingerprint"]
    output_id: str | None = None
    p_value: float | None = None
    box: list[int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the members for JSON, those of the hit among them."""
        own = {name: getattr(self, name) for name in ("by", "output_id", "p_value", "box")}
        return {**self.hit.to_dict(), **own}


def find_by_image(
    parts: Parts, desk: Desk, data: bytes
) -> tuple[list[FoundByImage], dict[str, Any]]:
    """Return the records that a picture may come from, the surest first. It is not kept.

    The mark names one output, however small the crop; the fingerprint compares whole pictures, and
    says how many of its 256 bits differ.

    Args:
        parts: Keys, and whoever takes strangers' files apart.
        desk: Of whoever asks; the search is booked there, and finds what they may see.
        data: A file.

    Returns:
        What was found, and of the mark whether it could be looked for (``state``).

    Raises:
        NotPermitted: No role for it.
        InvalidRequest: The bytes are no picture.
    """
    image = parts.files.decode(data)
    mark = _mark(parts, image)
    hits: list[FoundByImage] = []
    payload = mark.pop("payload")
    if payload is not None:
        hits += [
            FoundByImage(
                hit=hit,
                by="watermark",
                output_id=payload,
                p_value=mark["p_value"],
                box=mark["box"],
            )
            for hit in desk.search(Query(text=record_of(payload)), limit=1)
        ]
    seen = {one.hit.record_id for one in hits}
    pdq = parts.pixels.prints(image).turned[0]
    near = desk.search(Query(similar_to=pdq, distance=MATCH_DISTANCE), limit=_MOST)
    hits += [
        FoundByImage(hit=hit, by="fingerprint")
        for hit in sorted(near, key=lambda hit: (hit.distance or 0, -hit.index))
        if hit.record_id not in seen
    ]
    return hits, mark


def _mark(parts: Parts, image: Shown) -> dict[str, Any]:
    """Look for our mark; ``state`` is ``detected``, ``none`` or ``not_examined`` with a reason."""
    nothing: dict[str, Any] = {"p_value": None, "box": None, "payload": None, "reason": None}
    if not parts.exists("mark_keys"):
        return {"state": "not_examined", **nothing, "reason": "there are no keys here"}
    methods = tuple(dict.fromkeys((parts.settings.mark_method, *_METHODS)))
    try:
        found = parts.pixels.mark(image, methods)
    except (Cancelled, StageTimeout, WorkError):
        raise  # nobody has looked
    except ChopmarkError as error:
        return {"state": "not_examined", **nothing, "reason": error.message}
    if not found.detected or found.payload is None:
        return {"state": "none", **nothing, "p_value": found.p_value}
    return {
        "state": "detected",
        "p_value": found.p_value,
        "box": found.details.get("box"),
        "payload": found.payload.hex(),
        "reason": None,
    }
