"""What the log holds of a request: the part that anybody may read, and the part that is personal.

The public part stands in the tree for ever, so it holds nothing that a person wrote, nothing that
leads to one, and no digest of a picture (a public picture is linkable by it). The personal part is
encrypted in the log and can be erased.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.errors import Cancelled, ChopmarkError
from chopmark.pipeline.cases import SealCase
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.audit import Event, EventKind, Record
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.cases import GenerationCase
    from chopmark.pipeline.maker import Maker
    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Output, Withheld
    from chopmark.pipeline.request import GenerationRequest, SealRequest
    from chopmark.safety import Policy, Verdict

__all__ = [
    "completed",
    "decided",
    "ended",
    "moderated",
    "previewed",
    "received",
    "rounded",
    "sitting_began",
    "sitting_ended",
    "words_of",
]


def received(
    case: GenerationCase | SealCase,
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return the public and the personal part of ``request.received``."""
    request = case.request
    personal = words_of(request)
    if request.client is not None:
        personal["client"] = request.client
    if isinstance(case, SealCase):
        personal["input_sha256"] = hashlib.sha256(case.request.image).hexdigest()
        personal["claimed_model"] = case.maker.name
        return {
            "operation": "seal",
            "model": case.maker.public_name,
            "n": 1,
            "format": case.format,
        }, personal
    return _ordered(case, personal)


def words_of(request: GenerationRequest | SealRequest) -> dict[str, JsonValue]:
    """Return what was asked in words."""
    negative = {"negative_prompt": request.negative_prompt} if request.negative_prompt else {}
    return {"prompt": request.prompt, **negative}


def sitting_began(case: GenerationCase) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return both parts of ``request.received`` of a sitting; the words stand with each wish."""
    client = case.request.client
    return {
        "operation": "sitting",
        "model": case.maker.public_name,
        "n": 0,
        "format": "png",
    }, ({} if client is None else {"client": client})


def sitting_ended(
    maker: Maker, passed: Sequence[Verdict], *, policy: str
) -> tuple[EventKind, dict[str, JsonValue], dict[str, JsonValue]]:
    """Return kind and both parts of the end of a sitting, in which no picture was finished."""
    from chopmark.safety.categories import worst

    return (
        "request.completed",
        {
            "model": maker.public_name,
            "model_digest": maker.digest,
            "policy": policy,
            "action": worst("allow", *(verdict.action for verdict in passed)),
            "outputs": [],
            "withheld": [],
        },
        {},
    )


def _ordered(
    case: GenerationCase, personal: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    request = case.request
    edit = request if isinstance(request, EditRequest) else None
    if edit is not None:
        if edit.consent is not None:
            personal["consent"] = edit.consent
        personal["input_sha256"] = hashlib.sha256(edit.image).hexdigest()
        if edit.references:
            personal["reference_sha256"] = [
                hashlib.sha256(one).hexdigest() for one in edit.references
            ]
    return {
        "operation": "edit" if edit else "generate",
        "model": case.maker.public_name,
        "n": request.n,
        "size": case.size and list(case.size),
        "seed": case.seed,
        "format": case.format,
        "steps": request.steps,
        **({} if request.background == "opaque" else {"background": request.background}),
        **({} if request.guidance is None else {"guidance": request.guidance}),
        **({"strength": edit.strength} if edit and edit.strength is not None else {}),
        **({"references": len(edit.references)} if edit and edit.references else {}),
    }, personal


def decided(
    policy: Policy,
    prompt_verdict: Verdict,
    input_verdicts: Sequence[Verdict],
    *,
    exception: Record | None,
    shadow: Mapping[str, JsonValue],
    chain: Sequence[str] = (),
    chain_verdicts: Sequence[Verdict] = (),
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return both parts of ``request.decided``; evidence quotes the prompt, so it is personal.

    So is which records the pictures of an edit came from: it ties one person's wishes together.
    """
    parents: dict[str, JsonValue] = {"parents": list(chain)} if chain else {}
    return {
        "policy": policy.digest(),
        "exception": exception.index if exception else None,
        "verdicts": [
            _summary("prompt", prompt_verdict),
            *(_summary("input", verdict) for verdict in input_verdicts),
            *(_summary("chain", verdict) for verdict in chain_verdicts),
        ],
        **shadow,
    }, {
        "evidence": [
            v.to_dict()["evidence"] for v in (prompt_verdict, *input_verdicts, *chain_verdicts)
        ],
        **parents,
    }


def previewed(
    record_id: str, tenant: str, subject: str | None, preview: Preview, *, digest: bool = False
) -> Event:
    """Return what is booked before a preview is shown; of what it shows at most a digest is kept.

    In a sitting, where no picture follows that could be told by its mark, it is.
    """
    from chopmark.audit import Event

    return Event(
        kind="request.previewed",
        record_id=record_id,
        event_id=f"{record_id}:request.previewed:{preview.index}:{preview.step}",
        tenant=tenant,
        subject=subject,
        public={
            "index": preview.index,
            "step": preview.step,
            "steps": preview.steps,
            "verdict": _summary("output", preview.verdict),
        },
        private={"sha256": hashlib.sha256(preview.data).hexdigest()} if digest else {},
    )


