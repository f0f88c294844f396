"""What the answers of a process may be made of that is not believed further than that.

Apart from the jobs themselves, so that whoever reads the answers loads none of their decoders.
"""

from __future__ import annotations

from typing import Final

from chopmark.provenance import InputIngredient, _examine, metadata, report, xmp
from chopmark.safety.verdict import Evidence, Verdict

__all__ = ["FILE_VALUES", "TEXT_VALUES"]

FILE_VALUES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        _examine.Examined, report.AiSignal, report.CredentialFinding, report.IdentityFinding,
        report.Ingredient, report.ManifestFinding, report.TimeFinding, xmp.XmpFound,
        metadata.Mention, metadata.Metadata, InputIngredient,
    )
}  # fmt: skip
TEXT_VALUES: Final[dict[str, type]] = {"Verdict": Verdict, "Evidence": Evidence}
