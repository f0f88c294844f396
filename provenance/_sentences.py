"""Pieces of the sentences in a report: who signed, who vouches, what is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.provenance.watermark import P_DETECT

if TYPE_CHECKING:
    from chopmark.provenance._evidence import VerifyEvidence
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.report import AiSignal, Recovered, WatermarkFinding

__all__ = [
    "NEVER_NOT_AI",
    "chance",
    "differing",
    "inputs",
    "lost",
    "marked",
    "record_words",
    "resembles",
    "sealed",
    "searches",
    "system",
    "vouched",
    "who",
    "withdrawn",
]

NEVER_NOT_AI: Final = "This does not mean that it was not made by AI."


def who(examined: Examined) -> str:
    """Return the signer's name, and that it is only what it calls itself where nobody vouches."""
    claimed = examined.credential.issuer or examined.credential.name
    if examined.credential.state == "trusted":
        return claimed or "an unnamed signer"
    return f"a signer that calls itself {claimed!r}" if claimed else "an unnamed signer"


def vouched(examined: Examined) -> str:
    """Return who vouches for the signer, or why nobody does."""
    credential = examined.credential
    if credential.state == "trusted":
        dated = f" of {credential.anchor_date}" if credential.anchor_date else ""
        stale = ", which is past its date of renewal," if credential.list_stale else ""
        return f"{credential.anchor}{dated}{stale} vouches for the signer"
    if credential.state == "expired":
        if examined.time.state == "trusted":
            return "the signer's certificate had run out when it was used, as a time stamp shows"
        return (
            "the signer's certificate has run out, and no trusted time stamp shows whether it was "
            "used before that"
        )
    return {
        "untrusted": "nobody that we know vouches for the signer",
        "revoked": "the signer's certificate was revoked",
        "refused": "the signer's certificate is not one that may sign claims",
    }.get(credential.state, "its signer is not known")


def lost(evidence: VerifyEvidence) -> str:
    """Return why the file's manifest says nothing."""
    state = evidence.examined.manifest.state
    if state == "absent" and evidence.cut_off:
        return "What is left of it carries no manifest"
    return {
        "absent": "It carries no manifest",
        "malformed": "Its manifest cannot be read",
        "remote_only": "Its manifest is kept elsewhere and was not fetched",
    }[str(state)]


def record_words(evidence: VerifyEvidence) -> str:
    """Return the record's id and time in brackets, or nothing."""
    record = evidence.record
    if record is None:
        return ""
    kind = "record" if record.get("record_id") else "output"
    name = record.get("record_id") or record.get("output_id")
    at = record.get("time")
    words = f"{kind} {name}" if name else "it is in our log"
    return f" ({words}, {at})" if at else f" ({words})"


def sealed(evidence: VerifyEvidence) -> bool:
    """Whether another generator made the picture, as whoever had it sealed here said."""
    return bool((evidence.record or {}).get("sealed"))


def withdrawn(evidence: VerifyEvidence) -> str:
    """Return that the output was withdrawn here, or nothing."""
    record = evidence.record or {}
    if not record.get("withdrawn"):
        return ""
    at = record.get("withdrawn_at")
    return f" It was withdrawn here{f' on {at}' if at else ''}."


def inputs(examined: Examined) -> str:
    """Return that inputs do not fit their own manifests, or nothing."""
    bad = sum(one.manifest in {"broken", "malformed"} for one in examined.ingredients)
    if not bad:
        return ""
    count = "One of its inputs does" if bad == 1 else f"{bad} of its inputs do"
    return f" {count} not fit the manifest that came with it."


def resembles(recovered: Recovered) -> str:
    """Return which picture of ours it looks like."""
    return (
        f"It looks like a picture made here (record {recovered.record_id}; "
        f"{recovered.far} fingerprint bits differ, {recovered.confidence})."
    )


def differing(recovered: Recovered | None) -> str:
    """Return how many bits of the fingerprint differ, in brackets, or nothing."""
    if recovered is None or recovered.distance is None:
        return ""
    return f" ({recovered.far} fingerprint bits differ)"


def system(signal: AiSignal) -> str:
    """Return the model that is named, or nothing."""
    by = "using" if signal.kind == "edited" else "with"
    return f" {by} {signal.system}" if signal.system else ""


def chance(mark: WatermarkFinding) -> str:
    """Return how likely the mark is a false find."""
    # The bound underflows for a strong mark; "p = 0" would claim what nothing can. A public
    # detector says the bar instead, below which every mark lies that is found.
    bar = P_DETECT if mark.p_value == P_DETECT else 1e-300
    return f"p = {mark.p_value:.0e}" if mark.p_value not in {0, bar} else f"p < {bar:.0e}"


def marked(mark: WatermarkFinding) -> str:
    """Return where the mark stands, to follow "the mark" and "our mark"."""
    return {
        None: "in its pixels",
        "part": "in a part of it",
        "frame": "in one of its pictures",
        "hidden": "in pixels that viewers do not show",
    }[mark.within]


def searches(evidence: VerifyEvidence) -> str:
    """Return what was looked for, and what was not."""
    mark = evidence.watermark
    looked = ["Content Credentials"]
    unlooked: list[str] = []
    if evidence.examined.manifest.state == "remote_only":
        looked, unlooked = [], ["the Content Credentials that it says are elsewhere"]
    elif evidence.examined.manifest.state == "malformed":
        looked, unlooked = [], ["the Content Credentials, which cannot be read"]
    elif evidence.cut_off and evidence.examined.manifest.state == "absent":
        looked, unlooked = [], ["Content Credentials in the part that is missing"]
    (unlooked if evidence.unread else looked).append("metadata that names an AI tool")
    if mark.state == "not_examined":
        unlooked.append(f"our watermark ({mark.reason or 'the pixels could not be read'})")
    elif mark.searched:
        looked.append("our watermark")
    else:
        unlooked.append("our watermark" + (f" ({mark.reason})" if mark.reason else ""))
    if evidence.likeness:
        unlooked.append(f"likeness to pictures made here ({evidence.likeness})")
    else:
        looked.append("likeness to pictures made here")
    unlooked.append("marks that only other services can read")
    looked_for = f"Looked for: {', '.join(looked)}. " if looked else ""
    return f"{looked_for}Not looked for: {', '.join(unlooked)}."