def completed(
    maker: Maker,
    policy: Policy,
    outputs: Sequence[Output],
    withheld: Sequence[Withheld],
    *,
    prompt_verdict: Verdict,
    input_verdicts: Sequence[Verdict],
    shadow: Mapping[str, JsonValue],
    pdq: Mapping[str, str],
    review_copies: Mapping[str, JsonValue],
    repeats: str | None,
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return both parts of ``request.completed``.

    ``repeats`` is the record whose pictures leave again, and were judged again.
    """
    from chopmark.safety.categories import worst

    return {
        "model": maker.public_name,
        "model_digest": maker.digest,
        "policy": policy.digest(),
        # What a reviewer's queue goes by: the strictest of what let this through.
        "action": worst(
            prompt_verdict.action,
            *(verdict.action for verdict in input_verdicts),
            *(output.verdict.action for output in outputs),
        ),
        "outputs": [
            {
                "output_id": output.output_id,
                "manifest_id": output.manifest_id,
                "format": output.format,
                "size": [output.width, output.height],
                "seed": output.seed,
                "batch": output.batch,
                "verdict": _summary("output", output.verdict),
            }
            for output in outputs
        ],
        "withheld": [
            {
                "index": item.index,
                "verdict": _summary("output", item.verdict),
                **({} if item.reason == "policy" else {"reason": item.reason}),
            }
            for item in withheld
        ],
        **_restricted([item.verdict for item in withheld]),
        **({} if repeats is None else {"repeats": repeats}),
        **shadow,
    }, {
        "sha256": {output.output_id: output.sha256 for output in outputs},
        "pdq": dict(pdq),
        **_review_copies(review_copies),
        **_evidence([*(item.verdict for item in outputs), *(item.verdict for item in withheld)]),
    }


def ended(
    error: BaseException, stage: str, *, review_copies: Mapping[str, JsonValue]
) -> tuple[EventKind, dict[str, JsonValue], dict[str, JsonValue]]:
    """Return kind, public and personal part of the end of a request that did not complete."""
    personal = _review_copies(review_copies)
    if isinstance(error, Refused):
        return (
            "request.refused",
            {
                "stage": error.stage,
                "action": error.verdict.action,
                "categories": list(error.verdict.categories),
                "verdict": _summary(error.stage, error.verdict),
                **_restricted([error.verdict]),
            },
            # Of words and inputs ``request.decided`` has it.
            {**personal, **(_evidence([error.verdict]) if error.stage == "output" else {})},
        )
    ours = error if isinstance(error, ChopmarkError) else Cancelled("gone")
    return "request.failed", {"code": ours.code, "stage": stage}, personal


def moderated(
    policy: Policy,
    texts: Sequence[str],
    text_verdicts: Sequence[Verdict],
    *,
    edits: int,
    picture_verdict: Verdict | None,
    shadow: Mapping[str, JsonValue],
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return both parts of ``moderation.completed``; of a picture nothing is kept.

    The last ``edits`` of the texts were judged as what is asked of an edit.
    """
    public: dict[str, JsonValue] = {"policy": policy.digest()}
    if texts:
        actions = [verdict.action for verdict in text_verdicts]
        public["texts"] = len(texts)
        if edits:
            public["edits"] = edits
        public["actions"] = {name: actions.count(name) for name in sorted(set(actions))}
    if picture_verdict is not None:
        public["verdict"] = _summary("input", picture_verdict)
    judged = [*text_verdicts, *([] if picture_verdict is None else [picture_verdict])]
    public |= {**_restricted(judged), **shadow}
    return public, ({"texts": list(texts)} if texts else {})


def rounded(timings_ms: Mapping[str, float]) -> dict[str, JsonValue]:
    """Return times to a tenth of a millisecond."""
    return {name: round(ms, 1) for name, ms in timings_ms.items()}


def _review_copies(copies: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the personal part that holds review copies, under the name that the console reads."""
    return {"looks": dict(copies)} if copies else {}


def _evidence(verdicts: Sequence[Verdict]) -> dict[str, JsonValue]:
    """Return why pictures were flagged: it may quote what stands in them, so it is personal."""
    reasons: list[JsonValue] = [
        verdict.to_dict()["evidence"] for verdict in verdicts if verdict.flagged
    ]
    return {"evidence": reasons} if reasons else {}


def _restricted(verdicts: Sequence[Verdict]) -> dict[str, JsonValue]:
    """Mark a record that ordinary roles are not to open (docs/safety.md)."""
    return {"restricted": True} if any(verdict.restricted for verdict in verdicts) else {}


def _summary(stage: str, verdict: Verdict) -> dict[str, JsonValue]:
    """The part of a verdict that tells nothing of the person: no text, no evidence."""
    return {
        "stage": stage,
        "action": verdict.action,
        "categories": list(verdict.categories),
        "scores": {name: round(score, 4) for name, score in sorted(verdict.scores.items())},
        "models": list(verdict.models),
    }
