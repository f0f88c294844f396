"""Step 3: a request becomes an order for the generator, and previews are judged on the way."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chopmark import errors
from chopmark.kit import limits
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline import events
from chopmark.pipeline.cases import SealCase
from chopmark.pipeline.moderation import stops
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest
from chopmark.pipeline.sizes import size_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.generation import Draft, GenerationJob, ModelInfo
    from chopmark.kit.raw_picture import Shown
    from chopmark.pipeline.cases import GenerationCase
    from chopmark.pipeline.parts import Parts
    from chopmark.safety import Policy, Verdict

__all__ = ["make_pictures", "show_looks", "unknown_to_the_model"]

_EVEN: Final = 2  # as close to the proportions as encoders of halved colour take


def make_pictures(
    parts: Parts,
    case: GenerationCase,
    inputs: Sequence[Shown],
    policy: Policy,
    prompt_verdict: Verdict,
) -> list[Image.Image]:
    """Return the unjudged, unmarked pictures of a request; they must go no further as they are.

    Args:
        parts: Where the generator and the guards are.
        case: What is asked for; the generator stops within one step once it is ``gone``.
        inputs: The decoded pictures of an edit in their order, and the mask after them.
        policy: What previews are judged under.
        prompt_verdict: What they are judged in the light of.

    Raises:
        Refused: A preview was blocked.
        ChopmarkError: The generator, a guard or the log failed.
    """
    job = _job(case, inputs, _size(case, inputs, parts.generator.info))
    case.unknown_input = _is_unknown(parts.generator.info, job)
    pictures = parts.generator.generate(
        job,
        progress=lambda done, total: case.tell(done, total, "generating"),
        cancelled=case.gone.is_set,
        draft=lambda draft: _show(parts, case, draft, policy, prompt_verdict),
    )
    if len(pictures) != case.request.n:
        raise errors.GenerationFailed(
            f"the generator made {len(pictures)} of {case.request.n} pictures"
        )
    return pictures


def show_looks(
    parts: Parts, case: GenerationCase, policy: Policy, prompt_verdict: Verdict, *, number: int
) -> None:
    """Show looks at what a wish of a sitting would give, and finish no picture.

    The looks are those at the picture that the same words, seed and size give: as many as there are
    steps before the last, ten at most. Of a model of one step, or a generator that gives no looks,
    the picture itself is shown as one.

    Args:
        parts: Where the generator and the guards are.
        case: The wish; the generator stops within one step once it is ``gone``.
        policy: What looks are judged under.
        prompt_verdict: What they are judged in the light of.
        number: Which wish of the sitting; the ``index`` of what is shown.

    Raises:
        Refused: A look was blocked.
        ChopmarkError: The generator, a guard or the log failed.
    """
    from chopmark.generation import Draft

    info = parts.generator.info
    steps = case.request.steps or info.default_steps
    wanted = max(1, min(steps - 1, limits.PREVIEWS.most))
    seen = 0

    def take(draft: Draft) -> None:
        nonlocal seen
        seen += 1
        shown = replace(draft, index=number)
        _show(parts, case, shown, policy, prompt_verdict, digest=True)
        if seen == wanted:
            raise _Enough  # whoever waits for no picture need not have it decoded

    job = replace(_job(case, (), _size(case, (), info)), drafts=wanted, looks_only=True)
    with suppress(_Enough):
        pictures = parts.generator.generate(job, cancelled=case.gone.is_set, draft=take)
        if not seen:
            picture = pictures[0].convert("RGB")
            picture.thumbnail((limits.DRAFT_SIDE.most,) * 2)
            take(Draft(index=1, step=steps, steps=steps, picture=picture))


class _Enough(Exception):
    """Every look was shown."""


def unknown_to_the_model(
    parts: Parts, case: GenerationCase | SealCase, prompt_verdict: Verdict
) -> tuple[tuple[str, ...], str | None]:
    """Return the prompt's words that the model never learned, and its language if it knows none.

    Nothing is said of a model whose words are not known, nor of a picture that another one made.
    """
    if isinstance(case, SealCase) or (taught := parts.generator.info.taught) is None:
        return (), None
    foreign = not taught.speaks(case.request.prompt, prompt_verdict.language)
    return taught.unknown(case.request.prompt), prompt_verdict.language if foreign else None


def _is_unknown(model: ModelInfo, job: GenerationJob) -> bool:
    """Tell whether a model of drawings on plain grounds is given another picture to edit.

    It paints a drawing in its place. Within a mask the rest stays, whatever it shows.
    """
    from chopmark.generation.ground import on_plain_ground

    if not model.extends or job.mask is not None:
        return False
    return not all(map(on_plain_ground, job.images))


def _size(case: GenerationCase, inputs: Sequence[Shown], model: ModelInfo) -> tuple[int, int]:
    """Return the size of the outputs; an edit without one keeps the proportions of its picture."""
    if case.size is not None:
        return case.size
    pixels = case.request.pixels if isinstance(case.request, EditRequest) else None
    return size_for(*inputs[0].size, pixels=pixels or math.prod(model.default_size), step=_EVEN)


def _job(case: GenerationCase, inputs: Sequence[Shown], size: tuple[int, int]) -> GenerationJob:
    from chopmark.generation import GenerationJob

    request = case.request
    edit = request if isinstance(request, EditRequest) else None
    pictures = len(edit.pictures) if edit else 0
    return GenerationJob(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        n=request.n,
        seed=case.seed,
        width=size[0],
        height=size[1],
        steps=request.steps,
        guidance=request.guidance,
        images=tuple(as_image(one) for one in inputs[:pictures]),
        mask=as_image(inputs[pictures]) if len(inputs) > pictures else None,
        strength=edit.strength if edit else None,
        # Drafts cost time: none where nobody takes them.
        drafts=request.previews if case.preview else 0,
        tenant=case.tenant,
    )


def _show(
    parts: Parts,
    case: GenerationCase,
    draft: Draft,
    policy: Policy,
    prompt_verdict: Verdict,
    *,
    digest: bool = False,
) -> None:
    """Hand a preview out if the guards let it; what is raised here ends the generation."""
    from chopmark.pipeline.preview import make_preview

    try:
        verdict = parts.image_guard.judge(
            draft.picture, policy, stage="output", prompt_verdict=prompt_verdict
        )
    except errors.ChopmarkError:
        raise
    except Exception as error:
        # Raised through the generator, it would else read as a failure of the generator.
        raise errors.GuardFailed("a preview could not be judged") from error
    if stops(verdict, parts.settings):
        raise Refused(
            record_id=case.record_id,
            stage="output",
            verdict=verdict,
            tells=parts.settings.refusal_tells,
        )
    if case.preview is None:
        return
    preview = make_preview(draft, verdict)
    # Whoever books the end of the request waits here: nothing is shown after it, nor uncounted.
    with case.showing:
        if case.gone.is_set():
            return
        event = events.previewed(case.record_id, case.tenant, case.subject, preview, digest=digest)
        parts.request_log.append(event)
        case.previews_shown += 1
        case.preview(preview)
