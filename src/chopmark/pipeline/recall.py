"""A request that was answered before: its pictures may be the answer again, instead of new ones.

Off by default (``CHOPMARK_CACHED_ANSWERS``). The prompt of the new request is judged first, like
any other. Then pictures of an earlier request of the same tenant are its answer if

- the prompt asks for the same, and so is everything else that shapes a picture or its file: model
  and weights, size, steps, guidance, negative prompt, number, format, policy, mark key,
  certificate; and the seed, where one is named;
- the earlier answer still stands (:mod:`chopmark.pipeline.earlier_answer`);
- today's guards allow each picture again.

Whatever is in doubt ends in ``None``, and pictures are made. What an answer was given from lies in
the log, sealed beside the content of the request that it was made for, and goes with it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from chopmark import errors
from chopmark.pipeline.cases import SealCase
from chopmark.pipeline.earlier_answer import standing_answer
from chopmark.pipeline.moderation import judge_picture
from chopmark.pipeline.released import Output
from chopmark.pipeline.request import EditRequest
from chopmark.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.kit.types import ImageFormat, JsonValue
    from chopmark.pipeline.answer_cache import AnswerCache
    from chopmark.pipeline.cases import GenerationCase
    from chopmark.pipeline.earlier_answer import EarlierAnswer
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Released
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.pipeline.steps import Steps
    from chopmark.safety import Policy, Verdict
    from chopmark.settings import Settings

__all__ = ["CachedAnswer", "applies_to", "keep", "recall"]

# Settings that shape a picture or its file and show in nothing else.
_SHAPING: Final = (
    "aigc_producer", "attention", "device", "dtype", "label", "label_font", "label_language",
    "label_position", "label_size", "label_text", "loras", "manifest_prompt", "mark_method",
    "model", "on_review", "quantization", "remote_extras", "runtime", "soft_binding", "step_cache",
    "tiling", "training_mining",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CachedAnswer:
    """The same pictures as the answer to a new request.

    Attributes:
        repeats: The record that they were made for.
        outputs: Each with what today's guards say of it.
    """

    repeats: str
    outputs: list[Output]


async def recall(
    steps: Steps, case: GenerationCase | SealCase, policy: Policy, prompt_verdict: Verdict
) -> CachedAnswer | None:
    """Return the pictures that this request got before, judged again; any doubt is ``None``.

    Never raises: a look-up that breaks or takes too long is counted, and pictures are made.
    """
    parts = steps.parts
    cache = parts.answer_cache
    if isinstance(case, SealCase) or prompt_verdict.action != "allow":
        return None
    request, size = case.request, case.size
    if size is None or not applies_to(parts.settings, request):
        return None
    try:
        case.terms = await steps.run(
            case, "recall", lambda: _terms(parts, request, policy, size, case.format)
        )
        earlier = await steps.run(case, "recall", lambda: _find(parts, request, policy, case.terms))
        if earlier is None:
            return None
        verdicts = await side_by_side(
            case,
            [
                partial(judge_picture, steps, case, "output", kept.picture, policy, prompt_verdict)
                for kept in earlier.pictures
            ],
        )
    except errors.ChopmarkError as error:
        cache.failed(error)
        return None
    answer = _answer(cache, earlier, verdicts)
    if answer is not None:
        case.pdq.update({kept.output_id: kept.pdq for kept in earlier.pictures})
    return answer


def applies_to(settings: Settings, request: GenerationRequest) -> bool:
    """Tell whether a request is of the kind that may be answered from the past."""
    switched_on = settings.prompt_index and settings.cached_answers != "off"
    return switched_on and not isinstance(request, EditRequest)


def _terms(
    parts: Parts,
    request: GenerationRequest,
    policy: Policy,
    size: tuple[int, int],
    format: ImageFormat,  # noqa: A002  the field's name
) -> bytes | None:
    """Return a digest of all that shapes the answer beside prompt and seed.

    ``None`` where the model does not say which weights it runs: then nothing tells whether it
    is still the same.
    """
    model = parts.generator.info
    if not model.digest:
        return None
    conditions: dict[str, JsonValue] = {
        "model": [model.id, model.version, model.digest, model.quantization],
        "n": request.n,
        "size": list(size),
        "steps": request.steps or model.default_steps,
        "guidance": request.guidance,
        "negative_prompt": request.negative_prompt,
        "format": format,
        "background": request.background,
        "quality": request.quality,
        "policy": policy.digest(),
        "mark_key": parts.mark_keys.active.key_id,
        "certificate": parts.credential.fingerprint,
        "settings": {name: str(getattr(parts.settings, name)) for name in _SHAPING},
    }
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).digest()


def _find(
    parts: Parts, request: GenerationRequest, policy: Policy, terms: bytes | None
) -> EarlierAnswer | None:
    """Return the newest earlier answer that still stands."""
    if terms is None:
        return None
    if request.fresh:
        parts.answer_cache.count("bypassed")
        return None
    index = parts.prompt_index
    if index is None:
        return None
    with parts.answer_cache.search() as free:
        if not free:
            return None
        matches = index.asked_before(
            request.prompt,
            terms=terms,
            tenant=request.tenant,
            seed=request.seed,
            reworded=parts.settings.cached_answers == "reworded",
        )
        for match in matches:
            earlier = standing_answer(parts, match.record_id, request, policy)
            if earlier is not None:
                return earlier
    parts.answer_cache.count("doubt" if matches else "miss")
    return None


def _answer(
    cache: AnswerCache, earlier: EarlierAnswer, verdicts: Sequence[Verdict]
) -> CachedAnswer | None:
    """Return the answer, if today's guards let every picture pass without reserve."""
    allowed = all(verdict.action == "allow" for verdict in verdicts)
    cache.count("hit" if allowed else "doubt")
    if not allowed:
        return None
    outputs = [
        Output(
            index=number,
            output_id=one.output_id,
            data=one.data,
            format=one.format,
            width=one.picture.width,
            height=one.picture.height,
            seed=one.seed,
            batch=one.batch,
            manifest_id=one.manifest_id,
            verdict=verdict,
        )
        for number, (one, verdict) in enumerate(
            zip(earlier.pictures, verdicts, strict=True), start=1
        )
    ]
    return CachedAnswer(repeats=earlier.record_id, outputs=outputs)


