"""One answer for each technique, as the EU Code of Practice on marking asks of a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.fingerprint import MATCH_DISTANCE
from chopmark.provenance._sentences import marked, vouched, who
from chopmark.provenance.report import Technique

if TYPE_CHECKING:
    from chopmark.provenance._conflicts import Conflict
    from chopmark.provenance._evidence import VerifyEvidence
    from chopmark.provenance.report import Outcome

__all__ = ["techniques"]


def techniques(evidence: VerifyEvidence, conflict: Conflict | None) -> tuple[Technique, ...]:
    """Return the five answers, always in the same order."""
    return (
        _c2pa(evidence, conflict),
        _watermark(evidence),
        _fingerprint(evidence, conflict),
        _log(evidence, conflict),
        _metadata(evidence, conflict),
    )


def _c2pa(evidence: VerifyEvidence, conflict: Conflict | None) -> Technique:
    examined = evidence.examined
    state = examined.manifest.state
    outcome: Outcome
    if state == "intact":
        outcome = "found" if conflict is None or conflict.against == "picture" else "contradicted"
        detail = f"A manifest by {who(examined)} fits the file; {vouched(examined)}."
        if any(one.manifest in {"broken", "malformed"} for one in examined.ingredients):
            detail += " An input of it does not fit its own manifest."
    elif state == "broken":
        outcome = "contradicted"
        detail = f"The file does not fit its manifest by {who(examined)}."
    elif state == "absent" and evidence.cut_off:
        outcome = "not_examined"
        detail = "The file breaks off, and what is left of it carries no manifest."
    elif state == "absent":
        outcome, detail = "not_found", "The file carries no manifest."
    elif state == "remote_only":
        outcome, detail = "not_examined", "The manifest is elsewhere, and was not fetched."
    else:
        outcome, detail = "not_examined", "There is a manifest that cannot be read."
    return Technique(name="c2pa", outcome=outcome, detail=detail)


def _watermark(evidence: VerifyEvidence) -> Technique:
    mark = evidence.watermark
    outcome: Outcome
    if mark.state == "detected":
        where = "" if mark.within is None else f", {marked(mark)}"
        outcome = "found"
        detail = f"The pixels carry the mark of output {mark.payload}{where}."
    elif mark.state == "conflict":
        outcome, detail = "contradicted", f"The mark is there, but {mark.reason}."
    elif mark.state == "not_examined":
        outcome = "not_examined"
        detail = f"Not looked at in full: {mark.reason or 'the pixels could not be read'}."
    elif mark.searched:
        outcome, detail = "not_found", "No mark of this service was found."
    else:
        outcome = "not_examined"
        detail = f"Not looked for: {mark.reason or 'there is no key of a mark here'}."
    return Technique(name="watermark", outcome=outcome, detail=detail)


def _fingerprint(evidence: VerifyEvidence, conflict: Conflict | None) -> Technique:
    recovered = evidence.recovered
    outcome: Outcome
    if conflict is not None and conflict.against == "picture":
        outcome = "contradicted"
        detail = "The picture looks unlike the one that its mark names."
    elif recovered is not None and recovered.exact == "pixels":
        outcome, detail = "found", "The pixels are those of a picture that was signed here."
    elif recovered is not None and recovered.exact == "file":
        outcome, detail = "found", "The file is one that was signed here, without its manifest."
    elif recovered is not None and recovered.distance is not None:
        bits = f"{recovered.far} bits differ"
        if recovered.by == "fingerprint":
            outcome = "found"
            detail = f"It looks like a picture made here ({bits}, {recovered.confidence})."
        elif recovered.distance <= MATCH_DISTANCE:
            outcome = "found"
            one = evidence.watermark.within in {"frame", "hidden"}
            which = "The picture in it that is marked" if one else "It"
            detail = f"{which} looks like the picture that the mark names ({bits})."
        else:
            outcome = "not_found"
            why = "a crop is enough for that"
            if evidence.watermark.within is not None:
                why = "it is compared as a whole, and the mark is not in all of it"
            detail = (
                f"Its fingerprint is not near that of the picture that its mark names ({bits}); "
                f"{why}."
            )
    elif evidence.likeness:
        outcome, detail = "not_examined", f"Not compared: {evidence.likeness}."
    else:
        outcome, detail = "not_found", "It looks like no picture that was signed here."
    return Technique(name="fingerprint", outcome=outcome, detail=detail)


def _log(evidence: VerifyEvidence, conflict: Conflict | None) -> Technique:
    examined, record = evidence.examined, evidence.record
    outcome: Outcome
    if evidence.log_failed:
        outcome, detail = "not_examined", "The log could not be read."
    elif not evidence.log_asked:
        outcome, detail = "not_examined", "There is no log to ask here."
    elif record is not None and conflict is not None and conflict.against != "metadata":
        outcome = "contradicted"
        detail = "The record that the mark names need not be of this picture."
    elif record is not None and evidence.by_likeness_alone:
        outcome = "not_found"
        detail = "Only the picture that this one looks like is on record."
    elif record is not None:
        outcome, detail = "found", f"Logged here as {record.get('record_id')}."
        if record.get("withdrawn"):
            detail = f"{detail[:-1]}, and withdrawn since."
    elif examined.credential.own and examined.manifest.state == "intact":
        outcome = "contradicted"
        detail = "Signed with a credential of ours, and not recorded in our log."
    elif evidence.watermark.state in {"detected", "conflict"}:
        outcome, detail = "not_found", "The output that the mark names is not in our log."
    else:
        outcome, detail = "not_found", "Nothing in the file leads to a record here."
    return Technique(name="log", outcome=outcome, detail=detail)


def _metadata(evidence: VerifyEvidence, conflict: Conflict | None) -> Technique:
    said = evidence.metadata
    outcome: Outcome
    if said is not None and said.kind is not None:
        words = {
            "made": "that AI made it", "edited": "that it was edited with AI",
            "contains": "that it contains something made by AI",
            "maybe": "that AI may have made it",
        }[said.kind]  # fmt: skip
        against = conflict is not None and conflict.against == "metadata"
        outcome = "contradicted" if against else "found"
        named = f" ({said.system})" if said.system else ""
        detail = f"They say {words}{named}. Anybody can write metadata."
    elif evidence.unread:
        outcome, detail = "not_examined", f"Not read in full: {evidence.unread}."
    else:
        outcome, detail = "not_found", "They name no AI tool."
    return Technique(name="metadata", outcome=outcome, detail=detail)
