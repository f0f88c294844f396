"""A report in words for everybody: a headline, then a line for each thing that was looked at."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from chopmark.web.headlines import Headline, Tone, headline

if TYPE_CHECKING:
    from chopmark.provenance import Report

__all__ = ["Axis", "ReportInWords", "in_words"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that was looked at.

    Attributes:
        name: What.
        tone: ``good``: it was found and fits; ``care``: look closer; ``none``: nothing there.
        line: What was found, for a person.
        facts: What was found, for an engineer: names and values.
    """

    name: str
    tone: Tone
    line: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportInWords:
    """A report for people.

    Attributes:
        headline: Three or four words.
        tone: Of the whole.
        meaning: What the verdict does and does not say.
        axes: One for each part of the report.
    """

    headline: str
    tone: Tone
    meaning: str
    axes: tuple[Axis, ...]


_MANIFEST: Final[dict[str, tuple[Tone, str]]] = {
    "intact": ("good", "They are attached, and the file is as it was when it was signed."),
    "broken": ("care", "Some are attached that do not fit the file."),
    "malformed": ("care", "Something is attached that cannot be read."),
    "remote_only": ("none", "The file names a place where they are; it is not visited."),
    "absent": ("none", "None are attached. Most pictures have none."),
}
_TIME: Final[dict[str, tuple[Tone, str]]] = {
    "trusted": ("good", "A known authority stamped the time."),
    "untrusted": ("care", "Stamped by an authority that is not known here."),
    "absent": ("none", "No independent time stamp."),
}
_KINDS: Final = {
    "made": "that a trained model made it",
    "edited": "that a trained model changed it",
    "contains": "that it contains something that a trained model made",
    "maybe": "that a trained model may have made it",
}
_WITHIN: Final = {
    "part": "The invisible mark of this service is in a part of the picture.",
    "frame": "The invisible mark of this service is in one of the pictures in the file.",
    "hidden": "The invisible mark of this service is in pixels that viewers do not show.",
}
_IDENTITY: Final[dict[str, tuple[Tone, str]]] = {
    "trusted": ("good", "A list known here vouches for who is named."),
    "untrusted": ("care", "Somebody is named for whom no list here vouches."),
    "broken": ("care", "Somebody is named, and the statement does not hold."),
    "unjudged": (
        "none",
        "Somebody is named; only a look-up on the network could show whether it holds.",
    ),
}


def in_words(report: Report) -> ReportInWords:
    """Return a report in words for everybody."""
    over: Headline = headline(report)
    axes = [_manifest(report), _credential(report)]
    if report.identity.state != "absent":
        axes.append(_identity(report))
    axes += [_ai(report), _mark(report), _likeness(report), _time(report), _record(report)]
    if report.verdict == "contradictory":
        # Each may fit by itself, and one at least is false: nothing is ticked off.
        axes = [
            dataclasses.replace(one, tone="none") if one.tone == "good" else one for one in axes
        ]
    return ReportInWords(headline=over.text, tone=over.tone, meaning=over.meaning, axes=tuple(axes))


def _facts(**values: object) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else str(value))
        for name, value in values.items()
        if value not in {None, "", ()} and value is not False
    )


def _manifest(report: Report) -> Axis:
    found = report.manifest
    tone, line = _MANIFEST[found.state]
    against = next((one for one in report.techniques if one.name == "c2pa"), None)
    if found.state == "intact" and against is not None and against.outcome == "contradicted":
        tone, line = "care", "They are attached and fit the file; something else contradicts them."
    if found.state == "absent" and against is not None and against.outcome == "not_examined":
        line = "None are in what is left of the file."
    if any(one.manifest in {"broken", "malformed"} for one in report.ingredients):
        tone = "care"
        line += " Something that went into it does not fit the credentials that it came with."
    return Axis(
        name="Content Credentials",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state,
            manifest=found.id,
            updates=found.updates,
            made_with=found.claim_generator,
            manifests_in_the_file=found.count or None,
            address=found.address,
            problems=found.problems,
        ),
    )


def _credential(report: Report) -> Axis:
    found = report.credential
    named = found.issuer or found.name
    calls_itself = f"A signer that calls itself '{named}'" if named else "A signer without a name"
    tone: Tone = "care"
    if found.state == "absent":
        tone, line = "none", "Nobody signed it."
    elif found.own and report.record is None:
        line = "A key of this service signed it; the log has no record of that."
    elif found.own:
        tone, line = "good", "This service signed it."
    elif found.state == "trusted":
        tone, line = "good", f"{named or 'A signer'}, on a list of known signers."
        if found.list_stale:
            tone, line = "care", f"{line} That list should have been renewed."
    elif found.state == "expired":
        when = (
            "had run out when it was used, as a time stamp shows"
            if report.time.state == "trusted"
            else "has run out; whether it was used before that is not known"
        )
        line = f"{calls_itself}. The certificate {when}."
    elif found.state == "revoked":
        line = f"{calls_itself}. The certificate was taken back."
    elif found.state == "refused":
        line = f"{calls_itself}, with a certificate that may not sign pictures."
    else:
        line = (
            f"{calls_itself}, for which no list here vouches. That alone does not mean that it was "
            "forged."
        )
    if "claimSignature.mismatch" in report.manifest.problems:
        tone, line = "care", f"{calls_itself}; but the signature does not hold."
    elif report.manifest.state in {"broken", "malformed"} and tone == "good":
        tone, line = "care", f"{line} What was signed is not this file as it is now."
    return Axis(
        name="Who signed",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state,
            organisation=found.issuer,
            name=found.name,
            vouched_for_by=found.anchor,
            list_of=found.anchor_date,
            assurance_level=found.assurance_level,
            algorithm=found.alg,
        ),
    )


