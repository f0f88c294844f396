"""A wish that was granted before: its pictures may be the answer again, instead of new ones.

Off by default (``CHOPMARK_CACHED_ANSWERS``). The prompt of the new request is judged first, like
any other. Then pictures of an earlier request of the same tenant are its answer if

- the prompt is the same wish, and so is everything else that shapes a picture or its file: model
  and weights, size, steps, guidance, negative prompt, number, format, policy, mark key,
  certificate; and the seed, where one is named;
- the earlier request was allowed without reserve, prompt and pictures, and nothing has befallen it
  since: no review, no appeal, no seal, no erasure, no hold, no manifest taken back;
- the bytes are those that left then, and today's guards allow each picture again.

Whatever is in doubt ends in ``None``, and pictures are made. What an answer was given from lies in
the log, sealed beside the content of the request that it was made for, and goes with it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark import errors
from chopmark.kit import ids
from chopmark.kit.background import Afterwards, AfterwardsWarning
from chopmark.pipeline.released import Output
from chopmark.pipeline.request import EditRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.audit import Record
    from chopmark.kit.types import ImageFormat, JsonValue
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Released
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.safety import Policy, Verdict
    from chopmark.settings import Settings

__all__ = ["Again", "AnswerOutcome", "Kept", "Past", "Repeats"]

_LOG = logging.getLogger(__name__)
AnswerOutcome = Literal["hit", "miss", "doubt", "bypassed", "failed"]
# Settings that shape a picture or its file and are told by nothing else.
_SHAPING: Final = (
    "aigc_producer", "device", "dtype", "label", "label_font", "label_language",
    "label_position", "label_size", "label_text", "loras", "manifest_prompt", "mark_method",
    "model", "on_review", "quantization", "remote_extras", "runtime", "soft_binding",
    "training_mining",
)  # fmt: skip
_WHOLE: Final = ("request.received", "request.decided", "request.completed")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One picture as it left."""

    output_id: str
    data: bytes
    format: ImageFormat
    picture: Image.Image
    seed: int
    batch: int
    manifest_id: str
    pdq: str


@dataclass(frozen=True, kw_only=True)
class Past:
    """The pictures of an earlier request; today's guards have not seen them yet."""

    record_id: str
    kept: tuple[Kept, ...]


@dataclass(frozen=True, kw_only=True)
class Again:
    """The same pictures as the answer to a new request.

    Attributes:
        repeats: The record that they were made for.
        outputs: Each with what today's guards say of it.
        pdq: Their fingerprints by output id.
    """

    repeats: str
    outputs: list[Output]
    pdq: dict[str, str]


