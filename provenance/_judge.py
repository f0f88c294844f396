"""From the axes to one verdict and one sentence.

Three rules stand above the rest. ``made_here`` is said only where our log has the record. Nothing
is called tampered because its signer is unknown. And ``no_signal`` never means "not made by AI".
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from chopmark.provenance._conflicts import UNLIKE, Conflict, find_conflict
from chopmark.provenance._sentences import (
    NEVER_NOT_AI,
    chance,
    differing,
    inputs,
    lost,
    marked,
    record_words,
    resembles,
    sealed,
    searches,
    system,
    vouched,
    who,
    withdrawn,
)
from chopmark.provenance._techniques import techniques

if TYPE_CHECKING:
    from chopmark.provenance._evidence import VerifyEvidence
    from chopmark.provenance.report import (
        AiKind,
        AiSignal,
        Recovered,
        ReportVerdict,
        Technique,
        WatermarkFinding,
        Within,
    )

__all__ = ["Judgement", "judge"]

_ELSEWHERE: Final[dict[AiKind, tuple[ReportVerdict, str]]] = {
    "made": ("made_by_ai_elsewhere", "Made by AI"),
    "edited": ("edited_by_ai_elsewhere", "Edited with AI"),
    "contains": ("edited_by_ai_elsewhere", "Contains something made by AI"),
    "maybe": ("maybe_ai_elsewhere", "Possibly made by AI"),
}
_NOT_OURS: Final[dict[Within | None, str]] = {
    None: "no longer the one that we released",
    "part": "not the one that we released",
    "frame": "not the one that we released",
    "hidden": "not the one that we released: what it shows need not have been made here",
}
_ELSEWHERE_MADE: Final = "it was made elsewhere, says whoever sent it"
_BUILT_ON: Final = frozenset({"made_here", "edited_after_signing", "marked_but_altered"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is made of the evidence."""

    verdict: ReportVerdict
    summary: str
    watermark: WatermarkFinding
    techniques: tuple[Technique, ...]
    notes: tuple[str, ...]


def judge(evidence: VerifyEvidence) -> Judgement:
    """Return verdict, sentence, an answer for each technique, and notes."""
    conflict = find_conflict(evidence)
    mark = evidence.watermark
    if conflict is not None and conflict.against != "metadata":
        mark = dataclasses.replace(mark, state="conflict", reason=conflict.reason)
    evidence = dataclasses.replace(evidence, watermark=mark)
    verdict, summary = (
        _verdict(evidence) if conflict is None else _contradictory(conflict, evidence)
    )
    if mark.state == "not_examined" and verdict != "no_signal":
        reason = mark.reason or "its pixels could not be read"
        summary += f" Not looked at in full: {reason}. A mark may be in it."
    if verdict in _BUILT_ON:
        summary += withdrawn(evidence)
    if evidence.examined.manifest.state == "intact" and verdict != "no_signal":
        summary += inputs(evidence.examined)
    return Judgement(
        verdict=verdict,
        summary=summary,
        watermark=mark,
        techniques=techniques(evidence, conflict),
        notes=_notes(evidence, conflict, verdict),
    )


