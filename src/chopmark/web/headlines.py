"""What stands over a report: three or four words, and what they do and do not say.

A headline says no more than is known, and none comforts: the same verdict reads otherwise where
nobody vouches for a signer, where a record is missing, or where something was not looked at.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance import Report

__all__ = ["Headline", "Tone", "headline"]

Tone = Literal["good", "care", "none"]
# Beyond this many of 256 fingerprint bits a picture does not look like the other one.
_ALIKE: Final = 31
_BAD: Final = frozenset({"broken", "malformed"})
_WITHIN: Final = {
    "part": "in a part of the picture: a page, a screen or a collage that shows one, perhaps",
    "frame": "in one of the pictures that the file shows",
    "hidden": "in pixels of the file that viewers do not show: what you see need not be from here",
}
_SAYS: Final = "How far to believe that depends on who says so."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """What stands over a report.

    Attributes:
        text: Three or four words.
        tone: ``good``: it can be relied on; ``care``: look closer; ``none``: nothing was found.
        meaning: What the verdict does and does not say.
    """

    text: str
    tone: Tone
    meaning: str


def headline(report: Report) -> Headline:
    """Return what stands over a report."""
    found = _BY_VERDICT[report.verdict](report)
    meaning, tone = found.meaning, found.tone
    if any(one.manifest in _BAD for one in report.ingredients):
        tone = "care"
        meaning += " Something that went into it had been changed after it was signed."
    if report.watermark.state == "not_examined":
        tone = "care" if tone == "good" else tone
        meaning += " It could not be looked at in full, so a mark may have been missed."
    if report.credential.list_stale:
        meaning += " The list of known signers is out of date here."
    return dataclasses.replace(found, tone=tone, meaning=meaning)


def _made_here(report: Report) -> Headline:
    recovered = report.recovered
    # An edit of what a model had made is a model's work all the same.
    edited = recovered.edited if recovered else report.ai_signal.kind == "edited"
    sealed = _sealed(report)
    text = "Changed here, with AI" if edited else "Made here, by AI"
    text = "Sealed here, made elsewhere" if sealed else text
    if (report.record or {}).get("withdrawn"):
        return Headline(
            text=f"{text.partition(',')[0]}, and withdrawn since",
            tone="care",
            meaning="This service released the picture, and has taken it back.",
        )
    lost = "Its credentials are gone, and nothing else was changed."
    if report.manifest.state == "intact":
        state = "It is as it left."
    elif recovered is not None and recovered.exact == "file":
        state = lost
    else:
        state = "Its credentials are gone, and its pixels are as they left."
    did = "changed the picture with AI" if edited else "made the picture"
    if sealed:
        did = (
            "judged, marked and signed the picture. Another generator made it, says whoever sent "
            "it, and nobody checked that"
        )
    return Headline(
        text=text, tone="good",
        meaning=f"This service {did}. {state} Who asked for it is not shown.",
    )  # fmt: skip


def _sealed(report: Report) -> bool:
    return bool((report.record or {}).get("sealed"))


def _altered(report: Report) -> Headline:
    if report.record is None:
        return Headline(
            text="Carries our mark",
            tone="care",
            meaning="The pixels carry the mark of this service, and no record of it was found. "
            "What the picture is cannot be said.",
        )
    within = report.watermark.within
    if within is not None:
        return _holds_one(report, _WITHIN[within])
    recovered = report.recovered
    far = recovered is None or (recovered.distance or 0) > _ALIKE
    rest = (
        "It is not the file that left: it may be a part of that picture, or the mark may have "
        "been copied from it."
        if far
        else "Saving it anew or sending it through a messenger is enough for that; so is a "
        "small change of what it shows."
    )
    if report.record.get("withdrawn"):
        rest += " This service has withdrawn the picture since."
    return Headline(
        text="Sealed here, then altered" if _sealed(report) else "Made here, then altered",
        tone="care",
        meaning="The pixels carry the mark of this service, but the credentials are gone or do "
        f"not fit. {rest}",
    )


def _holds_one(report: Report, where: str) -> Headline:
    """A mark that is not in the picture that people see, or not in all of it."""
    withdrawn = (report.record or {}).get("withdrawn")
    rest = " This service has withdrawn that picture since." if withdrawn else ""
    hidden = report.watermark.within == "hidden"
    made = "sealed" if _sealed(report) else "made"
    return Headline(
        text=f"Hides a picture {made} here" if hidden else f"Holds a picture {made} here",
        tone="care",
        meaning=f"The mark of this service is {where}. That says nothing of the rest of the file, "
        f"and the mark may have been copied.{rest}",
    )


def _edited(report: Report) -> Headline:
    if report.manifest.state == "intact":
        return Headline(
            text="Sealed here, changed elsewhere"
            if _sealed(report)
            else "Made here, changed elsewhere",
            tone="care",
            meaning="Somebody else changed a picture that left here, said so, and kept its "
            "history. What they changed, this service does not know.",
        )
    if report.manifest.state == "malformed":
        return Headline(
            text="Its credentials cannot be read",
            tone="care",
            meaning="Something is attached that cannot be read, and the pixels carry the mark of "
            "this service.",
        )
    return Headline(
        text="Does not fit its credentials",
        tone="care",
        meaning="It carries credentials that do not fit it: it was changed afterwards, or they are "
        "another file's. A crop or a new caption does that as well as a forgery.",
    )


def _resembles(_report: Report) -> Headline:
    return Headline(
        text="Looks like a picture made here",
        tone="none",
        meaning="Nothing in the file says where it comes from, and it carries no mark. It only "
        "looks like a picture that this service made: it may be that one, what that one was made "
        "from, or another.",
    )


def _contradictory(_report: Report) -> Headline:
    return Headline(
        text="Its signals contradict each other",
        tone="care",
        meaning="Not all that this file says of itself can be true: a mark was copied, credentials "
        "were replaced, or metadata was made up. Rely on none of it before you know which.",
    )


def _ai_elsewhere(report: Report) -> Headline:
    signal, signer = report.ai_signal, report.credential
    words = {"made": "made by AI", "edited": "edited with AI", "maybe": "possibly made by AI",
             "contains": "partly made by AI", None: "made by AI"}[signal.kind]  # fmt: skip
    if report.manifest.state == "intact" and signer.own:
        return Headline(
            text="Signed with our key, not in our log",
            tone="care",
            meaning=f"Its credentials say that it was {words}, and a key of this service signed "
            "them. No record shows that it was released here.",
        )
    if signal.state == "metadata":
        return Headline(
            text=f"Says that it was {words}",
            tone="care" if signal.kind != "maybe" else "none",
            meaning="Its metadata says so. Metadata is not signed: anybody can write it, and "
            "take it out.",
        )
    if signer.state != "trusted":
        return Headline(
            text=f"Says that it was {words}",
            tone="care",
            meaning=f"Its credentials say so, and no list here vouches for their signer. {_SAYS}",
        )
    return Headline(
        text=f"{words[:1].upper()}{words[1:]}, elsewhere",
        tone="good" if signal.kind != "maybe" else "none",
        meaning=f"A known signer says so. This service did not make it. {_SAYS}",
    )


def _authentic(_report: Report) -> Headline:
    return Headline(
        text="Signed, without a sign of AI",
        tone="good",
        meaning="A known signer signed the file, and it has not been changed since. That proves "
        "who signed, not that what it shows happened.",
    )


def _no_signal(report: Report) -> Headline:
    never = "This does not mean that a person made it."
    if report.manifest.state == "intact":
        return Headline(
            text="Signed, by nobody known here",
            tone="none",
            meaning="Credentials are attached and fit the file, but anybody could have signed "
            f"them: they prove nothing, and they do not speak of AI. {never}",
        )
    if report.watermark.state == "not_examined":
        return Headline(
            text="Not looked at in full", tone="none",
            meaning=f"No signal was found in what could be read. {never}",
        )  # fmt: skip
    return Headline(
        text="No signal found",
        tone="none",
        meaning=f"{never} Credentials get lost in sharing, most services have marks that only "
        "they can read, and most pictures never had either. It means that nothing here which we "
        "can read says where it comes from.",
    )


_BY_VERDICT: Final[dict[str, Callable[[Report], Headline]]] = {
    "made_here": _made_here,
    "marked_but_altered": _altered,
    "edited_after_signing": _edited,
    "resembles_ours": _resembles,
    "contradictory": _contradictory,
    "made_by_ai_elsewhere": _ai_elsewhere,
    "edited_by_ai_elsewhere": _ai_elsewhere,
    "maybe_ai_elsewhere": _ai_elsewhere,
    "authentic_other": _authentic,
    "no_signal": _no_signal,
}