def keep(
    parts: Parts,
    request: GenerationRequest,
    released: Released,
    *,
    seed: int,
    terms: bytes | None,
) -> None:
    """Keep a prompt's embedding, and its pictures where they may be an answer again."""
    if not parts.settings.prompt_index or released.repeats is not None:
        return
    if any(item.verdict.restricted for item in released.withheld):
        return  # nobody opens such a record alone, so nothing of it lies about here
    verdicts = (released.prompt_verdict, *(output.verdict for output in released.outputs))
    spotless = not released.withheld and all(v.action == "allow" for v in verdicts)
    answerable = terms if spotless else None
    parts.answer_cache.later.do(lambda: _store(parts, request, released, seed, answerable))


def _store(
    parts: Parts, request: GenerationRequest, released: Released, seed: int, terms: bytes | None
) -> None:
    index, log = parts.prompt_index, parts.request_log
    if index is None or not request.prompt.strip():
        return
    if terms is not None and not log.custody.attachments.keep(
        released.receipt.record.index,
        {output.output_id: output.data for output in released.outputs},
        most_bytes=parts.settings.cached_answers_mb * 2**20,
    ):
        terms = None
    index.add(
        request.prompt,
        record_id=released.record_id,
        tenant=request.tenant,
        subject=request.subject,
        terms=terms,
        seed=seed,
    )
    # Whoever was erased while we kept this is erased here too.
    if log.custody.contentless([released.record_id]):
        index.erase(record_id=released.record_id)
