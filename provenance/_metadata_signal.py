"""What unsigned metadata say of AI: anybody can write them, and nothing binds them to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance.report import AiSignal

if TYPE_CHECKING:
    from chopmark.provenance.metadata import Metadata

__all__ = ["metadata_signal"]


def metadata_signal(metadata: Metadata) -> AiSignal | None:
    """Return the strongest of what metadata say that a model did; None: they name none."""
    said = metadata.strongest
    if said is None or said.kind == "denied" or said.kind == "open":  # noqa: PLR1714  for mypy
        return None
    return AiSignal(
        state="metadata", kind=said.kind, source_type=said.source_type, system=said.system
    )
