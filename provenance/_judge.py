"""From the axes to one verdict and one sentence.

Three rules stand above the rest. ``made_here`` is said only where our log has the record. Nothing
is called tampered because its signer is unknown. And ``no_signal`` never means "not made by AI".
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.report import Recovered, ReportVerdict, WatermarkFinding

__all__ = ["VerifyEvidence", "judge"]

_NEVER_NOT_AI: Final = "This does not mean that it was not made by AI."
# Beyond this many of 256 bits PDQ sees a different picture, or a strong crop or rotation of it.
_UNLIKE: Final = 96


@dataclass(frozen=True, kw_only=True)
class VerifyEvidence:
    """What `verify` gathered."""

    examined: Examined
    watermark: WatermarkFinding
    recovered: Recovered | None
    recovered_examined: Examined | None
    record: dict[str, Any] | None
    log_asked: bool


def judge(evidence: VerifyEvidence) -> tuple[WatermarkFinding, ReportVerdict, str, tuple[str, ...]]:
    """Return the watermark finding (perhaps now a conflict), verdict, sentence and notes."""
    examined = evidence.examined
    mark = evidence.watermark
    reason = _conflict(evidence)
    if reason is not None:
        mark = dataclasses.replace(mark, state="conflict", reason=reason)
    verdict, summary = _verdict(dataclasses.replace(evidence, watermark=mark))
    notes = [
        f"An input of this picture ({one.title or one.id or 'unnamed'}) does not fit its own "
        "manifest: it had been changed after it was signed."
        for one in examined.ingredients
        if one.manifest in {"broken", "malformed"}
    ]
    recovered = evidence.recovered
    if recovered and reason is None and (recovered.distance or 0) > _UNLIKE:
        notes.append(
            "The mark is ours, but the picture looks unlike the one that carried it "
            f"({recovered.distance} of 256 fingerprint bits differ): it is a strong crop or "
            "rotation, or the mark was copied from another picture."
        )
    if examined.credential.state == "expired" and examined.manifest.state == "intact":
        notes.append(
            "The signer's certificate has expired and no trusted time stamp shows that the "
            "signature is older than that; the file itself fits its manifest."
        )
    return mark, verdict, summary, tuple(notes)


def _conflict(evidence: VerifyEvidence) -> str | None:
    """Return why mark and manifest cannot both be true, if they cannot."""
    examined, mark = evidence.examined, evidence.watermark
    if mark.state != "detected" or mark.payload is None:
        return None
    if examined.manifest.state != "intact":
        return _copied(evidence)
    mine = examined.manifest.output_id
    if examined.ai_signal.denied:
        source = _short(examined.ai_signal.source_type)
        return f"the pixels carry our mark, and the manifest says that they are {source}"
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
    if (recovered.distance or 0) <= _UNLIKE:
        return None
    differing = 8 - mark.content_agreeing
    return (
        f"the mark names output {mark.payload}, but this is another picture "
        f"({recovered.distance} of 256 fingerprint bits and {differing} of 8 content bits differ): "
        "the mark was copied from that output, or that output was painted over"
    )


def _verdict(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    if mark.state == "conflict" and examined.manifest.state != "intact":
        return "marked_but_altered", (
            f"Conflict: {mark.reason}. What is on record of that output says nothing of this "
            "picture."
        )
    if mark.state == "conflict":
        return "marked_but_altered", (
            f"Conflict: {mark.reason}. The picture was marked here"
            f"{_record_words(evidence)}, and its manifest was replaced afterwards."
        )
    state = examined.manifest.state
    if state == "intact":
        return _intact(evidence)
    if state == "broken":
        return _broken(evidence)
    return _stripped(evidence)


def _intact(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    same_output = mark.payload is not None and mark.payload == examined.manifest.output_id
    expired = examined.credential.state == "expired"
    if examined.credential.own or (mark.state == "detected" and same_output and expired):
        return _own(evidence)
    if mark.state == "detected" and mark.payload in examined.ancestor_outputs:
        return "edited_after_signing", (
            f"Made here{_record_words(evidence)} and then changed by {_who(examined)}, who "
            "kept its history: the new manifest is intact and names ours as its input."
        )
    if examined.ai_signal.state in {"active", "ancestor"}:
        where = "" if examined.ai_signal.state == "active" else " (one of its inputs)"
        return "made_by_ai_elsewhere", (
            f"Made by AI elsewhere{_system(examined)}{where}, says {_who(examined)}. The manifest "
            f"is intact; {_vouched(examined)}."
        )
    if examined.ai_signal.state == "metadata":
        return "made_by_ai_elsewhere", (
            f"Its metadata says that it was made by AI{_system(examined)}, its manifest by "
            f"{_who(examined)} does not. The manifest is intact; {_vouched(examined)}."
        )
    if examined.credential.state == "trusted":
        return "authentic_other", (
            f"An intact manifest by {_who(examined)}, vouched for by {examined.credential.anchor}, "
            "which says nothing of AI."
        )
    return "no_signal", (
        f"No signal of AI found. There is an intact manifest that names {_who(examined)} as its "
        f"signer, and {_vouched(examined)}, so it proves nothing about the picture. {_NEVER_NOT_AI}"
    )


def _own(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    if evidence.record is not None:
        with_mark = " and its watermark says the same" if mark.state == "detected" else ""
        changed = "made" if examined.action != "c2pa.opened" else "edited"
        return "made_here", (
            f"This picture was {changed} here by "
            f"AI{_system(examined)}{_record_words(evidence)}: its manifest is intact{with_mark}."
        )
    if not evidence.log_asked:
        return "made_by_ai_elsewhere", (
            f"Made by AI{_system(examined)}, signed with a credential of ours and intact. No "
            "log was asked whether it was booked here."
        )
    return "made_by_ai_elsewhere", (
        f"Made by AI{_system(examined)} and signed with a credential of ours, but our log has "
        "no such record: the key may have been used outside this service."
    )


def _broken(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    words = f"Changed after signing: the file does not fit its manifest by {_who(examined)}."
    if mark.state == "detected":
        words += f" Its pixels still carry our mark{_record_words(evidence)}."
    elif evidence.recovered is not None:
        words += f" {_resembles(evidence.recovered)}"
    return "edited_after_signing", words


def _stripped(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark, recovered = evidence.examined, evidence.watermark, evidence.recovered
    lost = {
        "absent": "It carries no manifest",
        "malformed": "Its manifest cannot be read",
        "remote_only": "Its manifest is kept elsewhere and was not fetched",
    }[str(examined.manifest.state)]
    exact = recovered is not None and recovered.exact != "no"
    if examined.manifest.state == "malformed" and mark.state == "detected":
        pixels = ", and they are exactly those that we signed" if exact else ""
        return "edited_after_signing", (
            f"Changed after signing: {lost[0].lower()}{lost[1:]}. Its pixels carry our mark"
            f"{_record_words(evidence)}{pixels}."
        )
    if evidence.record is not None and exact and recovered is not None:
        what = (
            "put back, the manifest that we kept fits it byte for byte"
            if recovered.exact == "file"
            else "its pixels are exactly those that we signed"
        )
        return "made_here", (
            f"This picture was made here by AI{_record_words(evidence)}. {lost} any more, but "
            f"{what}."
        )
    if mark.state == "detected":
        if evidence.record is not None:
            return "marked_but_altered", (
                f"Made here by AI{_record_words(evidence)}, says the mark in its pixels "
                f"({_chance(mark)}). {lost}, and the file is no longer the one that we "
                f"released{_distance(recovered)}."
            )
        asked = "our log has no record of it" if evidence.log_asked else "no log was asked"
        return "marked_but_altered", (
            f"Its pixels carry our mark ({_chance(mark)}), and {asked}. {lost}."
        )
    if examined.ai_signal.state == "metadata":
        return "made_by_ai_elsewhere", (
            f"Its metadata says that it was made by AI{_system(examined)}. {lost}, and "
            "metadata can be written by anybody."
        )
    if recovered is not None:
        return _resembling(evidence, recovered, lost)
    searched = "no mark of ours was found" if mark.searched else "no mark was looked for"
    return "no_signal", f"No signal found. {lost}, and {searched}. {_NEVER_NOT_AI}"


def _resembling(
    evidence: VerifyEvidence, recovered: Recovered, lost: str
) -> tuple[ReportVerdict, str]:
    inner = evidence.recovered_examined
    # The result of an edit looks like its input: that input may be an honest photograph.
    edited = inner is not None and inner.action == "c2pa.opened"
    if edited or evidence.record is None:
        return "no_signal", (
            f"No signal found in the file. {lost}. {_resembles(recovered)}"
            f"{' That one was an edit, so this may be its input.' if edited else ''} "
            f"{_NEVER_NOT_AI}"
        )
    return "marked_but_altered", (
        f"{_resembles(recovered)} {lost} and no mark of ours was found, so this rests on likeness "
        "alone."
    )


def _resembles(recovered: Recovered) -> str:
    return (
        f"It looks like a picture made here (record {recovered.record_id}; "
        f"{recovered.distance} of 256 fingerprint bits differ, {recovered.confidence})."
    )


def _distance(recovered: Recovered | None) -> str:
    if recovered is None or recovered.distance is None:
        return ""
    return f" ({recovered.distance} of 256 fingerprint bits differ)"


def _record_words(evidence: VerifyEvidence) -> str:
    record = evidence.record
    if record is None:
        return ""
    kind = "record" if record.get("record_id") else "output"
    name = record.get("record_id") or record.get("output_id")
    at = record.get("time")
    words = f"{kind} {name}" if name else "it is in our log"
    return f" ({words}, {at})" if at else f" ({words})"


def _who(examined: Examined) -> str:
    claimed = examined.credential.issuer or examined.credential.name
    if examined.credential.state == "trusted":
        return claimed or "an unnamed signer"
    return f"a signer that calls itself {claimed!r}" if claimed else "an unnamed signer"


def _vouched(examined: Examined) -> str:
    credential = examined.credential
    if credential.state == "trusted":
        dated = f" of {credential.anchor_date}" if credential.anchor_date else ""
        return f"{credential.anchor}{dated} vouches for the signer"
    return {
        "untrusted": "nobody that we know vouches for the signer",
        "expired": "the signer's certificate has expired",
        "revoked": "the signer's certificate was revoked",
        "refused": "the signer's certificate is not one that may sign claims",
    }.get(credential.state, "its signer is not known")


def _system(examined: Examined) -> str:
    return f" with {examined.ai_signal.system}" if examined.ai_signal.system else ""


def _chance(mark: WatermarkFinding) -> str:
    # The bound underflows for a strong mark; "p = 0" would claim what nothing can.
    return f"p = {mark.p_value:.0e}" if mark.p_value > 0 else "p < 1e-300"


def _short(uri: str | None) -> str:
    return (uri or "nothing").rsplit("/", 1)[-1]
