"""What unsigned metadata say of AI: anybody can write them, and nothing binds them to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance._origin import ai_kind_of
from chopmark.provenance.report import AiSignal

if TYPE_CHECKING:
    from chopmark.provenance.metadata import Metadata

__all__ = ["metadata_signal"]


def metadata_signal(metadata: Metadata) -> AiSignal | None:
    """Return the strongest thing that metadata say of AI, or None where they say nothing."""
    said = metadata.strongest
    kind = ai_kind_of(said.kind) if said is not None else None
    if said is None or kind is None:
        return None
    return AiSignal(state="metadata", kind=kind, source_type=said.source_type, system=said.system)