def _notes(
    evidence: VerifyEvidence, conflict: Conflict | None, verdict: ReportVerdict
) -> tuple[str, ...]:
    examined, recovered = evidence.examined, evidence.recovered
    notes = [
        f"An input of this picture ({one.title or one.id or 'unnamed'}) does not fit its own "
        f"manifest: it had been changed after it was signed ({', '.join(one.problems[:4])})."
        for one in examined.ingredients
        if one.manifest in {"broken", "malformed"}
    ]
    if examined.more_ingredients:
        notes.append(f"{examined.more_ingredients} more of its inputs are not listed.")
    whole = evidence.watermark.within is None
    if recovered and conflict is None and whole and (recovered.distance or 0) > UNLIKE:
        notes.append(
            "The mark is ours, but the picture looks unlike the one that carried it "
            f"({recovered.far} fingerprint bits differ): it is a strong crop or "
            "rotation, or the mark was copied from another picture."
        )
    if examined.credential.state == "expired" and examined.manifest.state == "intact":
        notes.append(
            "The signer's certificate had run out when it was used, as a trusted time stamp shows."
            if examined.time.state == "trusted"
            else "The signer's certificate has expired and no trusted time stamp shows that the "
            "signature is older than that; the file itself fits its manifest."
        )
    if examined.credential.list_stale:
        notes.append(
            f"The list that vouches for the signer ({examined.credential.anchor}) should have been "
            "renewed: `chopmark trust update` takes a newer one."
        )
    record = evidence.record or {}
    if record.get("withdrawn") and verdict in _BUILT_ON:
        notes.append(f"Whoever made this picture withdrew it at {record.get('withdrawn_at')}.")
    if evidence.screenshot and verdict == "no_signal":
        notes.append(
            "This looks like a screenshot, or a page with a picture in it. Crop it to the picture "
            "and look again: a small part of a page is easily overlooked."
        )
    return tuple(notes)


