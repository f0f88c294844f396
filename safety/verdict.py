"""What a guard says: the action, the scores behind it, and the evidence for them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.kit.types import Action, JsonValue

__all__ = ["Cue", "Evidence", "EvidenceKind", "People", "Verdict"]

EvidenceKind = Literal["span", "lexicon", "model", "hash", "image", "rule"]
Cue = Literal["youth", "writing", "doubt"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One reason for a score.

    Attributes:
        category: The category that it speaks for.
        kind: Where it comes from.
        start: First character of the span in the *original* text; ``None`` for no span.
        end: One past the last character of the span in the original text.
        text: The original text of the span, empty where there is none.
        detail: One sentence for an analyst: model and score, list and entry, rule.
        box: Where in a picture, in pixels: left, top, right, bottom; ``None`` for all of it.
    """

    category: str
    kind: EvidenceKind
    start: int | None = None
    end: int | None = None
    text: str = ""
    detail: str = ""
    box: tuple[int, int, int, int] | None = None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return {
            "category": self.category,
            "kind": self.kind,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "detail": self.detail,
            "box": None if self.box is None else list(self.box),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Whether people are to be seen in a picture, by their faces: a signal, never a harm by itself.

    Attributes:
        faces: How many.
        largest: Height of the largest over the short side of the picture, 0..1; 0 without one.
        boxes: Left, top, right, bottom of each, in pixels, tallest first. Neither the JSON form nor
            the log has them; an answer that is kept for its ``Idempotency-Key`` does, sealed.
    """

    faces: int
    largest: float
    boxes: tuple[tuple[int, int, int, int], ...] = ()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON form: how many and how large."""
        return {"faces": self.faces, "largest": round(self.largest, 3)}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement of one text or picture under one policy.

    Everything except ``elapsed_ms`` is a function of the input, the policy and the models.

    Attributes:
        action: What the policy says to do.
        scores: Category to score, each in 0..1 and rounded to six digits.
        evidence: The reasons, in a fixed order.
        categories: Those whose score or rule led to ``action``; empty for ``allow``.
        evaluated: Categories that something here can recognise.
        not_evaluated: Categories that nothing here looks for. Not evaluated is not safe.
        policy: SHA-256 of the policy's canonical form, in hex.
        models: ``id@digest`` of everything that took part.
        elapsed_ms: Wall time of this judgement in milliseconds.
        cues: What was seen that is no harm by itself and matters to whoever judges next: ``youth``
            (somebody under eighteen is spoken of), ``writing`` (the picture is to hold text),
            ``doubt`` (a doubtful sign beside ``youth``: for few eyes, and no accusation).
        language: Of a text, in BCP 47; ``und`` where nothing can say, and for pictures.
        people: Of a picture, the faces in it; ``None`` where nothing looked for them.
    """

    action: Action
    scores: Mapping[str, float]
    evidence: tuple[Evidence, ...] = ()
    categories: tuple[str, ...] = ()
    evaluated: tuple[str, ...] = ()
    not_evaluated: tuple[str, ...] = ()
    policy: str = ""
    models: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    cues: tuple[Cue, ...] = ()
    language: str = "und"
    people: People | None = None

    def __post_init__(self) -> None:
        """Freeze the scores."""
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))

    @property
    def flagged(self) -> bool:
        """Whether the policy does anything but let it through."""
        return self.action != "allow"

    @property
    def restricted(self) -> bool:
        """Whether the item is for few eyes only: ``sexual/minors``, blocked or in doubt."""
        blocked = self.action == "block" and "sexual/minors" in self.categories
        return blocked or "doubt" in self.cues

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON form; plain dicts, lists, strings and numbers."""
        return {
            "flagged": self.flagged,
            "action": self.action,
            "categories": list(self.categories),
            "scores": dict(self.scores),
            "evidence": [item.to_dict() for item in self.evidence],
            "evaluated": list(self.evaluated),
            "not_evaluated": list(self.not_evaluated),
            "language": self.language,
            "people": None if self.people is None else self.people.to_dict(),
            "policy": self.policy,
            "models": list(self.models),
            "elapsed_ms": round(self.elapsed_ms, 3),
        }

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by value: a mapping proxy does not pickle by itself."""
        return _rebuild, ({**self.__dict__, "scores": dict(self.scores)},)


def _rebuild(fields: dict[str, object]) -> Verdict:
    return Verdict(**fields)  # type: ignore[arg-type]
