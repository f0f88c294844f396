"""Look for the mark in all that a file holds: each frame, and what alpha hides of it.

What could not be looked at is never "nothing found": a mark that is found counts, whatever else
is missing, and without one the answer is that not everything was examined.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.kit.raw_picture import RawPicture
from chopmark.provenance.report import WatermarkFinding

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance.reading import Reading
    from chopmark.provenance.report import Within

__all__ = ["MOSTLY_THERE", "FramesLookedAt", "look_at_frames"]

MOSTLY_THERE: Final = 0.9
"""Share of a picture from which on its fingerprint is that of the whole."""


@dataclass(frozen=True, kw_only=True)
class FramesLookedAt:
    """What the frames of a file carry.

    Attributes:
        finding: Of all of them together.
        picture: The one that carries the mark, else the first; None where none was decoded.
        as_shown: ``picture`` is what a viewer shows, its alpha included, and all of it is marked.
        note: A sentence where the mark is not in the picture that people see first; else empty.
    """

    finding: WatermarkFinding
    picture: Shown | None = field(repr=False)
    as_shown: bool = True
    note: str = ""


def look_at_frames(read: Reading, look: Callable[[Shown], WatermarkFinding]) -> FramesLookedAt:
    """Look at each frame, those that are shown first, until one carries a mark.

    Args:
        read: What the file says, with its frames.
        look: Looks at one picture.
    """
    shown = dict(enumerate(read.shown))
    order = sorted(range(len(read.images)), key=lambda number: not shown.get(number, True))
    missed: WatermarkFinding | None = None
    nothing = WatermarkFinding(state="none")
    seen = set[bytes]()
    for number in order:
        for picture in _ways(read.images[number]):
            # Frames come back in many animations, and a search for what is not there takes long.
            if len(read.images) > 1:
                digest = hashlib.sha256(RawPicture.of(picture).data).digest()
                if digest in seen:
                    continue
                seen.add(digest)
            finding = look(picture)
            if finding.state in {"detected", "conflict"}:
                as_shown = picture is read.images[number] and shown.get(number, True)
                several = sum(shown.values()) > 1
                cut = read.share < MOSTLY_THERE
                part: Within | None = "part" if finding.box and not cut else None
                within: Within | None = "frame" if several else part
                within = within if as_shown else "hidden"
                if cut:
                    # What is missing looks like nothing: nor can it look like another picture.
                    finding = dataclasses.replace(finding, content_agreeing=None)
                return FramesLookedAt(
                    finding=dataclasses.replace(finding, within=within),
                    picture=picture,
                    as_shown=as_shown and part is None,
                    note=_note(number, len(read.images), as_shown=as_shown),
                )
            if finding.state == "not_examined":
                missed = missed or finding
            nothing = finding if finding.searched or not nothing.searched else nothing
    if read.undecoded:
        reason = read.undecoded
        missed = dataclasses.replace(nothing, state="not_examined", reason=reason)
    return FramesLookedAt(finding=missed or nothing, picture=read.image)


def _ways(picture: Shown) -> list[Shown]:
    """Return the picture as it stands, and what a program sees of it that ignores alpha."""
    raw = RawPicture.of(picture) if picture.mode == "RGBA" else None
    return [picture, raw.without_alpha()] if raw is not None and raw.hides else [picture]


def _note(number: int, count: int, *, as_shown: bool) -> str:
    hidden = "" if as_shown else ", in pixels that viewers do not show"
    if count == 1:
        return f"The mark stands in this file{hidden}." if hidden else ""
    return f"The mark stands in picture {number + 1} of the {count} in this file{hidden}."
