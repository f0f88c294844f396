"""Measured figures that reports quote, each with the line of ``docs/benchmarks.md`` it stands in.

The manual is not in the wheel, so the figures are here as well; ``tests/unit/test_compliance.py``
fails when one is no longer what the manual says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["FIGURES", "Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        what: What was measured.
        value: The figure, with its interval where it has one.
        n: Of how many.
        date: On which day, ISO 8601.
        limits: What has to be known to read it.
        quote: Where it stands in ``docs/benchmarks.md``, word for word.
        heading: Word for word what says in that page when it was measured.
    """

    what: str
    value: str
    n: str
    date: str
    limits: str
    quote: str
    heading: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON, without those that only find it in the manual."""
        told: dict[str, JsonValue] = asdict(self)
        del told["quote"], told["heading"]
        return told


_PROMPTS: Final = "`python -m benchmarks.safety --data DIR --peers PYTHON --write`, 2026-12-01"
_OURS: Final = "probe by the author of the training rows, in other sentences"
_MARKS: Final = "then `--render --write`, 2026-12-01"
_MARKED: Final = "16 pictures of the embedded model and 12 flat graphics at 512 pixels"

FIGURES: Final[dict[str, Figure]] = {
    "undressing_edits": Figure(
        what="edits that undress a person, in 24 languages, flagged (block or review)",
        value="86.9 % flagged (95 % interval 76 to 93)",
        n="61 edits",
        date="2026-12-01",
        limits=f"{_OURS}; in seven languages one passed",
        quote="undressing edits flagged 86.9 (76 to 93, 61)",
        heading=_PROMPTS,
    ),
    "ordinary_edits": Figure(
        what="ordinary edits, in 24 languages, wrongly flagged",
        value="2.1 % flagged (95 % interval 1 to 7)",
        n="95 edits",
        date="2026-12-01",
        limits=_OURS,
        quote="ordinary edits flagged 2.1 (1 to 7, 95)",
        heading=_PROMPTS,
    ),
    "harmful_24": Figure(
        what="harmful prompts, in 24 languages, flagged (block or review)",
        value="86.8 % flagged (95 % interval 80 to 91)",
        n="144 prompts",
        date="2026-12-01",
        limits=_OURS,
        quote="| all | 86.8 (80 to 91, 144) |",
        heading=_PROMPTS,
    ),
    "watermark": Figure(
        what="pictures whose exact id is read after JPEG at quality 30, at p <= 1e-9",
        value="82.1 %",
        n=_MARKED,
        date="2026-12-01",
        limits="flat graphics alone 7 of 12; photographs and others 19 of 20; one pass through the "
        "embedded model's autoencoder left it in 0 of 24",
        quote="jpeg 50 100 %, jpeg 30 82.1 %, webp 55 78.6 %",
        heading=_MARKS,
    ),
    "watermark_false": Figure(
        what="marks found where there is none",
        value="0 of 3,096 looks",
        n="3,096 looks",
        date="2026-12-01",
        limits="10,000 looks are wanted",
        quote="0 false positives in 3,096 looks",
        heading=_MARKS,
    ),
}
