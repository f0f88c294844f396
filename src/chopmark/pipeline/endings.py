"""The end of a request: what it is about to end in, kept; one that failed, booked; an answer again.

Between the moment when the log has a request as completed and that when its answer has arrived, the
server may die. Whoever can ask for the answer again (over HTTP: with an ``Idempotency-Key``) has
its ending kept before it is booked. The log then says whether the request came to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import AnswerErased, ChopmarkError, RecordNotFound
from chopmark.kit import ids, limits
from chopmark.pipeline import events
from chopmark.pipeline.released import Output, Refused, Released, Withheld
from chopmark.pipeline.steps import in_thread
from chopmark.pipeline.withdrawals import refuse_withdrawn
from chopmark.workers.values import decode, encode

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from chopmark.audit import Record
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.cases import GenerationCase, SealCase
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.steps import Steps
    from chopmark.safety import Verdict

__all__ = [
    "Ending",
    "at_every_end",
    "book_the_end",
    "collect_manifests",
    "keep_ending",
    "released_again",
    "released_by",
]

# Where a request may have kept a manifest by then.
_KEEPING: Final = frozenset({"mark", "sign", "completed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A refusal, or pictures that were judged, marked and signed and are not booked yet.

    It leads to no picture: :func:`released_again` asks the log first.

    Attributes:
        record_id: Of the request.
        prompt_verdict: What the prompt guard said; in a refusal, the verdict that decided it.
        stage: Of a refusal; ``None`` where pictures are to leave.
        outputs: As in :class:`Released`, and so are the others.
    """

    record_id: str
    prompt_verdict: Verdict
    stage: Literal["input", "output"] | None = None
    outputs: tuple[Output, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    timings_ms: Mapping[str, float] | None = None
    model: str = ""
    repeats: str | None = None
    unknown_words: tuple[str, ...] = ()
    unknown_language: str | None = None
    unknown_input: bool = False

    def to_bytes(self) -> bytes:
        """Return it as bytes, for :func:`released_again`."""
        return encode(self, _values())


def _values() -> dict[str, type]:
    from chopmark.safety.verdict import Evidence, People, Verdict

    return {kind.__name__: kind for kind in (Ending, Evidence, Output, People, Verdict, Withheld)}


def released_again(parts: Parts, data: bytes, *, tenant: str) -> Released | None:
    """Return the answer that a request ended in and that was not delivered.

    Args:
        parts: With the log.
        data: From :meth:`Ending.to_bytes`.
        tenant: Who asks; another tenant's request is none.

    Returns:
        ``None`` where the log does not have the request as ended so.

    Raises:
        Refused: It ended in a refusal.
        AnswerErased: What was asked is erased by now.
    """
    ending, log = decode(data, _values()), parts.request_log
    try:
        records = log.records(ending.record_id)
    except RecordNotFound:
        return None
    kind = "request.refused" if ending.stage else "request.completed"
    end = next((one for one in records if one.kind == kind and one.tenant == tenant), None)
    if end is None:
        return None
    refuse_withdrawn(parts, ending.record_id)
    if log.custody.contentless([ending.record_id]):
        raise AnswerErased(
            f"what record {ending.record_id} holds was erased",
            hint="use a new Idempotency-Key for a new request",
        )
    if ending.stage:
        raise Refused(
            record_id=ending.record_id,
            stage=ending.stage,
            verdict=ending.prompt_verdict,
            tells=parts.settings.refusal_tells,
        )
    return released_by(parts, ending, end)


def released_by(parts: Parts, ending: Ending, end: Record) -> Released:
    """Return the answer, with the log's proof that ``end`` has it as completed."""
    return Released(
        record_id=ending.record_id,
        outputs=ending.outputs,
        withheld=ending.withheld,
        prompt_verdict=ending.prompt_verdict,
        receipt=parts.request_log.proof.receipt(end.index),
        timings_ms=dict(ending.timings_ms or {}),
        model=ending.model,
        repeats=ending.repeats,
        unknown_words=ending.unknown_words,
        unknown_language=ending.unknown_language,
        unknown_input=ending.unknown_input,
    )


async def keep_ending(steps: Steps, case: GenerationCase | SealCase, ending: Ending) -> None:
    """Have an ending kept by whoever may ask for it again, before it is booked."""
    keep = case.ending
    if keep is not None:
        await steps.run(case, "completed", lambda: keep(case.record_id, ending.to_bytes()))


async def book_the_end(steps: Steps, case: GenerationCase | SealCase, error: BaseException) -> None:
    """Book how a request ended that did not complete. Never hides the first error."""
    # A preview that is being shown is shown, and counted; no other is, since the case is gone.
    await in_thread(lambda: _wait_for(case.showing))
    stage = case.stage
    kind, public, personal = events.ended(error, stage, review_copies=case.review_copies)
    public |= at_every_end(case)
    try:
        if isinstance(error, Refused):
            await keep_ending(
                steps,
                case,
                Ending(record_id=case.record_id, prompt_verdict=error.verdict, stage=error.stage),
            )
        await steps.book(case, stage, kind, public, personal)
        # What is held for a person to decide on keeps its manifest.
        if stage in _KEEPING and not case.held:
            await in_thread(lambda: collect_manifests(steps.parts, case.record_id))
    except ChopmarkError:  # its step has logged it
        # The log is what failed, or a store. The reconciler closes this request when the log can
        # be written again, and collects what it left.
        return


def _wait_for(lock: threading.Lock) -> None:
    with lock:
        return


def at_every_end(case: GenerationCase | SealCase) -> dict[str, JsonValue]:
    """Return what the record of every end says, be it completed, refused or failed."""
    ended: dict[str, JsonValue] = {
        "previews": case.previews_shown,
        "timings_ms": events.rounded(case.timings_ms),
    }
    return ended | ({"held": [*case.held]} if case.held else {})


def collect_manifests(parts: Parts, record_id: str) -> int:
    """Forget the manifests of a request that has ended without completing; return how many.

    They were kept before the log was asked; its pictures never left, and nothing may lead to them.
    """
    collected = 0
    for index in range(1, limits.N.most + 1):
        entry = parts.store.by_output(ids.output_id(record_id, index))
        if entry is not None and entry.record_id == record_id:
            parts.store.delete(entry.manifest_id)
            collected += 1
    return collected