def _identity(report: Report) -> Axis:
    found = report.identity
    tone, line = _IDENTITY[found.state]
    return Axis(
        name="Who is named in them",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state, organisation=found.issuer, name=found.name, problems=found.problems
        ),
    )


def _ai(report: Report) -> Axis:
    found = report.ai_signal
    tone: Tone = "care"
    said = _KINDS.get(found.kind or "made", "")
    if found.state == "none":
        tone, line = "none", "Nothing in the file says so."
        if found.denied:
            line = "The credentials say that the picture came about otherwise."
    elif found.state == "metadata":
        line = f"Its metadata says {said}. It is not signed: anybody can write it."
        if found.denied:
            line += " The credentials say otherwise."
    else:
        where = "The credentials say" if found.state == "active" else "Those of an input say"
        line = f"{where} {said}."
        if report.manifest.state == "intact" and report.credential.state == "trusted":
            tone = "good"
        elif report.manifest.state == "intact":
            line += " No list here vouches for who says so."
        else:
            line += " But they do not fit the picture."
    return Axis(
        name="Says it is AI",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state,
            kind=found.kind,
            source_type=found.source_type,
            system=found.system,
            human_oversight=found.oversight,
        ),
    )


def _mark(report: Report) -> Axis:
    found = report.watermark
    tone: Tone = "none"
    if found.state == "detected":
        tone, line = "good", "The invisible mark of this service is in the pixels."
        if found.within is not None:
            tone, line = "care", _WITHIN[found.within]
            place = _part(found.box) if found.within == "part" else None
            line = f"{line[:-1]}: {place}." if place else line
    elif found.state == "conflict":
        tone, line = "care", "The mark of this service is there, and something contradicts it."
    elif found.state == "not_examined":
        reason = found.reason or "the pixels could not all be read"
        tone, line = "care", f"Not looked for in full: {reason}."
    elif found.searched:
        line = "The mark of this service is not in the pixels. Marks of others cannot be read here."
    elif found.reason:
        line = f"Not looked for: {found.reason}."
    else:
        line = "Not looked for: this installation has no key of a mark yet."
    return Axis(
        name="Invisible watermark",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state,
            payload=found.payload,
            chance_of_a_false_find=f"at most {found.p_value:.1e}" if found.p_value < 1 else None,
            method=found.method,
            in_the_part=_part(found.box),
            reason=found.reason,
        ),
    )


def _part(box: tuple[int, int, int, int] | None) -> str | None:
    if box is None:
        return None
    left, top, width, height = box
    return f"{width} by {height} pixels, {left} from the left and {top} from the top"


def _likeness(report: Report) -> Axis:
    said = next((one for one in report.techniques if one.name == "fingerprint"), None)
    if said is None:
        return Axis(name="Likeness", tone="none", line="Not compared.")
    recovered = report.recovered
    exact = recovered is not None and recovered.exact != "no"
    far = recovered.far if recovered is not None and recovered.distance is not None else None
    tones: dict[str, Tone] = {
        "found": "good" if exact else "care", "contradicted": "care",
        "not_found": "none", "not_examined": "none",
    }  # fmt: skip
    return Axis(
        name="Likeness",
        tone=tones[said.outcome],
        line=said.detail,
        facts=_facts(bits_that_differ=far),
    )


def _time(report: Report) -> Axis:
    tone, line = _TIME[report.time.state]
    return Axis(
        name="When",
        tone=tone,
        line=line,
        facts=_facts(state=report.time.state, signed_at=report.time.signed_at),
    )


def _record(report: Report) -> Axis:
    record = report.record
    said = next((one for one in report.techniques if one.name == "log"), None)
    if record is None:
        care = said is not None and said.outcome == "contradicted"
        line = said.detail if said is not None else "No record of it here."
        return Axis(name="Our log", tone="care" if care else "none", line=line)
    tone: Tone = "good"
    line = "It was logged here before it left, in a log that cannot be altered unseen."
    if record.get("withdrawn"):
        tone, line = "care", "It was logged here before it left, and has been withdrawn since."
    if said is not None and said.outcome != "found":
        tone, line = ("care" if said.outcome == "contradicted" else "none"), said.detail
    elif report.verdict == "marked_but_altered" or report.manifest.state == "broken":
        line = "The picture that the mark names was logged here before it left."
    elif report.verdict == "edited_after_signing":
        line = "The picture that it was made from was logged here before it left."
    return Axis(
        name="Our log",
        tone=tone,
        line=line,
        facts=_facts(
            record=record.get("record_id"),
            entry=record.get("index"),
            time=record.get("time"),
            model=record.get("model"),
            leaf_hash=record.get("leaf_hash"),
            withdrawn=record.get("withdrawn_at"),
        ),
    )
