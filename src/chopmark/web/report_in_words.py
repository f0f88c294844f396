"""A report in words for everybody: a headline, then a line for each thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from chopmark.provenance import Report

__all__ = ["Axis", "ReportInWords", "in_words"]

Tone = Literal["good", "care", "none"]


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


_HEADLINES: Final[dict[str, tuple[str, Tone, str]]] = {
    "made_here": (
        "Made here, by AI",
        "good",
        ("This service made the picture, and it is as it left. Who asked for it is not shown."),
    ),
    "made_by_ai_elsewhere": (
        "Made by AI, elsewhere",
        "good",
        (
            "The file itself says that a trained model made it or took part. We did not make"
            " it; how far to believe the file depends on who signed it."
        ),
    ),
    "edited_after_signing": (
        "Changed after it was signed",
        "care",
        (
            "It carries credentials, and they no longer fit: somebody changed it afterwards."
            " A crop or a new caption does that as well as a forgery."
        ),
    ),
    "marked_but_altered": (
        "Made here, then altered",
        "care",
        (
            "The pixels carry the mark of this service, but the credentials are gone or do not fit."
            " Saving it anew or sending it through a messenger is enough for that."
        ),
    ),
    "authentic_other": (
        "Signed, without a sign of AI",
        "good",
        (
            "Somebody signed the picture and it has not been changed since. That proves who signed,"
            " not that what it shows happened."
        ),
    ),
    "no_signal": (
        "No signal found",
        "none",
        (
            "This does not mean that a person made it. Credentials get lost in sharing,"
            " most services have marks that only they can read, and most pictures never had either."
            " It means that nothing here which we can read says where it comes from."
        ),
    ),
}
_MANIFEST: Final[dict[str, tuple[Tone, str]]] = {
    "intact": ("good", "They are attached, and the picture is as it was when it was signed."),
    "broken": ("care", "They are attached, but the picture was changed after it was signed."),
    "malformed": ("care", "Something is attached that cannot be read."),
    "remote_only": ("none", "The file names a place where they are; it is not visited."),
    "absent": ("none", "None are attached. Most pictures have none."),
}
_CREDENTIAL: Final[dict[str, tuple[Tone, str]]] = {
    "trusted": ("good", "Somebody on a list of known signers."),
    "untrusted": (
        "care",
        "Somebody whom no list here vouches for. That alone does not mean that it was forged.",
    ),
    "expired": ("care", "The signer's certificate had run out when it was used."),
    "revoked": ("care", "The signer's certificate was taken back."),
    "refused": ("care", "The certificate is none that may sign pictures."),
    "absent": ("none", "Nobody signed it."),
}
_TIME: Final[dict[str, tuple[Tone, str]]] = {
    "trusted": ("good", "A known authority stamped the time."),
    "untrusted": ("care", "Stamped by an authority that is not known here."),
    "absent": ("none", "No independent time stamp."),
}
_AI: Final[dict[str, tuple[Tone, str]]] = {
    "active": ("good", "The credentials say that a trained model made it or took part."),
    "ancestor": ("good", "A picture that went into it was made by a trained model."),
    "metadata": ("care", "Its metadata say so. Metadata are not signed: anybody can write them."),
    "none": ("none", "Nothing in the file says so."),
}


def in_words(report: Report) -> ReportInWords:
    """Return a report in words for everybody."""
    headline, tone, meaning = _HEADLINES[report.verdict]
    axes = (
        _manifest(report),
        _credential(report),
        _ai(report),
        _mark(report),
        _time(report),
        _record(report),
    )
    return ReportInWords(headline=headline, tone=tone, meaning=meaning, axes=axes)


def _facts(**values: object) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else str(value))
        for name, value in values.items()
        if value not in {None, "", ()} and value is not False
    )


def _manifest(report: Report) -> Axis:
    found = report.manifest
    tone, line = _MANIFEST[found.state]
    if found.identity:
        line += " They also make a statement about a person or an organisation, not judged here."
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
            problems=found.problems,
        ),
    )


def _credential(report: Report) -> Axis:
    found = report.credential
    tone, line = _CREDENTIAL[found.state]
    if found.own:
        tone, line = "good", "This service signed it."
    elif found.state == "trusted" and found.issuer:
        line = f"{found.issuer}, which is on a list of known signers."
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
            algorithm=found.alg,
        ),
    )


def _ai(report: Report) -> Axis:
    found = report.ai_signal
    tone, line = _AI[found.state]
    if found.denied:
        line = "The credentials say that no trained model took part."
    return Axis(
        name="Says it is AI",
        tone=tone,
        line=line,
        facts=_facts(state=found.state, source_type=found.source_type, system=found.system),
    )


def _mark(report: Report) -> Axis:
    found = report.watermark
    tone: Tone = "none"
    if found.state == "detected":
        tone, line = "good", "The invisible mark of this service is in the pixels."
    elif found.state == "conflict":
        tone, line = "care", "The mark in the pixels and the credentials contradict each other."
    elif found.searched:
        line = "The mark of this service is not in the pixels. Marks of others cannot be read here."
    else:
        line = "Not looked for: this installation has no key of a mark yet."
    return Axis(
        name="Invisible watermark",
        tone=tone,
        line=line,
        facts=_facts(
            state=found.state,
            payload=found.payload,
            chance_of_a_false_find=f"{found.p_value:.1e}" if found.p_value < 1 else None,
            method=found.method,
            reason=found.reason,
        ),
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
    if record is None:
        return Axis(name="Our log", tone="none", line="No record of it here.")
    taken_back = bool(record.get("withdrawn"))
    return Axis(
        name="Our log",
        tone="care" if taken_back else "good",
        line="It was booked here before it left, and has been withdrawn since."
        if taken_back
        else "It was booked here before it left, in a log that cannot be altered unseen.",
        facts=_facts(
            record=record.get("record_id"),
            entry=record.get("index"),
            time=record.get("time"),
            model=record.get("model"),
            leaf_hash=record.get("leaf_hash"),
            withdrawn_at=record.get("withdrawn_at"),
        ),
    )
