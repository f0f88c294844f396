"""What unsigned metadata say of AI: anybody can write them, and nothing binds them to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance._origin import ai_kind
from chopmark.provenance.report import AiSignal
from chopmark.provenance.source_types import aigc_kind

if TYPE_CHECKING:
    from chopmark.provenance.xmp import XmpFound

__all__ = ["metadata_signal"]


def metadata_signal(xmp: XmpFound) -> AiSignal | None:
    """Return what metadata say that a model did, or None where they say nothing of one."""
    label = aigc_kind(xmp.aigc_label)
    kind = ai_kind(xmp.source_type) or (label if label in {"made", "maybe"} else None)
    if kind is None:
        return None
    system = " ".join(word for word in (xmp.system, xmp.system_version) if word) or None
    return AiSignal(state="metadata", kind=kind, source_type=xmp.source_type, system=system)
