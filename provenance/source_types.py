"""What a picture's digital source type says of AI: one table for manifests, XMP and EXIF.

Sources: IPTC NewsCodes, scheme ``digitalsourcetype`` (retired terms too, since files keep them);
C2PA 2.4, section 18.15 (its own two); GB 45438-2025, section 4.2, for China's ``Label``.

>>> source_kind("http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic")
'contains'
>>> source_kind("digsrctype:trainedAlgorithmicMedia")
'made'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "AI_KINDS",
    "TERMS",
    "SourceKind",
    "SourceType",
    "aigc_kind",
    "find_source_type",
    "source_kind",
]

SourceKind = Literal["made", "edited", "contains", "maybe", "denied", "open"]
"""``made`` by a trained model; ``edited`` with one; ``contains`` something made by one; ``maybe``,
where the source itself says so; ``denied``: what is stated rules a trained model out, for the
picture as a whole; ``open``: a source type that says nothing either way."""

AI_KINDS: Final[tuple[SourceKind, ...]] = ("made", "edited", "contains", "maybe")
"""Those that name a trained model, the strongest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceType:
    """One term.

    Attributes:
        name: Last part of its URI.
        kind: What it says of AI.
        words: What it means, to follow "says that it is".
    """

    name: str
    kind: SourceKind
    words: str


_ROWS: Final[tuple[tuple[str, SourceKind, str], ...]] = (
    ("trainedAlgorithmicMedia", "made", "made by a trained model"),
    ("trainedAlgorithmicData", "made", "data made by a trained model"),
    ("compositeWithTrainedAlgorithmicMedia", "edited", "edited with a trained model"),
    ("compositeSynthetic", "contains", "put together with parts made by a trained model"),
    ("digitalCapture", "denied", "a digital photograph"),
    ("computationalCapture", "denied", "a photograph of several exposures"),
    ("negativeFilm", "denied", "scanned from a negative"),
    ("positiveFilm", "denied", "scanned from a positive"),
    ("print", "denied", "scanned from a print"),
    ("humanEdits", "denied", "edited by a person without a trained model"),
    ("minorHumanEdits", "denied", "slightly edited by a person"),
    ("digitalCreation", "denied", "made by a person with a program"),
    ("digitalArt", "denied", "made by a person with a program"),
    ("softwareImage", "denied", "made by a program"),
    ("screenCapture", "denied", "a picture of a screen"),
    ("virtualRecording", "denied", "a recording of a virtual event"),
    ("compositeCapture", "denied", "put together from photographs"),
    ("algorithmicMedia", "denied", "made by an algorithm that was not trained"),
    ("dataDrivenMedia", "denied", "drawn from data"),
    ("algorithmicallyEnhanced", "open", "enhanced by an algorithm"),
    ("composite", "open", "put together from several pictures"),
    ("empty", "open", "an empty canvas"),
)
TERMS: Final = tuple(SourceType(name=name, kind=kind, words=words) for name, kind, words in _ROWS)
"""All terms that are known here."""

_BY_NAME: Final = {one.name.lower(): one for one in TERMS}
# A URI ends in the term, a qcode (IPTC's short form) has it after its colon.
_LAST: Final = re.compile(r"([A-Za-z]{1,64})[/#?\s]{0,8}\Z")
_AIGC: Final[dict[str, SourceKind]] = {"1": "made", "2": "maybe", "3": "maybe"}


def find_source_type(stated: str | None) -> SourceType | None:
    """Return the term that a URI, a qcode or a bare name stands for; None for an unknown one."""
    found = _LAST.search((stated or "")[-512:])
    return _BY_NAME.get(found.group(1).lower()) if found else None


def source_kind(stated: str | None) -> SourceKind:
    """Return what a stated source type says of AI; ``open`` for an unknown one."""
    found = find_source_type(stated)
    return found.kind if found else "open"


def aigc_kind(label: str | None) -> SourceKind:
    """Return what China's ``Label`` says: 1 made, 2 may be, 3 suspected; else ``open``."""
    return _AIGC.get((label or "").strip(), "open")
