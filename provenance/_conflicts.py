"""Which signals of one file cannot all be true.

A mark can be copied onto another picture, a manifest can be put in place of ours, and anybody can
write metadata: whichever it was, what is left proves nothing, and that is all that is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.provenance._origin import words_of

if TYPE_CHECKING:
    from chopmark.provenance._evidence import VerifyEvidence

__all__ = ["UNLIKE", "Conflict", "find_conflict"]

UNLIKE: Final = 96
"""Beyond this many of 256 bits PDQ sees a different picture, or a strong crop or rotation."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Two signals of which one at least is false.

    Attributes:
        against: What the mark, or the metadata, contradicts.
        reason: In words, to follow "Conflict:".
    """

    against: Literal["manifest", "picture", "metadata"]
    reason: str


def find_conflict(evidence: VerifyEvidence) -> Conflict | None:
    """Return which signals cannot all be true, if there are such."""
    mark = evidence.watermark
    if mark.state != "detected" or mark.payload is None:
        return _metadata(evidence)
    reason = _copied(evidence)
    if reason is not None:
        return Conflict(against="picture", reason=reason)
    reason = _replaced(evidence) if evidence.examined.manifest.state == "intact" else None
    return None if reason is None else Conflict(against="manifest", reason=reason)


def _replaced(evidence: VerifyEvidence) -> str | None:
    """Return why an intact manifest cannot be the one of a picture with this mark."""
    examined, mark = evidence.examined, evidence.watermark
    mine = examined.manifest.output_id
    if examined.ai_signal.denied:
        source = words_of(examined.born_as)
        return f"the pixels carry our mark, and the manifest says that the picture is {source}"
    if mark.payload == mine or mark.payload in examined.ancestor_outputs:
        # Somebody else's credential may stand under our words only if it is ours that ended.
        ours = examined.credential.own or examined.credential.state == "expired"
        if ours or mark.payload in examined.ancestor_outputs:
            return None
    elif examined.credential.own and mine is not None:
        return f"the mark names output {mark.payload}, the manifest {mine}"
    return "the pixels carry our mark, and somebody else's manifest does not name ours as its input"


def _copied(evidence: VerifyEvidence) -> str | None:
    """Return why the mark belongs to another picture, if it does.

    A mark that stands where it was struck rules out the crop or rotation that would explain why a
    picture looks unlike its own fingerprint.
    """
    mark, recovered = evidence.watermark, evidence.recovered
    if mark.content_agreeing is None or recovered is None or recovered.by != "watermark":
        return None
    if (recovered.distance or 0) <= UNLIKE:
        return None
    differing = 8 - mark.content_agreeing
    return (
        f"the mark names output {mark.payload}, but this is another picture "
        f"({recovered.far} fingerprint bits and {differing} of 8 content bits differ): "
        "the mark was copied from that output, or that output was painted over"
    )


def _metadata(evidence: VerifyEvidence) -> Conflict | None:
    """Return why metadata and an intact manifest cannot both be true, if they cannot.

    Only where the one says how the whole picture came to be and the other that it came otherwise.
    """
    examined, said = evidence.examined, evidence.metadata
    if examined.manifest.state != "intact" or not examined.ai_signal.denied or said is None:
        return None
    if said.kind != "made":
        return None
    born = words_of(examined.born_as)
    return Conflict(
        against="metadata",
        reason=f"the manifest says that the picture is {born}, and its metadata that AI made it",
    )