class Repeats:
    """Finds earlier answers and keeps new ones. It knows nothing of the order of the steps.

    Attributes:
        later: Keeps embeddings and pictures after the answer has gone out.
        counts: How often a request was answered from the past, or why not.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.later = Afterwards("the index of past prompts")
        self.counts: Counter[AnswerOutcome] = Counter()
        self._lock = threading.Lock()
        self._looking = 0
        self._stuck = False
        self._told = ""

    @property
    def _settings(self) -> Settings:
        return self._parts.settings

    def concern(self, request: GenerationRequest) -> bool:
        """Tell whether a request is of the kind that may be answered from the past."""
        on = self._settings.prompt_index and self._settings.cached_answers != "off"
        return on and not isinstance(request, EditRequest)

    def terms(
        self,
        request: GenerationRequest,
        policy: Policy,
        size: tuple[int, int],
        format: ImageFormat,  # noqa: A002  the field's name
    ) -> bytes | None:
        """Return a digest of all that shapes the answer beside prompt and seed.

        ``None`` where the model does not say which weights it runs: then nothing tells whether it
        is still the same.
        """
        parts, model = self._parts, self._parts.generator.info
        if not model.digest:
            return None
        told: dict[str, JsonValue] = {
            "model": [model.id, model.version, model.digest, model.quantization],
            "n": request.n,
            "size": list(size),
            "steps": request.steps or model.default_steps,
            "guidance": request.guidance,
            "negative_prompt": request.negative_prompt,
            "format": format,
            "quality": request.quality,
            "policy": policy.digest(),
            "mark_key": parts.mark_keys.active.key_id,
            "certificate": parts.credential.fingerprint,
            "settings": {name: str(getattr(self._settings, name)) for name in _SHAPING},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()

    def find(self, request: GenerationRequest, policy: Policy, terms: bytes | None) -> Past | None:
        """Return the newest earlier answer that still stands."""
        if terms is None:
            return None
        if request.fresh:
            self._count("bypassed")
            return None
        index = self._parts.prompt_index
        with self._lock:
            if index is None or self._stuck:
                return None  # an index that hangs delays one request, not every one
            self._looking += 1
        try:
            found = index.asked_before(
                request.prompt,
                terms=terms,
                tenant=request.tenant,
                seed=request.seed,
                reworded=self._settings.cached_answers == "reworded",
            )
            for match in found:
                past = self._standing(match.record_id, request, policy)
                if past is not None:
                    return past
        finally:
            with self._lock:
                self._looking -= 1
                self._stuck = False
        self._count("doubt" if found else "miss")
        return None

    def _standing(self, record_id: str, request: GenerationRequest, policy: Policy) -> Past | None:
        """Return what an earlier request led to, if it may leave again."""
        log, model = self._parts.log, self._parts.generator.info
        try:
            records = log.records(record_id)
        except errors.RecordNotFound:
            return None
        # Anything that has happened to it since is one more event, of whatever kind.
        if tuple(record.kind for record in records) != _WHOLE:
            return None
        received, decided, completed = records
        allowed = (
            all(record.tenant == request.tenant for record in records)
            and not any(record.public.get("restricted") for record in records)
            and received.public.get("operation") == "generate"
            and decided.public.get("exception") is None
            and decided.public.get("policy") == policy.digest()
            and completed.public.get("policy") == policy.digest()
            and completed.public.get("model_digest") == model.digest
            and completed.public.get("action") == "allow"
            and completed.public.get("withheld") == []
            and completed.public.get("repeats") is None
        )
        if not allowed or not self._same(received, request):
            return None
        return self._pictures(completed, request)

    def _same(self, received: Record, request: GenerationRequest) -> bool:
        """Tell whether the prompt that the log holds is the same wish; erased ones are not."""
        from chopmark.generation.semantic import same_wish

        private = self._parts.log.private(received.index)
        if private is None:
            return False
        reworded = self._settings.cached_answers == "reworded"
        return (
            same_wish(request.prompt, str(private.get("prompt")), reworded=reworded)
            and str(private.get("negative_prompt", "")) == request.negative_prompt
        )

    def _pictures(self, completed: Record, request: GenerationRequest) -> Past | None:
        """Return the pictures, byte for byte what left."""
        from chopmark.safety import decode_image

        log, settings = self._parts.log, self._settings
        private: Any = log.private(completed.index) or {}
        files = log.attachments(
            completed.index, younger_than=timedelta(hours=settings.cached_answers_hours)
        )
        booked: Any = completed.public.get("outputs")
        if files is None or not isinstance(booked, list) or len(booked) != request.n:
            return None
        kept = []
        for number, one in enumerate(booked):
            name, data = one["output_id"], files.get(one["output_id"], b"")
            entry = self._parts.store.entry(one["manifest_id"])
            stands = (
                hashlib.sha256(data).hexdigest() == private.get("sha256", {}).get(name)
                and ids.record_of(name) == completed.record_id
                and entry is not None  # a manifest that was taken back takes its picture along
                and entry.output_id == name
                and request.seed in {None, one["seed"] - number}
            )
            if not stands:
                return None
            picture = decode_image(
                data, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels
            )
            kept.append(
                Kept(
                    output_id=name,
                    data=data,
                    format=one["format"],
                    picture=picture,
                    seed=one["seed"],
                    batch=one["batch"],
                    manifest_id=one["manifest_id"],
                    pdq=str(private.get("pdq", {}).get(name, "")),
                )
            )
        return Past(record_id=completed.record_id, kept=tuple(kept))

    def again(self, past: Past, verdicts: Sequence[Verdict]) -> Again | None:
        """Return the answer, if today's guards let every picture pass without reserve."""
        allowed = all(verdict.action == "allow" for verdict in verdicts)
        self._count("hit" if allowed else "doubt")
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
            for number, (one, verdict) in enumerate(zip(past.kept, verdicts, strict=True), start=1)
        ]
        return Again(
            repeats=past.record_id,
            outputs=outputs,
            pdq={one.output_id: one.pdq for one in past.kept},
        )

    def failed(self, error: errors.ChopmarkError) -> None:
        """Count a look-up that broke or took too long; the request goes on without it."""
        self._count("failed")
        _LOG.warning("no answer from the past, new pictures are made", exc_info=error)
        with self._lock:
            self._stuck = self._looking > 0 and isinstance(error, errors.StageTimeout)
            reason, told = str(error), self._told
            self._told = reason
        if reason != told:  # said once; every time it is counted
            warnings.warn(f"no answers from the past: {reason}", AfterwardsWarning, stacklevel=3)

    def remember(
        self, request: GenerationRequest, released: Released, *, seed: int, terms: bytes | None
    ) -> None:
        """Keep a prompt's embedding, and its pictures where they may be an answer again."""
        if not self._settings.prompt_index or released.repeats is not None:
            return
        if any(item.verdict.restricted for item in released.withheld):
            return  # nobody opens such a record alone, so nothing of it lies about here
        verdicts = (released.prompt_verdict, *(output.verdict for output in released.outputs))
        spotless = not released.withheld and all(v.action == "allow" for v in verdicts)
        answerable = terms if spotless else None
        self.later.do(lambda: self._keep(request, released, seed, answerable))

    def _keep(
        self, request: GenerationRequest, released: Released, seed: int, terms: bytes | None
    ) -> None:
        index, log = self._parts.prompt_index, self._parts.log
        if index is None or not request.prompt.strip():
            return
        if terms is not None and not log.attach(
            released.receipt.record.index,
            {output.output_id: output.data for output in released.outputs},
            most_bytes=self._settings.cached_answers_mb * 2**20,
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
        if log.contentless([released.record_id]):
            index.erase(record_id=released.record_id)

    def _count(self, outcome: AnswerOutcome) -> None:
        with self._lock:
            self.counts[outcome] += 1

    def close(self) -> None:
        """Finish what is to be kept."""
        self.later.close(self._settings.guard_timeout_s)
