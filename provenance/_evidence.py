"""What `verify` gathered, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.report import AiSignal, Recovered, WatermarkFinding

__all__ = ["VerifyEvidence"]


@dataclass(frozen=True, kw_only=True)
class VerifyEvidence:
    """What `verify` gathered.

    Attributes:
        examined: What the manifest answers.
        metadata: What unsigned metadata say of AI, whatever the manifest says; None: nothing.
        watermark: What the pixels say.
        recovered: The manifest that the file had lost, if one was found.
        record: What our log says of the output that the file, or what it resembles, leads to.
        log_asked: There was a log to ask, and it answered.
        log_failed: There is one, and it could not be read.
        likeness: Whether pictures that look alike were looked for; else why not.
        unread: What of the metadata could not be read; empty where all was.
        cut_off: A part of the file, or of its pixels, is not there.
        screenshot: The picture looks like one of a screen.
    """

    examined: Examined
    metadata: AiSignal | None
    watermark: WatermarkFinding
    recovered: Recovered | None
    record: dict[str, Any] | None
    log_asked: bool
    log_failed: bool = False
    likeness: str = ""
    unread: str = ""
    cut_off: bool = False
    screenshot: bool = False

    @property
    def by_likeness_alone(self) -> bool:
        """Whether nothing but likeness leads from this picture to one of ours."""
        recovered = self.recovered
        return (
            recovered is not None
            and recovered.by == "fingerprint"
            and recovered.exact == "no"
            and self.watermark.state == "none"
        )
