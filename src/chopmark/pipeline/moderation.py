"""Judging: texts and pictures under a policy, and what may change or only accompany a verdict.

The pipeline's steps 2 and 4 are made of these functions; :func:`moderate` is judging for its own
sake, with nothing generated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import AnswerErased, ImageTooSmall, InvalidRequest, RecordNotFound
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline import events
from chopmark.pipeline.elsewhere import ImageGuardElsewhere
from chopmark.pipeline.request import EditRequest, SealRequest
from chopmark.pipeline.steps import Case
from chopmark.workers.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import Record
    from chopmark.kit.raw_picture import Shown
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.foreign_files import ForeignFiles, Looks
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import KeepsEnding
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.pipeline.steps import Steps
    from chopmark.safety import Policy, Verdict
    from chopmark.safety.categories import Stage as SafetyStage
    from chopmark.settings import Settings

__all__ = [
    "Moderated",
    "judge_looks",
    "judge_picture",
    "judge_prompt",
    "moderate",
    "moderated_again",
    "open_inputs",
    "prompt_exception",
    "shadow_verdicts",
    "stops",
    "text_of",
]

# Scaling a picture and its mask to whole pixels may part their proportions a little.
_MASK_TOLERANCE: Final = 1.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderated:
    """What was judged without being generated.

    Attributes:
        record_id: Where it is booked, 16 hex digits.
        verdicts: On the texts in their order, on the edits, then on the picture.
    """

    record_id: str
    verdicts: tuple[Verdict, ...]

    def to_bytes(self) -> bytes:
        """Return it as bytes, for :func:`moderated_again`."""
        return encode(self, _values())


async def moderate(
    steps: Steps,
    texts: Sequence[str],
    *,
    edits: Sequence[str] = (),
    languages: Sequence[str | None] = (),
    image: bytes | None,
    tenant: str,
    subject: str | None,
    policy: Policy | None,
    ending: KeepsEnding | None = None,
) -> Moderated:
    """Judge texts, edits and a picture; one record for all. See ``Pipeline.moderate``."""
    asked = [False] * len(texts) + [True] * len(edits)
    texts = [*texts, *edits]
    if languages and len(languages) != len(texts):
        raise InvalidRequest("there are not as many languages as texts and edits")
    if not texts and image is None:
        raise InvalidRequest("there is nothing to judge", hint="give texts, or a picture")
    parts, case = steps.parts, Case(tenant=tenant, subject=subject)
    first_stage: Literal["judge_prompt", "judge_input"] = "judge_prompt" if texts else "judge_input"
    rules = policy
    if rules is None:
        rules = await steps.run(case, first_stage, lambda: parts.policies.for_tenant(tenant))

    text_verdicts: list[Verdict] = []
    if texts:
        text_verdicts = await steps.run(
            case,
            "judge_prompt",
            lambda: parts.prompt_guard.judge_many(
                texts, rules, tenant=tenant, edits=asked, languages=languages
            ),
        )
    # Not judged as an illustration of texts: nobody says that they belong together. One edit and a
    # picture do.
    wish = text_verdicts[0] if len(edits) == 1 == len(texts) else None
    picture_verdict: Verdict | None = None
    if image is not None:
        looks = await steps.run(case, "judge_input", lambda: parts.files.views(image, still=False))
        picture_verdict = await judge_looks(steps, case, looks, rules, wish)

    judged: list[tuple[SafetyStage, Verdict]] = [("prompt", verdict) for verdict in text_verdicts]
    if picture_verdict is not None:
        judged.append(("input", picture_verdict))
    shadow = await shadow_verdicts(steps, case, judged)
    public, personal = events.moderated(
        rules,
        texts,
        text_verdicts,
        edits=len(edits),
        picture_verdict=picture_verdict,
        shadow=shadow,
    )
    verdicts = tuple(verdict for _, verdict in judged)
    moderated = Moderated(record_id=case.record_id, verdicts=verdicts)
    if ending is not None:
        # For whoever asks again because the answer was lost.
        await steps.run(case, "completed", lambda: ending(case.record_id, moderated.to_bytes()))
    await steps.book(case, "completed", "moderation.completed", public, personal)
    return moderated


def moderated_again(parts: Parts, data: bytes, *, tenant: str) -> Moderated | None:
    """Return what was judged and booked, and not delivered.

    Args:
        parts: With the log.
        data: From :meth:`Moderated.to_bytes`.
        tenant: Who asks; what another tenant asked is nothing.

    Returns:
        ``None`` where the log does not have it as judged.

    Raises:
        AnswerErased: What was asked is erased by now.
    """
    moderated, log = decode(data, _values()), parts.request_log
    try:
        records = log.records(moderated.record_id)
    except RecordNotFound:
        return None
    if not any(one.kind == "moderation.completed" and one.tenant == tenant for one in records):
        return None
    if log.custody.contentless([moderated.record_id]):
        raise AnswerErased(
            f"what record {moderated.record_id} holds was erased",
            hint="use a new Idempotency-Key for a new request",
        )
    found: Moderated = moderated
    return found


def _values() -> dict[str, type]:
    from chopmark.safety.verdict import Evidence, People, Verdict

    return {kind.__name__: kind for kind in (Evidence, Moderated, People, Verdict)}


async def judge_picture(
    steps: Steps,
    case: Case,
    where: Literal["input", "output"],
    picture: Shown,
    policy: Policy,
    prompt_verdict: Verdict | None = None,
) -> Verdict:
    """Judge one picture under the policy, in the light of the verdict on its prompt.

    Raises:
        ImageTooSmall: It has a side below 16 pixels.
        ChopmarkError: The guard failed.
    """
    from chopmark.safety.image.guard import MIN_SIDE

    if min(picture.size) < MIN_SIDE:
        raise ImageTooSmall(
            f"a picture of {picture.width}x{picture.height} pixels cannot be judged",
            hint=f"at least {MIN_SIDE} pixels a side",
        )

    def judge() -> Verdict:
        guard = steps.parts.image_guard
        if isinstance(guard, ImageGuardElsewhere):  # raw pixels go on as they are
            return guard.judge(picture, policy, stage=where, prompt_verdict=prompt_verdict)
        return guard.judge(as_image(picture), policy, stage=where, prompt_verdict=prompt_verdict)

    return await steps.run(case, "judge_input" if where == "input" else "judge_output", judge)


async def judge_looks(
    steps: Steps,
    case: Case,
    looks: Looks,
    policy: Policy,
    prompt_verdict: Verdict | None = None,
) -> Verdict:
    """Judge all that people can see of an input; what could not be looked at is for review.

    Raises:
        ImageTooSmall: The picture itself has a side below 16 pixels.
        ChopmarkError: The guard failed.
    """
    from chopmark.safety.guards import join_verdicts, reviewed
    from chopmark.safety.image.guard import MIN_SIDE

    first, *others = looks.pictures
    verdicts = [
        await judge_picture(steps, case, "input", picture, policy, prompt_verdict)
        # A preview of a few pixels shows nothing that could be judged.
        for picture in (first, *(one for one in others if min(one.size) >= MIN_SIDE))
    ]
    verdict = join_verdicts(verdicts)
    return reviewed(verdict, looks.missed) if looks.missed else verdict


def stops(verdict: Verdict, settings: Settings) -> bool:
    """Tell whether what was judged stays here."""
    return verdict.action == "block" or (
        verdict.action == "review" and settings.on_review == "refuse"
    )


async def shadow_verdicts(
    steps: Steps,
    case: Case,
    verdicts: Sequence[tuple[SafetyStage, Verdict]],
    prompt_verdict: Verdict | None = None,
) -> dict[str, JsonValue]:
    """Return what the shadow policy makes of the same scores, for the log and nothing else.

    Empty where no shadow policy is set. ``differs`` counts the verdicts that it would change.
    """
    from chopmark.safety.policy_tools import rejudge

    if not steps.parts.policies.has_shadow:
        return {}
    shadow = await steps.run(case, case.stage, steps.parts.policies.shadow)
    if shadow is None:
        return {}
    differs = 0
    rejudged: list[JsonValue] = []
    for stage, verdict in verdicts:
        # A prompt's own verdict is what the others are seen in the light of.
        light = None if stage == "prompt" else prompt_verdict
        other = rejudge(verdict, shadow, stage=stage, prompt_verdict=light)
        differs += other.action != verdict.action
        rejudged.append(
            {"stage": stage, "action": other.action, "categories": list(other.categories)}
        )
    return {"shadow": {"policy": shadow.digest(), "differs": differs, "verdicts": rejudged}}


def text_of(request: GenerationRequest | SealRequest) -> str:
    """Return the words that are judged: what is wished for and what is not."""
    return "\n".join(filter(None, (request.prompt, request.negative_prompt)))


async def judge_prompt(
    steps: Steps, case: Case, request: GenerationRequest | SealRequest
) -> tuple[Policy, Verdict]:
    """Return the policy that a request falls under, and what it says of the words."""
    parts = steps.parts
    policy = await steps.run(
        case, "judge_prompt", lambda: request.policy or parts.policies.for_tenant(case.tenant)
    )
    text, edit = text_of(request), isinstance(request, EditRequest)
    verdict = await steps.run(
        case,
        "judge_prompt",
        lambda: parts.prompt_guard.judge(text, policy, tenant=case.tenant, edit=edit),
    )
    return policy, verdict


async def prompt_exception(
    steps: Steps,
    case: Case,
    request: GenerationRequest | SealRequest,
    verdict: Verdict,
    policy: Policy,
) -> Record | None:
    """Return the exception that lets a stopped prompt pass; some categories know none."""
    from chopmark.audit import PromptException

    # The categories that decided it are not all that count: a prompt may be stopped for one that
    # can be excepted, and touch one that cannot.
    touched = {
        name
        for name, rule in policy.categories.items()
        if rule.action("prompt", verdict.scores.get(name, 0.0)) != "allow"
    }
    barred = PromptException.NEVER.intersection(touched.union(verdict.categories))
    if barred or not stops(verdict, steps.parts.settings):
        return None
    return await steps.run(
        case,
        "judge_prompt",
        lambda: steps.parts.request_log.exceptions.find(
            request.prompt, negative_prompt=request.negative_prompt, tenant=case.tenant
        ),
    )


def open_inputs(request: GenerationRequest | SealRequest, files: ForeignFiles) -> list[Looks]:
    """Decode the pictures that come in, and the mask after them, within the limits.

    The first of each one's looks is what the generator is given.

    Raises:
        InvalidRequest: One of them is no picture or over a limit; the message says which.
    """
    pictures = []
    named = request.inputs if isinstance(request, EditRequest | SealRequest) else {}
    for name, data in named.items():
        try:
            pictures.append(files.views(data, still=True))
        except InvalidRequest as error:
            error.message = f"{name}: {error.message}"
            raise
    if isinstance(request, EditRequest) and request.mask is not None:
        _check_mask(pictures[0].pictures[0].size, pictures[-1].pictures[0].size)
    return pictures


def _check_mask(picture: tuple[int, int], mask: tuple[int, int]) -> None:
    """Refuse a mask that would have to be stretched or cropped to lie over its picture."""
    away = picture[0] * mask[1] / (picture[1] * mask[0])
    if not 1 / _MASK_TOLERANCE <= away <= _MASK_TOLERANCE:
        raise InvalidRequest(
            f"the mask is {mask[0]}x{mask[1]} and the picture {picture[0]}x{picture[1]} pixels",
            hint="a mask has the proportions of the picture that it lies over",
            param="mask",
        )
