"""What unsigned metadata say of AI. Anybody can write them, and nothing binds them to the picture.

Sources: IPTC Photo Metadata Standard 2025.1; GB 45438-2025, annex E (``Label``: 1 is, 2 may be, 3
is suspected to be made by AI).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.provenance._origin import AI_KINDS, type_code
from chopmark.provenance.report import AiSignal

if TYPE_CHECKING:
    from chopmark.provenance.report import AiKind
    from chopmark.provenance.xmp import XmpFound

__all__ = ["metadata_signal"]

_LABELS: Final[dict[str, AiKind]] = {"1": "made", "2": "maybe", "3": "maybe"}


def metadata_signal(xmp: XmpFound) -> AiSignal | None:
    """Return what metadata say that a model did, or None where they say nothing of one."""
    kind = AI_KINDS.get(type_code(xmp.source_type or "")) or _LABELS.get(xmp.aigc_label or "")
    if kind is None:
        return None
    system = " ".join(word for word in (xmp.system, xmp.system_version) if word) or None
    return AiSignal(state="metadata", kind=kind, source_type=xmp.source_type, system=system)