def _contradictory(conflict: Conflict, evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    if conflict.against == "picture":
        rest = "What is on record of that output says nothing of this picture."
    elif conflict.against == "manifest":
        rest = (
            f"The mark leads to a picture made here{record_words(evidence)}: either its manifest "
            "was replaced afterwards, or the mark was copied onto another picture."
        )
        if evidence.watermark.within is not None:
            rest = f"{rest[:-1]}, or this one has a picture in it that was made here."
    else:
        rest = f"One of the two is false; the manifest is by {who(evidence.examined)}."
    return "contradictory", f"Conflict: {conflict.reason}. {rest}"


def _verdict(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    state = evidence.examined.manifest.state
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
        did = "Sealed" if sealed(evidence) else "Made"
        return "edited_after_signing", (
            f"{did} here{record_words(evidence)} and then changed by {who(examined)}, who "
            "kept its history: the new manifest is intact and names ours as its input."
        )
    signal = examined.ai_signal
    if signal.kind is not None and signal.state != "metadata":
        verdict, words = _ELSEWHERE[signal.kind]
        where = " elsewhere" if signal.kind in {"made", "edited"} else ""
        above = "" if signal.state == "active" else " (one of its inputs)"
        return verdict, (
            f"{words}{where}{system(signal)}{above}, says {who(examined)}. The manifest "
            f"is intact; {vouched(examined)}."
        )
    if signal.kind is not None:
        return _by_metadata(
            signal,
            f"Its manifest by {who(examined)} does not say so. The manifest is intact; "
            f"{vouched(examined)}.",
        )
    if examined.credential.state == "trusted":
        dated = f" of {examined.credential.anchor_date}" if examined.credential.anchor_date else ""
        return "authentic_other", (
            f"An intact manifest by {who(examined)}, vouched for by "
            f"{examined.credential.anchor}{dated}, which says nothing of AI."
        )
    return "no_signal", (
        f"No signal of AI found. Its manifest is intact, by {who(examined)}; {vouched(examined)}, "
        f"so it proves nothing about the picture.{inputs(examined)} {searches(evidence)} "
        f"{NEVER_NOT_AI}"
    )


def _own(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    with_what = system(examined.ai_signal)
    if evidence.record is not None:
        with_mark = " and its watermark says the same" if mark.state == "detected" else ""
        if sealed(evidence):
            return "made_here", (
                f"This picture was sealed here{record_words(evidence)}; it was made "
                f"elsewhere{with_what}, says whoever sent it. Its manifest is intact{with_mark}."
            )
        changed = "made" if examined.action != "c2pa.opened" else "edited"
        return "made_here", (
            f"This picture was {changed} here by "
            f"AI{with_what}{record_words(evidence)}: its manifest is intact{with_mark}."
        )
    verdict, words = _ELSEWHERE[examined.ai_signal.kind or "made"]
    if not evidence.log_asked:
        return verdict, (
            f"{words}{with_what}, signed with a credential of ours and intact. No "
            "log could be asked whether it was recorded here."
        )
    return verdict, (
        f"{words}{with_what} and signed with a credential of ours, but our log has "
        "no such record: the key may have been used outside this service."
    )


def _broken(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark = evidence.examined, evidence.watermark
    words = (
        f"The file does not fit its manifest by {who(examined)}: it was changed after signing, or "
        "the manifest is another file's."
    )
    if mark.state == "detected":
        words += f" Its pixels still carry our mark{record_words(evidence)}."
    elif evidence.recovered is not None:
        words += f" {resembles(evidence.recovered)}"
    return "edited_after_signing", words


def _stripped(evidence: VerifyEvidence) -> tuple[ReportVerdict, str]:
    examined, mark, recovered = evidence.examined, evidence.watermark, evidence.recovered
    gone = lost(evidence)
    exact = recovered is not None and recovered.exact != "no"
    if examined.manifest.state == "malformed" and mark.state == "detected":
        pixels = ", and they are exactly those that we signed" if exact else ""
        return "edited_after_signing", (
            f"{gone}: it was changed after signing. Its pixels carry our mark"
            f"{record_words(evidence)}{pixels}."
        )
    if evidence.record is not None and exact and recovered is not None:
        what = (
            "put back, the manifest that we kept fits it byte for byte"
            if recovered.exact == "file"
            else "its pixels are exactly those that we signed"
        )
        did = f"{'edited' if recovered.edited else 'made'} here by AI{record_words(evidence)}."
        if sealed(evidence):
            did = f"sealed here{record_words(evidence)}; {_ELSEWHERE_MADE}."
        return "made_here", (f"This picture was {did} {gone} any more, but {what}.")
    if mark.state == "detected":
        if evidence.record is not None:
            did = "Sealed here" if sealed(evidence) else "Made here by AI"
            if mark.within is not None:
                did = f"A picture that was {did[0].lower()}{did[1:]}"
            also = f"; {_ELSEWHERE_MADE}" if sealed(evidence) else ""
            is_in = "" if mark.within is None else " is in this file"
            far = "" if mark.within is not None else differing(recovered)
            return "marked_but_altered", (
                f"{did}{record_words(evidence)}{is_in}, says the mark {marked(mark)} "
                f"({chance(mark)}){also}. {gone}, and the file is {_NOT_OURS[mark.within]}"
                f"{far}."
            )
        asked = "our log has no record of it" if evidence.log_asked else "no log could be asked"
        return "marked_but_altered", (
            f"Our mark is {marked(mark)} ({chance(mark)}), and {asked}. {gone}."
        )
    if examined.ai_signal.state == "metadata":
        also = f" {resembles(recovered)}" if recovered is not None else ""
        return _by_metadata(
            examined.ai_signal, f"{gone}, and metadata can be written by anybody.{also}"
        )
    if recovered is not None:
        return _resembling(evidence, recovered, gone)
    return "no_signal", f"No signal found. {gone}. {searches(evidence)} {NEVER_NOT_AI}"


def _by_metadata(signal: AiSignal, rest: str) -> tuple[ReportVerdict, str]:
    kind = signal.kind or "made"
    said = {
        "made": "it was made by AI",
        "edited": "it was edited with AI",
        "contains": "it contains something made by AI",
        "maybe": "it may have been made by AI",
    }[kind]
    return _ELSEWHERE[kind][0], f"Its metadata says that {said}{system(signal)}. {rest}"


def _resembling(
    evidence: VerifyEvidence, recovered: Recovered, gone: str
) -> tuple[ReportVerdict, str]:
    if recovered.exact != "no":
        asked = "our log has no record of it" if evidence.log_asked else "no log could be asked"
        return "resembles_ours", (
            f"Its pixels are exactly those of a picture whose manifest is kept here, and {asked}. "
            f"{gone}."
        )
    # The result of an edit looks like its input: that input may be an honest photograph.
    edited = recovered.edited
    return "resembles_ours", (
        f"{resembles(recovered)} {gone} and no mark of ours was found, so this rests on likeness "
        f"alone.{' That one was an edit, so this may be its input.' if edited else ''}"
    )
